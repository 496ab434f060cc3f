package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spoolq/spool/sqldb"
	"github.com/spoolq/spool/sqldb/sqlite"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open opens a file with one table t(n), closed with the test.
func open(t *testing.T, file string, opts *sqlite.Options) *sqldb.DB {
	t.Helper()
	db, err := sqlite.Open(file, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	write(t, db, "CREATE TABLE IF NOT EXISTS t (n integer NOT NULL UNIQUE, body text)")
	return db
}

func write(t *testing.T, db *sqldb.DB, query string, args ...any) {
	t.Helper()
	if err := exec(t.Context(), db, query, args...); err != nil {
		t.Fatal(err)
	}
}

func exec(ctx context.Context, db *sqldb.DB, query string, args ...any) error {
	return db.Run(ctx, func(ctx context.Context, q sqldb.Querier) error {
		_, err := q.ExecContext(ctx, query, args...)
		return err
	})
}

func one[T any](t *testing.T, db *sqldb.DB, query string) (v T) {
	t.Helper()
	if err := db.SQL().QueryRowContext(t.Context(), query).Scan(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

// customer makes a file as another program would, without WAL.
func customer(t *testing.T, file string) {
	t.Helper()
	db, err := sql.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("CREATE TABLE customers (id integer)"); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestJournalMode(t *testing.T) {
	dir := t.TempDir()
	fresh := open(t, filepath.Join(dir, "new.db"), nil)
	if m := one[string](t, fresh, "PRAGMA journal_mode"); m != "wal" {
		t.Errorf("a new file has journal mode %q, want wal", m)
	}
	if n := one[int](t, fresh, "PRAGMA synchronous"); n != 2 {
		t.Errorf("synchronous is %d by default, want 2 (FULL)", n)
	}

	file := filepath.Join(dir, "customer.db")
	customer(t, file)
	kept := open(t, file, nil)
	if m := one[string](t, kept, "PRAGMA journal_mode"); m != "delete" {
		t.Errorf("an existing file was switched to %q", m)
	}
	if err := kept.Close(); err != nil {
		t.Fatal(err)
	}
	asked := open(t, file, &sqlite.Options{Journal: sqlite.WAL, Synchronous: sqlite.Normal})
	if m := one[string](t, asked, "PRAGMA journal_mode"); m != "wal" {
		t.Errorf("with WAL asked for, the mode is %q", m)
	}
	if n := one[int](t, asked, "PRAGMA synchronous"); n != 1 {
		t.Errorf("synchronous is %d, want 1 (NORMAL)", n)
	}
}

// TestModes: every mode is in force on the connection that writes and on those
// that read, in a new file and in one that had another.
func TestModes(t *testing.T) {
	for _, journal := range []sqlite.Journal{sqlite.WAL, sqlite.Delete, sqlite.Truncate, sqlite.Persist} {
		for sync, number := range map[sqlite.Synchronous]int{sqlite.Extra: 3, sqlite.Full: 2, sqlite.Normal: 1, sqlite.Off: 0} {
			dir := t.TempDir()
			old := filepath.Join(dir, "old.db")
			was := sqlite.WAL
			if journal == sqlite.WAL {
				was = sqlite.Delete
			}
			if err := open(t, old, &sqlite.Options{Journal: was}).Close(); err != nil {
				t.Fatal(err)
			}
			for _, file := range []string{filepath.Join(dir, "new.db"), old} {
				db := open(t, file, &sqlite.Options{Journal: journal, Synchronous: sync})
				write(t, db, "INSERT INTO t VALUES (1, '')")
				read := func(q sqldb.Querier, who string) {
					var mode string
					var n int
					err := errors.Join(q.QueryRowContext(t.Context(), "PRAGMA journal_mode").Scan(&mode), q.QueryRowContext(t.Context(), "PRAGMA synchronous").Scan(&n))
					if err != nil || mode != string(journal) || n != number {
						t.Errorf("%s %s, %s: %s %d, %v; want %s %d", journal, sync, who, mode, n, err, journal, number)
					}
				}
				read(db.SQL(), "reading "+filepath.Base(file))
				if err := db.Run(t.Context(), func(_ context.Context, q sqldb.Querier) error { read(q, "writing"); return nil }); err != nil {
					t.Error(err)
				}
				if err := db.Close(); err != nil {
					t.Error(err)
				}
			}
		}
	}
	// What another program keeps open can't be switched.
	file := filepath.Join(t.TempDir(), "busy.db")
	customer(t, file)
	other, err := sql.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	tx, err := other.Begin()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec("INSERT INTO customers VALUES (1)"); err != nil {
		t.Fatal(err)
	}
	if _, err := sqlite.Open(file, &sqlite.Options{Journal: sqlite.WAL, Wait: 50 * time.Millisecond}); err == nil {
		t.Error("a file was switched under another program's transaction")
	}
	if err := tx.Rollback(); err != nil {
		t.Error(err)
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "q.db")
	open(t, file, nil)
	text := filepath.Join(dir, "text")
	if err := os.WriteFile(text, []byte(strings.Repeat("this is no database\n", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, path string
		opts       *sqlite.Options
		want       string
	}{
		{"no path", "", nil, "empty"},
		{"a database in memory", ":memory:", nil, "not a file"},
		{"a missing folder", filepath.Join(dir, "none", "q.db"), nil, "folder"},
		{"a folder", dir, nil, dir},
		{"a file of another kind", text, nil, text},
		{"an unknown mode", file, &sqlite.Options{Synchronous: "maybe"}, `"maybe"`},
		{"a journal mode that breaks files", file, &sqlite.Options{Journal: "off"}, `"off"`},
		{"other options for an open file", file, &sqlite.Options{Synchronous: sqlite.Normal}, "other options"},
	} {
		db, err := sqlite.Open(c.path, c.opts)
		if err == nil {
			t.Errorf("%s: no error", c.name)
			defer db.Close()
		} else if !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %q does not say %q", c.name, err, c.want)
		}
	}
}

func TestHandlesOfOneFileShareAllButClose(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "q.db")
	a := open(t, file, nil)
	link := filepath.Join(dir, "link.db")
	if err := os.Symlink(file, link); err != nil {
		t.Skip("no symbolic links here:", err)
	}
	b := open(t, link, nil)
	if a.SQL() != b.SQL() || a.Signals() != b.Signals() {
		t.Error("two handles of one file have pools or signals of their own")
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	write(t, a, "INSERT INTO t VALUES (1, '')")
	if err := exec(t.Context(), b, "INSERT INTO t VALUES (2, '')"); !errors.Is(err, sqldb.ErrClosed) {
		t.Errorf("a write through a closed handle: %v", err)
	}
}

// group makes n writers run in one commit: the first holds the lead until the
// others are in line.
func group(t *testing.T, db *sqldb.DB, n int, fn func(i int) func(ctx context.Context, tx *sql.Tx) error) []error {
	t.Helper()
	errs := make([]error, n)
	started, release := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		err := db.Write(t.Context(), func(context.Context, *sql.Tx) error {
			close(started)
			<-release
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
	<-started
	var queued sync.WaitGroup
	for i := range n {
		queued.Add(1)
		wg.Go(func() {
			queued.Done()
			errs[i] = db.Write(t.Context(), fn(i))
		})
	}
	queued.Wait()
	time.Sleep(20 * time.Millisecond) // lets them reach the line; the outcome is the same if some don't
	close(release)
	wg.Wait()
	return errs
}

func TestOneFailingWriterDoesNotFailItsMates(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "q.db"), nil)
	boom := errors.New("boom")
	errs := group(t, db, 10, func(i int) func(context.Context, *sql.Tx) error {
		return func(ctx context.Context, tx *sql.Tx) error {
			_, err := db.On(tx).ExecContext(ctx, "INSERT INTO t VALUES (?, '')", i/2) // odd ones are duplicates, or even ones
			if err == nil && i == 4 {
				return boom
			}
			return err
		}
	})
	failed := 0
	for i, err := range errs {
		switch {
		case err == nil:
		case errors.Is(err, boom):
			failed++
		case db.Fault(err) == sqldb.Duplicate:
			failed++
		default:
			t.Errorf("writer %d: %v", i, err)
		}
	}
	if n := one[int](t, db, "SELECT COUNT(*) FROM t"); n != 10-failed {
		t.Errorf("%d rows, and %d of 10 writers failed", n, failed)
	}
}

func TestPanicReachesItsOwnCallerOnly(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "q.db"), nil)
	var mu sync.Mutex
	var panics []any
	errs := group(t, db, 6, func(i int) func(context.Context, *sql.Tx) error {
		return func(ctx context.Context, tx *sql.Tx) error {
			_, err := db.On(tx).ExecContext(ctx, "INSERT INTO t VALUES (?, '')", i)
			return err
		}
	})
	func() {
		defer func() {
			mu.Lock()
			defer mu.Unlock()
			panics = append(panics, recover())
		}()
		_ = db.Write(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
			if _, err := tx.ExecContext(ctx, "INSERT INTO t VALUES (100, '')"); err != nil {
				return err
			}
			panic("oops")
		})
	}()
	if err := errors.Join(errs...); err != nil {
		t.Error(err)
	}
	if len(panics) != 1 || panics[0] != "oops" {
		t.Errorf("panics %v, want the one", panics)
	}
	if n := one[int](t, db, "SELECT COUNT(*) FROM t"); n != 6 {
		t.Errorf("%d rows, want the 6 of those that didn't panic", n)
	}
	write(t, db, "INSERT INTO t VALUES (7, '')") // the writer lives on
}

func TestCancelledWriterLeavesTheLine(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "q.db"), nil)
	started, release := make(chan struct{}), make(chan struct{})
	first := make(chan error, 1)
	go func() {
		first <- db.Write(t.Context(), func(context.Context, *sql.Tx) error {
			close(started)
			<-release
			return nil
		})
	}()
	<-started
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := exec(ctx, db, "INSERT INTO t VALUES (1, '')"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a writer whose time is over: %v", err)
	}
	close(release)
	if err := <-first; err != nil {
		t.Fatal(err)
	}
	if n := one[int](t, db, "SELECT COUNT(*) FROM t"); n != 0 {
		t.Errorf("%d rows of a cancelled writer", n)
	}
}

func TestFullDiskFailsOnlyWhatDoesNotFit(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "q.db"), nil)
	pages := one[int](t, db, "PRAGMA page_count")
	err := db.Write(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, fmt.Sprintf("PRAGMA max_page_count = %d", pages+8))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	big := strings.Repeat("x", 100_000)
	errs := group(t, db, 6, func(i int) func(context.Context, *sql.Tx) error {
		return func(ctx context.Context, tx *sql.Tx) error {
			text := "small"
			if i == 3 {
				text = big
			}
			_, err := db.On(tx).ExecContext(ctx, "INSERT INTO t VALUES (?, ?)", i, text)
			return err
		}
	})
	for i, err := range errs {
		if want := i == 3; want != (db.Fault(err) == sqldb.Full) || !want && err != nil {
			t.Errorf("writer %d: %v", i, err)
		}
	}
	if n := one[int](t, db, "SELECT COUNT(*) FROM t WHERE body = 'small'"); n != 5 {
		t.Errorf("%d rows, want the 5 that fit", n)
	}
	if s := one[string](t, db, "PRAGMA integrity_check"); s != "ok" {
		t.Errorf("the file is damaged: %s", s)
	}
}

func TestCommitWaitsForReadersWithoutWAL(t *testing.T) {
	file := filepath.Join(t.TempDir(), "q.db")
	customer(t, file)
	db := open(t, file, nil)
	write(t, db, "INSERT INTO t VALUES (1, ''), (2, '')")
	rows, err := db.SQL().QueryContext(t.Context(), "SELECT n FROM t") // holds the file's read lock
	if err != nil {
		t.Fatal(err)
	}
	if !rows.Next() {
		t.Fatal(rows.Err())
	}
	release := time.AfterFunc(200*time.Millisecond, func() { rows.Close() })
	defer release.Stop()
	start := time.Now()
	write(t, db, "INSERT INTO t VALUES (3, '')")
	if took := time.Since(start); took < 150*time.Millisecond {
		t.Errorf("the commit took %v: the reader was not in its way, so this test shows nothing", took)
	}
}

func TestSameDatabase(t *testing.T) {
	dir := t.TempDir()
	a := open(t, filepath.Join(dir, "a.db"), nil)
	b := open(t, filepath.Join(dir, "b.db"), nil)
	for _, c := range []struct {
		of   *sqldb.DB
		want bool
	}{{a, true}, {b, false}} {
		tx, err := c.of.SQL().BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := a.SameDatabase(t.Context(), tx)
		if err != nil || got != c.want {
			t.Errorf("SameDatabase is %v, %v; want %v", got, err, c.want)
		}
		if err := tx.Rollback(); err != nil {
			t.Error(err)
		}
		if _, err := a.SameDatabase(t.Context(), tx); !errors.Is(err, sql.ErrTxDone) {
			t.Errorf("SameDatabase of a finished transaction: %v, want sql.ErrTxDone", err)
		}
	}
}
