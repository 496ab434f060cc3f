CREATE TABLE {table} (
  "key" varchar NOT NULL PRIMARY KEY,
  "owner" varchar NOT NULL,
  "expiration" {expiration} NOT NULL
);
{expiry_index}
