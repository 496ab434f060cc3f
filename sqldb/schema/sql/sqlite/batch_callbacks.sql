CREATE TABLE {table} (
  "batch_id" varchar NOT NULL,
  "uuid" varchar NOT NULL,
  "event" varchar NOT NULL,
  "due_at" integer,
  "claims" integer NOT NULL,
  PRIMARY KEY ("batch_id", "uuid")
);
CREATE INDEX {table_spool_due} ON {table} ("due_at");
