package sqlqueue_test

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/driver/drivertest"
	"github.com/spoolq/spool/internal/testserver"
	"github.com/spoolq/spool/sqldb"
	"github.com/spoolq/spool/sqldb/mysql"
	"github.com/spoolq/spool/sqldb/postgres"
	"github.com/spoolq/spool/sqldb/schema"
	"github.com/spoolq/spool/sqldb/sqlite"
	"github.com/spoolq/spool/sqlqueue"
)

// open calls an Open function's results into a database with tables, closed
// with the test.
func tables(t testing.TB, db *sqldb.DB, err error) *sqldb.DB {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("closing the database: %v", err)
		}
	})
	if _, err := schema.Create(t.Context(), db, schema.Names{Jobs: "jobs", Workers: "spool_workers"}); err != nil {
		t.Fatal(err)
	}
	return db
}

// queue returns a connection to db, closed with the test.
func queue(t testing.TB, db *sqldb.DB, opts *sqlqueue.Options) *sqlqueue.Conn {
	t.Helper()
	c, err := sqlqueue.New(db, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// short is the shortest lease, for tests that wait for its end.
func short() *sqlqueue.Options { return &sqlqueue.Options{RetryAfter: driver.MinLease} }

func sqlTx(db *sqldb.DB) drivertest.Tx {
	return drivertest.Tx{Name: "sql.Tx", Begin: func(t *testing.T) (any, func() error, func() error) {
		tx, err := db.SQL().BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		return tx, tx.Commit, tx.Rollback
	}}
}

// foreign begins a transaction of a SQLite file that is none of the test's.
func foreign(t *testing.T) *drivertest.Tx {
	file := filepath.Join(t.TempDir(), "foreign.db")
	return &drivertest.Tx{Name: "foreign", Begin: func(t *testing.T) (any, func() error, func() error) {
		db, err := sqlite.Open(file, nil)
		db = tables(t, db, err)
		tx, err := db.SQL().BeginTx(t.Context(), &sql.TxOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return tx, tx.Commit, tx.Rollback
	}}
}

func harness(t *testing.T, db *sqldb.DB, second func() (*sqldb.DB, error)) drivertest.Harness {
	other := func(opts *sqlqueue.Options) func(t *testing.T) driver.Conn {
		return func(t *testing.T) driver.Conn {
			db, err := second()
			return queue(t, tables(t, db, err), opts)
		}
	}
	return drivertest.Harness{
		Conn:        queue(t, db, short()),
		Second:      other(short()),
		KeepExpired: other(&sqlqueue.Options{RetryAfter: driver.MinLease, KeepExpired: true}),
		Txs:         []drivertest.Tx{sqlTx(db)},
		ForeignTx:   foreign(t),
	}
}

func TestSQLite(t *testing.T) {
	t.Parallel() // it mostly waits
	drivertest.Run(t, func(t *testing.T) drivertest.Harness {
		file := filepath.Join(t.TempDir(), "queue.db")
		open := func() (*sqldb.DB, error) { return sqlite.Open(file, nil) }
		db, err := open()
		return harness(t, tables(t, db, err), open)
	})
}

func TestMySQL(t *testing.T) {
	t.Parallel() // it mostly waits
	dsn := testserver.MySQL(t)
	drivertest.Run(t, func(t *testing.T) drivertest.Harness {
		open := func() (*sqldb.DB, error) { return mysql.Open(dsn, nil) }
		db, err := open()
		return harness(t, tables(t, db, err), open)
	})
}

// The same with the locks of servers that have no SKIP LOCKED.
func TestMySQLWithoutSkipLocked(t *testing.T) {
	t.Parallel() // it mostly waits
	dsn := testserver.MySQL(t)
	drivertest.Run(t, func(t *testing.T) drivertest.Harness {
		open := func() (*sqldb.DB, error) { return mysql.Open(dsn, nil) }
		db, err := open()
		h := harness(t, tables(t, db, err), open)
		second := h.Second
		h.Second = func(t *testing.T) driver.Conn { return onOldServer(t, second(t)) }
		h.Conn = onOldServer(t, h.Conn)
		return h
	})
}

func onOldServer(t *testing.T, c driver.Conn) driver.Conn {
	t.Helper()
	if err := sqlqueue.AsOnAnOldServer(t.Context(), c.(*sqlqueue.Conn)); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestPostgres(t *testing.T) {
	t.Parallel() // it mostly waits
	dsn := testserver.Postgres(t)
	drivertest.Run(t, func(t *testing.T) drivertest.Harness {
		open := func() (*sqldb.DB, error) { return postgres.Open(dsn, nil) }
		db, err := open()
		h := harness(t, tables(t, db, err), open)
		h.Txs = append(h.Txs, pgxTx(dsn))
		h.WakeWithin = time.Second
		return h
	})
}

func pgxTx(dsn string) drivertest.Tx {
	return drivertest.Tx{Name: "pgx.Tx", Begin: func(t *testing.T) (any, func() error, func() error) {
		ctx := context.WithoutCancel(t.Context())
		conn, err := pgx.Connect(ctx, dsn)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close(ctx) })
		tx, err := conn.Begin(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return tx, func() error { return tx.Commit(ctx) }, func() error { return tx.Rollback(ctx) }
	}}
}
