package batch_test

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/batch"
	"github.com/spoolq/spool/batch/batchtest"
	"github.com/spoolq/spool/internal/testserver"
	"github.com/spoolq/spool/sqldb"
	"github.com/spoolq/spool/sqldb/mysql"
	"github.com/spoolq/spool/sqldb/postgres"
	"github.com/spoolq/spool/sqldb/schema"
	"github.com/spoolq/spool/sqldb/sqlite"
)

func TestMain(m *testing.M) { testserver.Main(m) }

func TestMemory(t *testing.T) {
	batchtest.Run(t, func(*testing.T) func() spool.BatchStore {
		s := batch.NewMemory()
		return func() spool.BatchStore { return s }
	})
}

// database returns an empty database with the tables of a version of Laravel.
func database(t testing.TB, kind string, names schema.Names, version int) *sqldb.DB {
	t.Helper()
	var db *sqldb.DB
	var err error
	switch kind {
	case sqldb.SQLite:
		db, err = sqlite.Open(filepath.Join(t.TempDir(), "b.db"), nil)
	case sqldb.MySQL:
		db, err = mysql.Open(testserver.MySQL(t), nil)
	default:
		db, err = postgres.Open(testserver.Postgres(t), nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	stmts, err := schema.Statements(db.Dialect(), names, version)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range stmts {
		execute(t, db, s)
	}
	return db
}

func execute(t testing.TB, db *sqldb.DB, statement string, args ...any) {
	t.Helper()
	err := db.Write(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, db.Rebind(statement), args...)
		return err
	})
	if err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

var tables = schema.Names{JobBatches: "job_batches", BatchEnds: "spool_batch_ends", BatchCallbacks: "spool_batch_callbacks"}

// TestSQL runs on the tables of Laravel 8, whose failed_job_ids is the shortest.
func TestSQL(t *testing.T) {
	for _, kind := range []string{sqldb.SQLite, sqldb.MySQL, sqldb.Postgres} {
		t.Run(kind, func(t *testing.T) {
			batchtest.Run(t, func(t *testing.T) func() spool.BatchStore {
				db := database(t, kind, tables, 8)
				return func() spool.BatchStore { return batch.NewSQL(db, nil) }
			})
		})
	}
}
