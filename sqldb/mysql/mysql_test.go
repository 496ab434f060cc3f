package mysql_test

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	sdk "github.com/go-sql-driver/mysql"
	"github.com/spoolq/spool/internal/testserver"
	"github.com/spoolq/spool/sqldb"
	"github.com/spoolq/spool/sqldb/mysql"
)

func TestMain(m *testing.M) { testserver.Main(m) }

func open(t *testing.T, dsn string) *sqldb.DB {
	t.Helper()
	db, err := mysql.Open(dsn, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func exec(t *testing.T, db *sqldb.DB, query string, args ...any) int64 {
	t.Helper()
	res, err := db.SQL().ExecContext(t.Context(), query, args...)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	n, err := res.RowsAffected()
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestOpenRefuses(t *testing.T) {
	for dsn, want := range map[string]string{
		"nonsense":               "DSN",
		"user@tcp(127.0.0.1:1)/": "no database",
	} {
		if db, err := mysql.Open(dsn, nil); err == nil {
			t.Errorf("%q: no error", dsn)
			defer db.Close()
		} else if !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %q does not say %q", dsn, err, want)
		}
	}
}

func TestSession(t *testing.T) {
	db := open(t, testserver.MySQL(t))
	exec(t, db, "CREATE TABLE t (id int PRIMARY KEY, n int)")
	exec(t, db, "INSERT INTO t VALUES (1, 5)")
	if n := exec(t, db, "UPDATE t SET n = ? WHERE id = ?", 5, 1); n != 1 {
		t.Errorf("an update that changes nothing matched %d rows, want 1", n)
	}
	// READ COMMITTED: a transaction sees what others commit.
	tx, err := db.SQL().BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	var before, after int
	if err := tx.QueryRow("SELECT n FROM t WHERE id = 1").Scan(&before); err != nil {
		t.Fatal(err)
	}
	exec(t, db, "UPDATE t SET n = 6 WHERE id = 1")
	if err := tx.QueryRow("SELECT n FROM t WHERE id = 1").Scan(&after); err != nil {
		t.Fatal(err)
	}
	if before != 5 || after != 6 {
		t.Errorf("the transaction saw %d, then %d; want 5, then 6", before, after)
	}
}

func TestFaults(t *testing.T) {
	dsn := testserver.MySQL(t)
	db := open(t, dsn)
	exec(t, db, "CREATE TABLE t (id int PRIMARY KEY)")
	exec(t, db, "INSERT INTO t VALUES (1)")
	fault := func(query string) sqldb.Fault {
		_, err := db.SQL().ExecContext(t.Context(), query)
		return db.Fault(err)
	}
	for query, want := range map[string]sqldb.Fault{
		"INSERT INTO t VALUES (1)":    sqldb.Duplicate,
		"INSERT INTO none VALUES (1)": sqldb.NoTable,
		"nonsense":                    sqldb.Other,
	} {
		if got := fault(query); got != want {
			t.Errorf("%s: fault %v, want %v", query, got, want)
		}
	}
	cfg, err := sdk.ParseDSN(dsn)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Passwd = "wrong"
	wrong, err := mysql.OpenConfig(cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer wrong.Close()
	if err := wrong.SQL().PingContext(t.Context()); err == nil || wrong.Fault(err) != sqldb.Other || !strings.Contains(err.Error(), "denied") {
		t.Errorf("a wrong password: %v", err)
	}
}

// TestDeadlockIsTriedAgain makes two transactions take two rows in opposite
// order; the server rolls one of them back.
func TestDeadlockIsTriedAgain(t *testing.T) {
	db := open(t, testserver.MySQL(t))
	exec(t, db, "CREATE TABLE t (id int PRIMARY KEY, n int)")
	exec(t, db, "INSERT INTO t VALUES (1, 0), (2, 0)")
	var mu sync.Mutex
	calls := 0
	meet := make(chan struct{}, 2)
	both := make(chan struct{})
	go func() {
		<-meet
		<-meet
		close(both)
	}()
	var wg sync.WaitGroup
	for _, order := range [][2]int{{1, 2}, {2, 1}} {
		wg.Go(func() {
			first := true
			err := db.Write(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
				mu.Lock()
				calls++
				mu.Unlock()
				if _, err := tx.ExecContext(ctx, "UPDATE t SET n = n + 1 WHERE id = ?", order[0]); err != nil {
					return err
				}
				if first {
					first = false
					meet <- struct{}{}
					<-both
				}
				_, err := tx.ExecContext(ctx, "UPDATE t SET n = n + 1 WHERE id = ?", order[1])
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	var sum int
	if err := db.SQL().QueryRow("SELECT SUM(n) FROM t").Scan(&sum); err != nil {
		t.Fatal(err)
	}
	if sum != 4 || calls < 3 {
		t.Errorf("the rows add up to %d after %d calls, want 4 after at least 3", sum, calls)
	}
}

// TestServerThatHangsUpOnIdleConnections is a wait_timeout below the age at
// which connections are replaced.
func TestServerThatHangsUpOnIdleConnections(t *testing.T) {
	server := testserver.NewMySQL(t, "--wait-timeout=1")
	db := open(t, server.DSN)
	exec(t, db, "CREATE TABLE t (id int PRIMARY KEY)")
	time.Sleep(2500 * time.Millisecond) // the server's own clock is what is waited for
	err := db.Run(t.Context(), func(ctx context.Context, q sqldb.Querier) error {
		_, err := q.ExecContext(ctx, "INSERT INTO t VALUES (1)")
		return err
	})
	if err != nil {
		t.Errorf("the first statement after the server hung up: %v", err)
	}
}

func TestSameDatabase(t *testing.T) {
	dsn, elsewhere := testserver.MySQL(t), testserver.MySQL(t)
	db, same, other := open(t, dsn), open(t, dsn), open(t, elsewhere)
	for _, c := range []struct {
		of   *sqldb.DB
		want bool
	}{{db, true}, {same, true}, {other, false}} {
		tx, err := c.of.SQL().BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := db.SameDatabase(t.Context(), tx); err != nil || got != c.want {
			t.Errorf("SameDatabase is %v, %v; want %v", got, err, c.want)
		}
		if err := tx.Rollback(); err != nil {
			t.Error(err)
		}
	}
}

func TestClosed(t *testing.T) {
	db, err := mysql.Open(testserver.MySQL(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(db.Close(), db.Close()); err != nil {
		t.Fatal(err)
	}
	if err := db.Write(t.Context(), func(context.Context, *sql.Tx) error { return nil }); !errors.Is(err, sqldb.ErrClosed) {
		t.Errorf("Write after Close: %v", err)
	}
}
