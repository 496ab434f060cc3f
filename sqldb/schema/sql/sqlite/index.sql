-- It covers the query, else SQLite prefers the index on the queue alone.
CREATE INDEX IF NOT EXISTS {table_spool_ready} ON {table} ("queue", "id", "reserved_at", "available_at", "created_at") WHERE "reserved_at" IS NULL AND "available_at" <= "created_at";
CREATE INDEX IF NOT EXISTS {table_spool_due} ON {table} ("queue", "available_at", "id") WHERE "reserved_at" IS NULL AND "available_at" > "created_at";
CREATE INDEX IF NOT EXISTS {table_spool_lease} ON {table} ("queue", "reserved_at", "id") WHERE "reserved_at" IS NOT NULL;
