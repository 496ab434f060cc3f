CREATE TABLE {table} (
  `id` varchar(64) NOT NULL,
  `jobs` varchar(255) NOT NULL,
  `record` text NOT NULL,
  `expires_at` bigint NOT NULL,
  PRIMARY KEY (`id`)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;
