CREATE TABLE {table} (
  "key" varchar NOT NULL PRIMARY KEY,
  "value" text NOT NULL,
  "expiration" {expiration} NOT NULL
);
{expiry_index}
