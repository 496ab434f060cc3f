CREATE TABLE {table} (
  "key" varchar(255) NOT NULL PRIMARY KEY,
  "owner" varchar(255) NOT NULL,
  "expiration" {expiration} NOT NULL
);
{expiry_index}
