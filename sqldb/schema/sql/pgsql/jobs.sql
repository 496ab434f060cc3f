CREATE TABLE {table} (
  {id},
  "queue" varchar(255) NOT NULL,
  "payload" text NOT NULL,
  "attempts" smallint NOT NULL,
  "reserved_at" integer,
  "available_at" integer NOT NULL,
  "created_at" integer NOT NULL
);
CREATE INDEX {table_queue_index} ON {table} ("queue");
