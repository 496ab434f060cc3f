CREATE TABLE {table} (
  "id" varchar(64) NOT NULL PRIMARY KEY,
  "jobs" varchar(255) NOT NULL,
  "record" text NOT NULL,
  "expires_at" bigint NOT NULL
);
