package retry

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime/debug"
	"runtime/metrics"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/failed"
	"github.com/spoolq/spool/memqueue"
	"github.com/spoolq/spool/nullqueue"
	"github.com/spoolq/spool/sqldb/schema"
	"github.com/spoolq/spool/sqldb/sqlite"
)

// setup returns a manager with the connection "main" and an empty store of
// failed jobs.
func setup(t *testing.T) (*spool.Manager, *failed.SQL) {
	t.Helper()
	m := spool.NewManager(nil)
	m.Add(spool.ConnectionConfig{Name: "main", Open: func(context.Context) (driver.Conn, error) { return memqueue.New(nil), nil }})
	db, err := sqlite.Open(filepath.Join(t.TempDir(), "failed.db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(m.Close(), db.Close()); err != nil {
			t.Error(err)
		}
	})
	if _, err := schema.Create(t.Context(), db, schema.DefaultNames()); err != nil {
		t.Fatal(err)
	}
	return m, failed.NewSQL(db, nil)
}

// fail records a job as failed.
func fail(t *testing.T, store failed.Store, connection, uuid, body string) failed.Record {
	t.Helper()
	id, err := store.Log(t.Context(), failed.Record{UUID: uuid, Connection: connection, Queue: "q", Payload: []byte(body), Exception: "broken"})
	if err != nil {
		t.Fatal(err)
	}
	rec, err := store.Find(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

// stored returns the bodies on the queue.
func stored(t *testing.T, m *spool.Manager) []string {
	t.Helper()
	c, err := m.Connection(t.Context(), "main")
	if err != nil {
		t.Fatal(err)
	}
	entries, _, err := c.List(t.Context(), "q", driver.Pending, "", 10_000)
	if err != nil {
		t.Fatal(err)
	}
	var bodies []string
	for _, e := range entries {
		bodies = append(bodies, string(e.Body))
	}
	return bodies
}

func left(t *testing.T, store failed.Store) int64 {
	t.Helper()
	n, err := store.Count(t.Context(), failed.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestOnlyAttemptsChange(t *testing.T) {
	m, store := setup(t)
	for name, pair := range map[string][2]string{
		"a job":               {`{"job":"a", "attempts" : 3,"data":{"attempts":3}}`, `{"job":"a", "attempts" : 0,"data":{"attempts":3}}`},
		"a job without count": {`{"job":"a","data":[]}`, `{"job":"a","data":[]}`},
		"no job":              {"\x00\xff no job", "\x00\xff no job"},
		"an empty body":       {"", ""},
	} {
		rec := fail(t, store, "main", name, pair[0])
		var told []Outcome
		if err := Jobs(t.Context(), m, store, []failed.Record{rec}, func(o Outcome) { told = append(told, o) }); err != nil {
			t.Fatal(err)
		}
		if len(told) != 1 || told[0].Err != nil || told[0].Record.UUID != name {
			t.Errorf("%s: told %+v", name, told)
		}
		bodies := stored(t, m)
		if len(bodies) != 1 || bodies[0] != pair[1] {
			t.Errorf("%s: stored %q, want %q", name, bodies, pair[1])
		}
		c, _ := m.Connection(t.Context(), "main")
		if _, err := c.Clear(t.Context(), "q"); err != nil {
			t.Fatal(err)
		}
	}
	if n := left(t, store); n != 0 {
		t.Errorf("%d records are left", n)
	}
}

func TestWhatCannotGoBackStays(t *testing.T) {
	m, store := setup(t)
	fail(t, store, "main", "good", `{"job":"a"}`)
	fail(t, store, "gone", "bad", `{"job":"b"}`)
	var errs []string
	err := All(t.Context(), m, store, failed.Filter{}, func(o Outcome) {
		if o.Err != nil {
			errs = append(errs, o.Record.UUID+": "+o.Err.Error())
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(errs) != 1 || !strings.HasPrefix(errs[0], `bad: connection "gone" is not configured`) {
		t.Errorf("told %q", errs)
	}
	if bodies := stored(t, m); len(bodies) != 1 || left(t, store) != 1 {
		t.Errorf("%d stored, %d left", len(bodies), left(t, store))
	}
}

// crash is a store whose process dies before records are removed.
type crash struct{ failed.Store }

func (crash) Forget(context.Context, ...string) (int64, error) { return 0, errors.New("killed") }

// TestCrashBetweenTheSteps: the job is in both places, never in none.
func TestCrashBetweenTheSteps(t *testing.T) {
	m, store := setup(t)
	rec := fail(t, store, "main", "u", `{"job":"a"}`)
	err := Jobs(t.Context(), m, crash{store}, []failed.Record{rec}, nil)
	if err == nil || !strings.Contains(err.Error(), "what was put back (1) is still recorded as failed too: killed") {
		t.Errorf("error %v", err)
	}
	if len(stored(t, m)) != 1 || left(t, store) != 1 {
		t.Errorf("%d stored, %d left", len(stored(t, m)), left(t, store))
	}
}

// TestFailedAgain: a worker that is faster than the second step records the
// job anew, and that record stays.
func TestFailedAgain(t *testing.T) {
	m, store := setup(t)
	rec := fail(t, store, "main", "u", `{"job":"a"}`)
	again := &relog{SQL: store, rec: rec}
	if err := Jobs(t.Context(), m, again, []failed.Record{rec}, nil); err != nil {
		t.Fatal(err)
	}
	if left(t, store) != 1 {
		t.Error("the record of the second failure is gone, and with it the job")
	}
}

// relog fails the job again just before its old record is removed.
type relog struct {
	*failed.SQL
	rec failed.Record
}

func (r *relog) ForgetSame(ctx context.Context, recs ...failed.Record) (int64, error) {
	again := r.rec
	again.FailedAt = time.Now()
	if _, err := r.Log(ctx, again); err != nil {
		return 0, err
	}
	return r.SQL.ForgetSame(ctx, recs...)
}

func TestAllGoesThroughEveryPage(t *testing.T) {
	m, store := setup(t)
	const n = 2*page + 7
	for i := range n {
		fail(t, store, "main", fmt.Sprint("u", i), fmt.Sprintf(`{"job":"a","data":%d}`, i))
	}
	var mu sync.Mutex
	told, requested := 0, 0
	spool.Listen(m.Events(), func(context.Context, spool.JobRetryRequested) { mu.Lock(); requested++; mu.Unlock() })
	if err := All(t.Context(), m, store, failed.Filter{Queue: "q"}, func(Outcome) { told++ }); err != nil {
		t.Fatal(err)
	}
	if got := len(stored(t, m)); got != n || told != n || requested != n || left(t, store) != 0 {
		t.Errorf("%d stored, %d told, %d requested, %d left; want %d", got, told, requested, left(t, store), n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := All(ctx, m, store, failed.Filter{}, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("under a dead context: %v", err)
	}
}

// TestManyLargeJobs: a thousand megabytes of failed jobs go back within the
// memory of a few of them.
func TestManyLargeJobs(t *testing.T) {
	if testing.Short() {
		t.Skip("long: a gigabyte of failed jobs")
	}
	db, err := sqlite.Open(filepath.Join(t.TempDir(), "failed.db"), &sqlite.Options{Synchronous: sqlite.Off})
	if err != nil {
		t.Fatal(err)
	}
	m := spool.NewManager(nil)
	m.Add(spool.ConnectionConfig{Name: "main", Open: func(context.Context) (driver.Conn, error) { return nullqueue.New(), nil }})
	t.Cleanup(func() {
		if err := errors.Join(m.Close(), db.Close()); err != nil {
			t.Error(err)
		}
	})
	if _, err := schema.Create(t.Context(), db, schema.DefaultNames()); err != nil {
		t.Fatal(err)
	}
	store := failed.NewSQL(db, nil)
	const jobs, size, bound = 200, 5 << 20, 150 << 20
	body := []byte(`{"job":"a","attempts":3,"data":"` + strings.Repeat("x", size) + `"}`)
	for i := range jobs {
		if _, err := store.Log(t.Context(), failed.Record{UUID: fmt.Sprint("u", i), Connection: "main", Queue: "q", Payload: body}); err != nil {
			t.Fatal(err)
		}
	}
	body = nil //nolint:ineffassign // it is no longer held
	debug.FreeOSMemory()
	most, before := uint64(0), held()
	pushed := 0
	spool.Listen(m.Events(), func(_ context.Context, e spool.JobRetryRequested) {
		if len(e.Body) > size {
			most = max(most, held())
		}
	})
	if err := All(t.Context(), m, store, failed.Filter{}, func(o Outcome) {
		if o.Err == nil {
			pushed++
		}
	}); err != nil {
		t.Fatal(err)
	}
	if pushed != jobs || left(t, store) != 0 {
		t.Errorf("%d pushed, %d left, want %d and none", pushed, left(t, store), jobs)
	}
	if most == 0 || most > before+bound {
		t.Errorf("it held %d MB, %d before; want at most %d more", most>>20, before>>20, bound>>20)
	}
}

// held is what this process holds, in bytes.
func held() uint64 {
	s := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64() - s[1].Value.Uint64()
}
