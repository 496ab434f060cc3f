CREATE TABLE {table} (
  {id},
  "uuid" varchar NOT NULL,
  "connection" {short} NOT NULL,
  "queue" {short} NOT NULL,
  "payload" text NOT NULL,
  "exception" text NOT NULL,
  "failed_at" datetime DEFAULT CURRENT_TIMESTAMP NOT NULL
);
CREATE UNIQUE INDEX {table_uuid_unique} ON {table} ("uuid");
{failed_index}
