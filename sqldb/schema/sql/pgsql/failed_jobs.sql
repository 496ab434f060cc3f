CREATE TABLE {table} (
  {id},
  "uuid" varchar(255) NOT NULL,
  "connection" {short} NOT NULL,
  "queue" {short} NOT NULL,
  "payload" text NOT NULL,
  "exception" text NOT NULL,
  "failed_at" timestamp(0) without time zone DEFAULT CURRENT_TIMESTAMP NOT NULL,
  CONSTRAINT {table_uuid_unique} UNIQUE ("uuid")
);
{failed_index}
