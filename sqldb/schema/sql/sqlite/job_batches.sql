CREATE TABLE {table} (
  "id" varchar NOT NULL PRIMARY KEY,
  "name" varchar NOT NULL,
  "total_jobs" integer NOT NULL,
  "pending_jobs" integer NOT NULL,
  "failed_jobs" integer NOT NULL,
  "failed_job_ids" text NOT NULL,
  "options" text,
  "cancelled_at" integer,
  "created_at" integer NOT NULL,
  "finished_at" integer
);
