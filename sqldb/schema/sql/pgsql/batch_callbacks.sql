CREATE TABLE {table} (
  "batch_id" varchar(255) NOT NULL,
  "uuid" varchar(255) NOT NULL,
  "event" varchar(255) NOT NULL,
  "due_at" integer,
  "claims" integer NOT NULL,
  PRIMARY KEY ("batch_id", "uuid")
);
CREATE INDEX {table_spool_due} ON {table} ("due_at");
