CREATE TABLE {table} (
  `batch_id` varchar(255) NOT NULL,
  `uuid` varchar(255) NOT NULL,
  `event` varchar(255) NOT NULL,
  `due_at` int,
  `claims` int NOT NULL,
  PRIMARY KEY (`batch_id`, `uuid`)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;
CREATE INDEX {table_spool_due} ON {table} (`due_at`);
