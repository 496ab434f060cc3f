CREATE TABLE {table} (
  "id" varchar NOT NULL PRIMARY KEY,
  "jobs" varchar NOT NULL,
  "record" text NOT NULL,
  "expires_at" integer NOT NULL
);
