package spool_test

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"testing"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/memqueue"
	"github.com/spoolq/spool/sqldb"
	"github.com/spoolq/spool/sqldb/schema"
	"github.com/spoolq/spool/sqldb/sqlite"
	"github.com/spoolq/spool/sqlqueue"
)

type receipt struct{ Order int }

// shop is a client with a connection "db" in the application's own database
// and a connection "mem" elsewhere.
func shop(t *testing.T, afterCommit bool) (*spool.Client, *sqldb.DB) {
	t.Helper()
	db, err := sqlite.Open(filepath.Join(t.TempDir(), "shop.db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if _, err := schema.Create(t.Context(), db, schema.Names{Jobs: "jobs"}); err != nil {
		t.Fatal(err)
	}
	if _, err := db.SQL().ExecContext(t.Context(), "CREATE TABLE orders (id INTEGER PRIMARY KEY)"); err != nil {
		t.Fatal(err)
	}
	m := spool.NewManager(nil)
	m.Add(spool.ConnectionConfig{Name: "db", AfterCommit: afterCommit, Open: func(context.Context) (driver.Conn, error) {
		return sqlqueue.New(db, nil)
	}})
	m.Add(spool.ConnectionConfig{Name: "mem", AfterCommit: afterCommit, Open: func(context.Context) (driver.Conn, error) {
		return memqueue.New(nil), nil
	}})
	t.Cleanup(func() { _ = m.Close() })
	return spool.NewClient(m, nil), db
}

func pending(t *testing.T, c *spool.Client, connection string) int64 {
	t.Helper()
	conn, err := c.Manager().Connection(t.Context(), connection)
	if err != nil {
		t.Fatal(err)
	}
	size, err := conn.Size(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	return size.Total()
}

func orders(t *testing.T, db *sqldb.DB) (n int) {
	t.Helper()
	if err := db.SQL().QueryRowContext(t.Context(), "SELECT COUNT(*) FROM orders").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func begin(t *testing.T, db *sqldb.DB) *sql.Tx {
	t.Helper()
	tx, err := db.SQL().BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.ExecContext(t.Context(), "INSERT INTO orders DEFAULT VALUES"); err != nil {
		t.Fatal(err)
	}
	return tx
}

func TestJobAndRowCommitTogether(t *testing.T) {
	for _, commit := range []bool{true, false} {
		c, db := shop(t, false)
		var queued []string
		spool.Listen(c.Manager().Events(), func(_ context.Context, e spool.JobQueued) { queued = append(queued, e.Connection) })
		tx := c.InTx(begin(t, db))
		for _, connection := range []string{"db", "mem"} {
			ref, err := spool.Dispatch(t.Context(), tx, receipt{1}, spool.OnConnection(connection))
			if err != nil || (ref.ID != "") != (connection == "db") {
				t.Fatalf("%s: %+v, %v", connection, ref, err)
			}
		}
		if n := pending(t, c, "mem"); n != 0 || len(queued) != 0 {
			t.Errorf("before the end: %d jobs elsewhere, events %v", n, queued)
		}
		want := int64(0)
		if commit {
			want = 1
			if err := tx.Commit(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if err := tx.Rollback(t.Context()); err != nil {
			t.Fatal(err)
		}
		if a, b, o := pending(t, c, "db"), pending(t, c, "mem"), orders(t, db); a != want || b != want || o != int(want) || len(queued) != 2*int(want) {
			t.Errorf("commit=%v: %d jobs in the database, %d elsewhere, %d orders, events %v", commit, a, b, o, queued)
		}
		if _, err := spool.Dispatch(t.Context(), tx, receipt{2}); !errors.Is(err, spool.ErrTxDone) {
			t.Errorf("after the end: %v", err)
		}
	}
}

func TestATransactionOfAnotherDatabaseHoldsTheJob(t *testing.T) {
	c, _ := shop(t, false)
	_, other := shop(t, false)
	tx := c.InTx(begin(t, other))
	if _, err := spool.Dispatch(t.Context(), tx, receipt{1}, spool.OnConnection("db")); err != nil {
		t.Fatal(err)
	}
	if n := pending(t, c, "db"); n != 0 {
		t.Errorf("%d jobs before the commit", n)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if a, b := pending(t, c, "db"), orders(t, other); a != 1 || b != 1 {
		t.Errorf("%d jobs, %d orders", a, b)
	}
}

func TestAfterCommit(t *testing.T) {
	tests := []struct {
		name       string
		configured bool
		inTx       bool
		opts       []spool.DispatchOption
		held       bool
	}{
		{"after_commit without a transaction pushes at once", true, false, nil, false},
		{"after_commit with one at hand joins it", true, true, nil, true},
		{"without after_commit it pushes at once", false, true, nil, false},
		{"a job may ask for it", false, true, []spool.DispatchOption{spool.AfterCommit()}, true},
		{"a job may refuse it", true, true, []spool.DispatchOption{spool.BeforeCommit()}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, db := shop(t, tt.configured)
			ctx := t.Context()
			tx := c.InTx(begin(t, db))
			if tt.inTx {
				ctx = spool.NewTxContext(ctx, tx)
			}
			if _, err := spool.Dispatch(ctx, c, receipt{1}, append(tt.opts, spool.OnConnection("mem"))...); err != nil {
				t.Fatal(err)
			}
			if n := pending(t, c, "mem"); (n == 0) != tt.held {
				t.Errorf("%d jobs before the commit", n)
			}
			if err := tx.Commit(t.Context()); err != nil {
				t.Fatal(err)
			}
			if n := pending(t, c, "mem"); n != 1 {
				t.Errorf("%d jobs after the commit", n)
			}
		})
	}
}

func TestAHeldJobThatCannotBePushedIsReported(t *testing.T) {
	c, db := shop(t, false)
	tx := c.InTx(begin(t, db))
	ref, err := spool.Dispatch(t.Context(), tx, receipt{1}, spool.OnConnection("mem"))
	if err != nil {
		t.Fatal(err)
	}
	conn, err := c.Manager().Connection(t.Context(), "mem")
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Driver().Close(); err != nil {
		t.Fatal(err)
	}
	err = tx.Commit(t.Context())
	held, ok := errors.AsType[*spool.HeldError](err)
	if !ok || len(held.Jobs) != 1 || held.Jobs[0].UUID != ref.UUID || len(held.Bodies) != 1 || !errors.Is(err, driver.ErrClosed) {
		t.Errorf("got %v", err)
	}
	if n := orders(t, db); n != 1 {
		t.Errorf("%d orders: the transaction has committed", n)
	}
}
