package once_test

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/internal/testserver"
	"github.com/spoolq/spool/memqueue"
	"github.com/spoolq/spool/once"
	"github.com/spoolq/spool/sqldb"
	"github.com/spoolq/spool/sqldb/mysql"
	"github.com/spoolq/spool/sqldb/postgres"
	"github.com/spoolq/spool/sqldb/sqlite"
	"github.com/spoolq/spool/worker"
)

func TestMain(m *testing.M) { testserver.Main(m) }

// databases runs a test on each dialect, with a table of accounts.
func databases(t *testing.T, test func(t *testing.T, db *sql.DB, keys *once.Keys)) {
	for name, open := range map[string]func(t *testing.T) (*sqldb.DB, error){
		"sqlite": func(t *testing.T) (*sqldb.DB, error) {
			return sqlite.Open(filepath.Join(t.TempDir(), "app.db"), nil)
		},
		"mysql":    func(t *testing.T) (*sqldb.DB, error) { return mysql.Open(testserver.MySQL(t), nil) },
		"postgres": func(t *testing.T) (*sqldb.DB, error) { return postgres.Open(testserver.Postgres(t), nil) },
	} {
		t.Run(name, func(t *testing.T) {
			d, err := open(t)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = d.Close() })
			keys := once.New(d.Dialect(), nil)
			for range 2 { // it may be there
				if err := keys.Create(t.Context(), d.SQL()); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := d.SQL().ExecContext(t.Context(), "CREATE TABLE charges (n integer)"); err != nil {
				t.Fatal(err)
			}
			test(t, d.SQL(), keys)
		})
	}
}

// charge charges once for a key, and then does what end says.
func charge(ctx context.Context, db *sql.DB, keys *once.Keys, key string, end func() error) (first bool, err error) {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return false, err
	}
	defer func() { _ = tx.Rollback() }()
	if first, err = keys.Once(ctx, tx, key); !first || err != nil {
		return false, err
	}
	if _, err := tx.ExecContext(ctx, "INSERT INTO charges VALUES (1)"); err != nil {
		return false, err
	}
	if end != nil {
		if err := end(); err != nil {
			return false, err
		}
	}
	return true, tx.Commit()
}

func charges(t *testing.T, db *sql.DB) (n int) {
	t.Helper()
	if err := db.QueryRowContext(t.Context(), "SELECT count(*) FROM charges").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestOnce(t *testing.T) {
	databases(t, func(t *testing.T, db *sql.DB, keys *once.Keys) {
		died := errors.New("died before the commit")
		if first, err := charge(t.Context(), db, keys, "k", func() error { return died }); first || !errors.Is(err, died) {
			t.Errorf("%v, %v", first, err)
		}
		for n, want := range []bool{true, false, false} {
			if first, err := charge(t.Context(), db, keys, "k", nil); first != want || err != nil {
				t.Errorf("run %d: %v, %v", n+1, first, err)
			}
		}
		for _, other := range []string{"K", "k ", "ķ", "k\x00"} { // equal in some collations
			if first, err := charge(t.Context(), db, keys, other, nil); !first || err != nil {
				t.Errorf("%q: %v, %v", other, first, err)
			}
		}
		if n := charges(t, db); n != 5 {
			t.Errorf("charged %d times", n)
		}
		if _, err := charge(t.Context(), db, keys, "", nil); err == nil {
			t.Error("an empty key was accepted")
		}
		if err := keys.Forget(t.Context(), db, "k"); err != nil {
			t.Fatal(err)
		}
		if first, err := charge(t.Context(), db, keys, "k", nil); !first || err != nil {
			t.Errorf("forgotten: %v, %v", first, err)
		}
		if n, err := keys.Prune(t.Context(), db, time.Now().Add(-time.Hour)); n != 0 || err != nil {
			t.Errorf("pruned %d, %v", n, err)
		}
		if n, err := keys.Prune(t.Context(), db, time.Now().Add(time.Hour)); n != 5 || err != nil {
			t.Errorf("pruned %d, %v", n, err)
		}
	})
}

func TestOnceManyAtOnce(t *testing.T) {
	databases(t, func(t *testing.T, db *sql.DB, keys *once.Keys) {
		var firsts atomic.Int32
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				for deadline := time.Now().Add(time.Minute); ; {
					first, err := charge(t.Context(), db, keys, "k", func() error {
						if i%2 == 0 && firsts.Load() == 0 { // some roll back
							return errors.New("no")
						}
						return nil
					})
					if first {
						firsts.Add(1)
					}
					if err == nil {
						return
					}
					if time.Now().After(deadline) { // a deadlock, a rollback: the job runs again
						t.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
		if n := charges(t, db); n != 1 || firsts.Load() != 1 {
			t.Errorf("charged %d times, %d were first", n, firsts.Load())
		}
	})
}

// A job whose worker dies between the work and its end runs again, and does not
// do the work again.
func TestOnceInAJob(t *testing.T) {
	databases(t, func(t *testing.T, db *sql.DB, keys *once.Keys) {
		c := spool.Connect(memqueue.New(nil))
		defer func() { _ = c.Manager().Close() }()
		mux, runs := spool.NewMux(), 0
		mux.HandleFunc("charge", func(ctx context.Context, job *spool.Job) error {
			if _, err := charge(ctx, db, keys, "charge:"+job.UUID, nil); err != nil {
				return err
			}
			if runs++; runs == 1 {
				return errors.New("after the commit")
			}
			return nil
		}, spool.Tries(2))
		if _, err := spool.Push(t.Context(), c, "charge", nil); err != nil {
			t.Fatal(err)
		}
		conn, err := c.Manager().Connection(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := worker.New(conn, mux, &worker.Options{StopWhenEmpty: true}).Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := charges(t, db); n != 1 || runs != 2 {
			t.Errorf("charged %d times in %d runs", n, runs)
		}
	})
}
