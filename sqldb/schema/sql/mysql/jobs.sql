CREATE TABLE {table} (
  {id},
  `queue` varchar(255) NOT NULL,
  `payload` longtext NOT NULL,
  `attempts` {attempts} unsigned NOT NULL,
  `reserved_at` int unsigned NULL,
  `available_at` int unsigned NOT NULL,
  `created_at` int unsigned NOT NULL,
  KEY {table_queue_index} (`queue`)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;
