package sqlqueue_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/internal/testserver"
	"github.com/spoolq/spool/sqldb"
	"github.com/spoolq/spool/sqldb/mysql"
	"github.com/spoolq/spool/sqldb/postgres"
	"github.com/spoolq/spool/sqldb/schema"
	"github.com/spoolq/spool/sqldb/sqlite"
	"github.com/spoolq/spool/sqlqueue"
)

// stores open an empty database each.
var stores = []struct {
	name string
	open func(t *testing.T) (*sqldb.DB, error)
}{
	{sqldb.SQLite, func(t *testing.T) (*sqldb.DB, error) {
		return sqlite.Open(filepath.Join(t.TempDir(), "q.db"), nil)
	}},
	{sqldb.MySQL, func(t *testing.T) (*sqldb.DB, error) { return mysql.Open(testserver.MySQL(t), nil) }},
	{sqldb.Postgres, func(t *testing.T) (*sqldb.DB, error) { return postgres.Open(testserver.Postgres(t), nil) }},
}

// onEach runs a test on an empty database of each kind.
func onEach(t *testing.T, f func(t *testing.T, db *sqldb.DB)) {
	for _, s := range stores {
		t.Run(s.name, func(t *testing.T) {
			db, err := s.open(t)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := db.Close(); err != nil {
					t.Error(err)
				}
			})
			f(t, db)
		})
	}
}

func execute(t testing.TB, db *sqldb.DB, query string, args ...any) {
	t.Helper()
	err := db.Run(t.Context(), func(ctx context.Context, q sqldb.Querier) error {
		_, err := q.ExecContext(ctx, db.Rebind(query), args...)
		return err
	})
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

func create(t testing.TB, db *sqldb.DB) {
	t.Helper()
	if _, err := schema.Create(t.Context(), db, schema.Names{Jobs: "jobs"}); err != nil {
		t.Fatal(err)
	}
}

func push(t testing.TB, c *sqlqueue.Conn, ms ...driver.Message) []string {
	t.Helper()
	ids, err := c.Push(t.Context(), "default", ms)
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

func reserve(t testing.TB, c *sqlqueue.Conn, max int) []driver.Reservation {
	t.Helper()
	rs, err := c.Reserve(t.Context(), "default", max)
	if err != nil {
		t.Fatal(err)
	}
	return rs
}

func bodies(rs []driver.Reservation) string {
	var all []string
	for _, r := range rs {
		all = append(all, string(r.Body))
	}
	return strings.Join(all, " ")
}

// stored is a row of the table, times relative to now; -1 for NULL.
type stored struct {
	ID, Attempts, Reserved, Available, Created int64
	Queue, Payload                             string
}

func table(t testing.TB, db *sqldb.DB, now int64) []stored {
	t.Helper()
	rows, err := db.SQL().QueryContext(t.Context(), "SELECT id, queue, payload, attempts, reserved_at, available_at, created_at FROM jobs ORDER BY id")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var all []stored
	for rows.Next() {
		var s stored
		var reserved sql.NullInt64
		if err := rows.Scan(&s.ID, &s.Queue, &s.Payload, &s.Attempts, &reserved, &s.Available, &s.Created); err != nil {
			t.Fatal(err)
		}
		s.Reserved = -1
		if reserved.Valid {
			s.Reserved = reserved.Int64 - now
		}
		s.Available -= now
		s.Created -= now
		all = append(all, s)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

// atSecond waits for the beginning of a second and returns it, so that what
// follows happens within one.
func atSecond() int64 {
	now := time.Now()
	next := now.Truncate(time.Second).Add(time.Second)
	time.Sleep(next.Sub(now)) // the clock itself is what is waited for
	return next.Unix()
}

func TestRowsAreLaravels(t *testing.T) {
	onEach(t, func(t *testing.T, db *sqldb.DB) {
		create(t, db)
		c := queue(t, db, nil)
		push(t, c) // connects
		expect := func(what string, now int64, want ...stored) {
			t.Helper()
			if got := table(t, db, now); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("after %s the table is\n%+v, want\n%+v", what, got, want)
			}
		}
		now := atSecond()
		push(t, c, driver.Message{Body: []byte("a")}, driver.Message{Body: []byte("ü")})
		a := stored{ID: 1, Queue: "default", Payload: "a", Reserved: -1}
		b := stored{ID: 2, Queue: "default", Payload: "ü", Reserved: -1}
		expect("push", now, a, b)

		r := reserve(t, c, 1)[0]
		a.Attempts, a.Reserved = 1, 0
		expect("reserve", now, a, b)

		if err := c.Release(t.Context(), []driver.Reservation{r}, 0); err != nil {
			t.Fatal(err)
		}
		a.ID, a.Reserved = 3, -1
		expect("release", now, b, a)

		if err := c.Delete(t.Context(), reserve(t, c, 1)); err != nil {
			t.Fatal(err)
		}
		expect("delete", now, a)
	})
}

func TestRowsOfPHPAreRead(t *testing.T) {
	onEach(t, func(t *testing.T, db *sqldb.DB) {
		create(t, db)
		c := queue(t, db, nil)
		now := time.Now().Unix()
		for _, r := range []struct {
			payload             string
			attempts            int
			reserved            any
			available, created_ int64
		}{
			{"expired", 1, now - 100, now - 200, now - 200},
			{"held", 1, now - 5, now - 200, now - 200},
			{"released", 2, nil, now - 1, now - 10}, // with a delay of 9 s
			{"delayed", 0, nil, now + 100, now},
			{"new", 0, nil, now, now},
		} {
			execute(t, db, "INSERT INTO jobs (queue, payload, attempts, reserved_at, available_at, created_at) VALUES ('default', ?, ?, ?, ?, ?)",
				r.payload, r.attempts, r.reserved, r.available, r.created_)
		}
		rs := reserve(t, c, 10)
		if got := bodies(rs); got != "expired released new" {
			t.Fatalf("reserved %q, want expired, released, new by id", got)
		}
		if rs[0].Attempts != 2 || rs[1].Attempts != 3 || rs[2].Attempts != 1 {
			t.Errorf("attempts are %d %d %d, want 2 3 1", rs[0].Attempts, rs[1].Attempts, rs[2].Attempts)
		}
		if rs[0].ID != "1" {
			t.Errorf("the expired job has id %s, want 1: it is taken again in its place", rs[0].ID)
		}
		s, err := c.Size(t.Context(), "default")
		if err != nil || s.Pending != 0 || s.Delayed != 1 || s.Reserved != 4 {
			t.Errorf("Size is %+v, %v", s, err)
		}
	})
}

// TestAttemptsAtTheColumnsMaximum has a row whose attempts can't be counted
// further: it is delivered, its batch-mates too, and it is fenced all the same.
func TestAttemptsAtTheColumnsMaximum(t *testing.T) {
	onEach(t, func(t *testing.T, db *sqldb.DB) {
		full := 32767
		if db.Dialect().Name == sqldb.MySQL { // the table as Laravel 8 to 12 makes it
			full = 255
			stmts, err := schema.Statements(db.Dialect(), schema.Names{Jobs: "jobs"}, 12)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range stmts {
				execute(t, db, s)
			}
		} else {
			create(t, db)
		}
		c := queue(t, db, nil)
		push(t, c, driver.Message{Body: []byte("a")}, driver.Message{Body: []byte("full")}, driver.Message{Body: []byte("b")})
		execute(t, db, "UPDATE jobs SET attempts = ? WHERE id = 2", full)
		first := reserve(t, c, 10)
		if got := bodies(first); got != "a full b" {
			t.Fatalf("reserved %q, want all three", got)
		}
		if first[1].Attempts < full {
			t.Errorf("attempts are %d, want at least %d", first[1].Attempts, full)
		}
		// Its lease runs out and another takes it.
		execute(t, db, "UPDATE jobs SET reserved_at = reserved_at - 1000 WHERE id = 2")
		second := reserve(t, c, 10)
		if got := bodies(second); got != "full" {
			t.Fatalf("reserved %q, want the expired one", got)
		}
		if db.Dialect().Name != sqldb.SQLite { // its integers don't end
			execute(t, db, "UPDATE jobs SET reserved_at = reserved_at + 1 WHERE id = 2") // as if a second later
			late := first[1]
			if err := driver.ItemError(c.Delete(t.Context(), []driver.Reservation{late}), 0); !errors.Is(err, driver.ErrLost) {
				t.Errorf("Delete by the late holder: %v, want ErrLost", err)
			}
			execute(t, db, "UPDATE jobs SET reserved_at = reserved_at - 1 WHERE id = 2")
		}
		if err := c.Extend(t.Context(), second); err != nil {
			t.Errorf("Extend: %v", err)
		}
		if err := c.Delete(t.Context(), append(second, first[0], first[2])); err != nil {
			t.Errorf("Delete: %v", err)
		}
	})
}

func TestMissingTableSaysHowToMakeIt(t *testing.T) {
	onEach(t, func(t *testing.T, db *sqldb.DB) {
		c := queue(t, db, nil)
		_, pushErr := c.Push(t.Context(), "default", []driver.Message{{Body: []byte("x")}})
		_, reserveErr := c.Reserve(t.Context(), "default", 1)
		_, sizeErr := c.Size(t.Context(), "default")
		for verb, err := range map[string]error{"Ping": c.Ping(t.Context()), "Push": pushErr, "Reserve": reserveErr, "Size": sizeErr} {
			if err == nil || !strings.Contains(err.Error(), "spool migrate") || !strings.Contains(err.Error(), "jobs") {
				t.Errorf("%s: %v, want it to name the table and `spool migrate`", verb, err)
			}
		}
		create(t, db)
		if err := c.Ping(t.Context()); err != nil {
			t.Errorf("Ping once the table exists: %v", err)
		}
	})
}

// TestTableWithoutOurIndexes is one that PHP made and nobody migrated.
func TestTableWithoutOurIndexes(t *testing.T) {
	onEach(t, func(t *testing.T, db *sqldb.DB) {
		create(t, db)
		for _, name := range schema.IndexNames(db.Dialect(), "jobs") {
			on := ""
			if db.Dialect().Name == sqldb.MySQL {
				on = " ON jobs"
			}
			execute(t, db, "DROP INDEX "+name+on)
		}
		c := queue(t, db, nil)
		push(t, c, driver.Message{Body: []byte("a")}, driver.Message{Body: []byte("b"), Delay: time.Hour})
		rs := reserve(t, c, 10)
		if got := bodies(rs); got != "a" {
			t.Errorf("reserved %q, want a", got)
		}
		if err := c.Delete(t.Context(), rs); err != nil {
			t.Error(err)
		}
	})
}

func TestLeaseTooShort(t *testing.T) {
	db, err := sqlite.Open(filepath.Join(t.TempDir(), "q.db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := sqlqueue.New(db, &sqlqueue.Options{RetryAfter: 2 * time.Second}); err == nil || !strings.Contains(err.Error(), "retry_after of 2s") {
		t.Errorf("New with a lease of 2 s: %v", err)
	}
	c := queue(t, db, nil)
	if tr := c.Traits(); tr.Lease != 90*time.Second || tr.Renew != 15*time.Second {
		t.Errorf("lease %v, renewed after %v; want 90s and 15s", tr.Lease, tr.Renew)
	}
	if tr := queue(t, db, short()).Traits(); tr.Lease != 3*time.Second || tr.Renew != time.Second {
		t.Errorf("lease %v, renewed after %v; want 3s and 1s", tr.Lease, tr.Renew)
	}
}

// Older servers have no SKIP LOCKED.
func TestWhichServersSkipLocked(t *testing.T) {
	for version, want := range map[string]bool{
		"8.0.36": true, "8.4.0": true, "9.1.0": true, "8.0.11-log": true, "5.7.44-log": false, "5.6.51": false,
		"10.11.19-MariaDB-0+deb12u1": true, "5.5.5-10.6.12-MariaDB": true, "11.4.2-MariaDB": true, "10.5.8-MariaDB": false, "5.5.5-10.3.39-MariaDB-0+deb10u1": false, "5.5.68-MariaDB": false,
		"custom": true,
	} {
		if got := sqlqueue.SkipsLocked(version); got != want {
			t.Errorf("version %s: %v", version, got)
		}
	}
}

// TestLargestBodyOfAnyText has bodies as large as allowed that double when they
// are escaped in a statement.
func TestLargestBodyOfAnyText(t *testing.T) {
	onEach(t, func(t *testing.T, db *sqldb.DB) {
		create(t, db)
		c := queue(t, db, nil)
		for _, unit := range []string{`"`, `'`, `\`, "\n", "é", "🙂"} {
			body := strings.Repeat(unit, c.Traits().MaxBody/len(unit))
			push(t, c, driver.Message{Body: []byte(body)})
			rs := reserve(t, c, 1)
			if len(rs) != 1 || string(rs[0].Body) != body {
				t.Fatalf("%d bytes of %q didn't come back", len(body), unit)
			}
			if err := c.Delete(t.Context(), rs); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// Without the table of records the queue works, and the error says what makes
// it; jobs tables that share one don't see each other's workers.
func TestTableOfWorkers(t *testing.T) {
	db, err := sqlite.Open(filepath.Join(t.TempDir(), "queue.db"), nil)
	db = opened(t, db, err)
	if _, err := schema.Create(t.Context(), db, schema.Names{Jobs: "app_jobs"}); err != nil {
		t.Fatal(err)
	}
	c := queue(t, db, &sqlqueue.Options{Table: "app_jobs", Workers: "app_workers"})
	_, seen := c.Registered(t.Context())
	for verb, err := range map[string]error{
		"Register": c.Register(t.Context(), driver.Record{ID: "a", Body: []byte("{}")}, time.Minute), "Unregister": c.Unregister(t.Context(), "a"), "Registered": seen,
	} {
		if !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), "table app_workers is missing; `spool migrate` creates it") {
			t.Errorf("%s without the table: %v", verb, err)
		}
	}
	if err := c.Ping(t.Context()); err != nil {
		t.Errorf("Ping needs the table: %v", err)
	}
	if _, err := schema.Create(t.Context(), db, schema.Names{Workers: "app_workers"}); err != nil {
		t.Fatal(err)
	}
	other := queue(t, db, &sqlqueue.Options{Table: "other_jobs", Workers: "app_workers"})
	for id, c := range map[string]*sqlqueue.Conn{"a": c, "b": other} {
		if err := c.Register(t.Context(), driver.Record{ID: id, Body: []byte("{}")}, time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	if rs, err := c.Registered(t.Context()); err != nil || len(rs) != 1 || rs[0].ID != "a" {
		t.Errorf("records of app_jobs: %+v, %v", rs, err)
	}
}

// Where rows can't be skipped, a worker waits for the one that holds them, as
// PHP's do there, and leaves it what it has taken.
func TestWorkersWaitWithoutSkipLocked(t *testing.T) {
	db, err := mysql.Open(testserver.MySQL(t), nil)
	db = tables(t, db, err)
	c := queue(t, db, nil)
	if err := sqlqueue.AsOnAnOldServer(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	push(t, c, driver.Message{Body: []byte("taken")}, driver.Message{Body: []byte("free")})
	tx, err := db.SQL().BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	var id int64
	if err := tx.QueryRowContext(t.Context(), "SELECT id FROM jobs ORDER BY id LIMIT 1 FOR UPDATE").Scan(&id); err != nil {
		t.Fatal(err)
	}
	got := make(chan string, 1)
	var waiting sync.WaitGroup
	waiting.Go(func() {
		rs, err := c.Reserve(context.WithoutCancel(t.Context()), "default", 1)
		if err != nil || len(rs) != 1 {
			got <- fmt.Sprintf("%d jobs, %v", len(rs), err)
			return
		}
		got <- string(rs[0].Body)
	})
	defer waiting.Wait()
	select {
	case body := <-got:
		t.Fatalf("%s was reserved past a row that somebody holds", body)
	case <-time.After(300 * time.Millisecond):
	}
	if _, err := tx.ExecContext(t.Context(), "UPDATE jobs SET reserved_at = ?, attempts = 1 WHERE id = ?", time.Now().Unix(), id); err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	if body := <-got; body != "free" {
		t.Errorf("reserved after the wait: %s", body)
	}
}
