CREATE TABLE {table} (
  "key" varchar(255) NOT NULL PRIMARY KEY,
  "value" text NOT NULL,
  "expiration" {expiration} NOT NULL
);
{expiry_index}
