CREATE INDEX {table_spool_due} ON {table} (`queue`, `reserved_at`, `available_at`);
