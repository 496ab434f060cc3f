CREATE TABLE {table} (
  {id},
  "queue" varchar NOT NULL,
  "payload" text NOT NULL,
  "attempts" integer NOT NULL,
  "reserved_at" integer,
  "available_at" integer NOT NULL,
  "created_at" integer NOT NULL
);
CREATE INDEX {table_queue_index} ON {table} ("queue");
