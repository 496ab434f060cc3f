CREATE TABLE {table} (
  "batch_id" varchar NOT NULL,
  "job_uuid" varchar NOT NULL,
  "failed" integer NOT NULL,
  PRIMARY KEY ("batch_id", "job_uuid")
) WITHOUT ROWID;
