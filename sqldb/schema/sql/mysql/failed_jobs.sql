CREATE TABLE {table} (
  {id},
  `uuid` varchar(255) NOT NULL,
  `connection` {short} NOT NULL,
  `queue` {short} NOT NULL,
  `payload` longtext NOT NULL,
  `exception` longtext NOT NULL,
  `failed_at` timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP,
  UNIQUE KEY {table_uuid_unique} (`uuid`)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;
{failed_index}
