package schema

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spoolq/spool/sqldb"
)

// Step is one thing that Create did or found done.
type Step struct {
	Table string
	Done  bool   // false: it was there already
	What  string // "created", "exists", "added index jobs_spool_due"
}

// Create creates the named tables that are missing, as Laravel's newest version
// makes them, and adds Spool's indexes to a jobs table that lacks them. It is
// idempotent, and safe to run while workers run. On an error the steps done so
// far are returned beside it.
func Create(ctx context.Context, db *sqldb.DB, names Names) ([]Step, error) {
	var steps []Step
	for _, t := range names.tables() {
		s, err := create(ctx, db, t)
		steps = append(steps, s...)
		if err != nil {
			return steps, fmt.Errorf("schema: table %s: %w", t.name, err)
		}
	}
	return steps, nil
}

func create(ctx context.Context, db *sqldb.DB, t table) ([]Step, error) {
	d := db.Dialect()
	there, err := exists(ctx, db, t.name)
	if err != nil {
		return nil, err
	}
	if there {
		steps := []Step{{Table: t.name, What: "exists"}}
		if t.kind != "jobs" {
			return steps, nil
		}
		more, err := index(ctx, db, t)
		return append(steps, more...), err
	}
	stmts, err := Statements(d, only(t), Newest)
	if err != nil {
		return nil, err
	}
	err = db.Write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		for _, s := range stmts {
			if _, err := tx.ExecContext(ctx, s); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		// Another process may have been faster.
		if there, e := exists(ctx, db, t.name); e == nil && there {
			return create(ctx, db, t)
		}
		return nil, err
	}
	return []Step{{Table: t.name, Done: true, What: "created"}}, nil
}

// only returns Names with this table alone.
func only(t table) Names {
	var n Names
	switch t.kind {
	case "jobs":
		n.Jobs = t.name
	case "failed_jobs":
		n.FailedJobs = t.name
	case "job_batches":
		n.JobBatches = t.name
	case "cache":
		n.Cache = t.name
	case "cache_locks":
		n.CacheLocks = t.name
	case "workers":
		n.Workers = t.name
	case "batch_ends":
		n.BatchEnds = t.name
	case "batch_callbacks":
		n.BatchCallbacks = t.name
	}
	return n
}

// index adds Spool's indexes to an existing jobs table. PostgreSQL builds them
// without stopping writers, which can't be done in a transaction.
func index(ctx context.Context, db *sqldb.DB, t table) ([]Step, error) {
	d := db.Dialect()
	stmts, err := render(d, t, "index", Newest, true)
	if err != nil {
		return nil, err
	}
	have, err := indexes(ctx, db, t.name)
	if err != nil {
		return nil, err
	}
	var steps []Step
	for i, name := range IndexNames(d, t.name) {
		if slices.Contains(have, name) {
			continue
		}
		if err := addIndex(ctx, db, t.name, name, stmts[i]); err != nil {
			return steps, fmt.Errorf("adding index %s: %w", name, err)
		}
		steps = append(steps, Step{Table: t.name, Done: true, What: "added index " + name})
	}
	return steps, nil
}

func addIndex(ctx context.Context, db *sqldb.DB, table, name, stmt string) error {
	if db.Dialect().Name == sqldb.Postgres {
		// What an interrupted build left behind is in the way, and useless.
		full := strings.TrimSuffix(table, bare(table)) + name
		if _, err := db.SQL().ExecContext(ctx, "DROP INDEX CONCURRENTLY IF EXISTS "+db.Dialect().Ident(full)); err != nil {
			return err
		}
		_, err := db.SQL().ExecContext(ctx, stmt)
		return err
	}
	return db.Run(ctx, func(ctx context.Context, q sqldb.Querier) error {
		_, err := q.ExecContext(ctx, stmt)
		return err
	})
}

// Missing returns what Create would create: names of tables, and of Spool's
// indexes on an existing jobs table as "jobs (index jobs_spool_due)".
func Missing(ctx context.Context, db *sqldb.DB, names Names) ([]string, error) {
	var missing []string
	for _, t := range names.tables() {
		there, err := exists(ctx, db, t.name)
		switch {
		case err != nil:
			return nil, err
		case !there:
			missing = append(missing, t.name)
			continue
		case t.kind != "jobs":
			continue
		}
		have, err := indexes(ctx, db, t.name)
		if err != nil {
			return nil, err
		}
		for _, name := range IndexNames(db.Dialect(), t.name) {
			if !slices.Contains(have, name) {
				missing = append(missing, fmt.Sprintf("%s (index %s)", t.name, name))
			}
		}
	}
	return missing, nil
}

// exists asks for the table by using it, which follows search paths and the
// current database as the queue does.
func exists(ctx context.Context, db *sqldb.DB, name string) (bool, error) {
	var one int
	err := db.SQL().QueryRowContext(ctx, "SELECT 1 FROM "+db.Dialect().Ident(name)+" LIMIT 1").Scan(&one)
	if err == nil || errors.Is(err, sql.ErrNoRows) {
		return true, nil
	}
	if db.Fault(err) == sqldb.NoTable {
		return false, nil
	}
	return false, err
}

// indexes returns the names of the table's usable indexes.
func indexes(ctx context.Context, db *sqldb.DB, table string) ([]string, error) {
	query := map[string]string{
		sqldb.SQLite:   `SELECT name FROM pragma_index_list(?)`,
		sqldb.MySQL:    `SELECT DISTINCT index_name FROM information_schema.statistics WHERE table_schema = COALESCE(?, DATABASE()) AND table_name = ?`,
		sqldb.Postgres: `SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = to_regclass(?) AND i.indisvalid`,
	}[db.Dialect().Name]
	args := []any{bare(table)}
	switch db.Dialect().Name {
	case sqldb.MySQL:
		args = []any{sql.NullString{String: strings.TrimSuffix(table, "."+bare(table)), Valid: table != bare(table)}, bare(table)}
	case sqldb.Postgres:
		args = []any{db.Dialect().Ident(table)}
	}
	rows, err := db.SQL().QueryContext(ctx, db.Rebind(query), args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var names []string
	for rows.Next() {
		var n string
		if err := rows.Scan(&n); err != nil {
			return nil, err
		}
		names = append(names, n)
	}
	return names, rows.Err()
}
