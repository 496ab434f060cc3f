CREATE TABLE {table} (
  `batch_id` varchar(255) NOT NULL,
  `job_uuid` varchar(255) NOT NULL,
  `failed` tinyint NOT NULL,
  PRIMARY KEY (`batch_id`, `job_uuid`)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;
