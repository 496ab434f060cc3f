CREATE TABLE {table} (
  "batch_id" varchar(255) NOT NULL,
  "job_uuid" varchar(255) NOT NULL,
  "failed" smallint NOT NULL,
  PRIMARY KEY ("batch_id", "job_uuid")
);
