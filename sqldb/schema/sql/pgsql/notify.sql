CREATE OR REPLACE FUNCTION {table_spool_notify}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_notify({channel}, queue) FROM (SELECT DISTINCT queue FROM pushed) AS q;
  RETURN NULL;
END $$;
DROP TRIGGER IF EXISTS {trigger} ON {table};
CREATE TRIGGER {trigger} AFTER INSERT ON {table} REFERENCING NEW TABLE AS pushed FOR EACH STATEMENT EXECUTE FUNCTION {table_spool_notify}();
