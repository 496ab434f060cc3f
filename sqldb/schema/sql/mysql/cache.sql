CREATE TABLE {table} (
  `key` varchar(255) NOT NULL,
  `value` mediumtext NOT NULL,
  `expiration` {expiration} NOT NULL,
  PRIMARY KEY (`key`)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;
{expiry_index}
