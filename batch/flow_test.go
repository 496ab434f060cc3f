package batch_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/batch"
	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/memqueue"
	"github.com/spoolq/spool/sqldb"
	"github.com/spoolq/spool/sqldb/schema"
	"github.com/spoolq/spool/sqldb/sqlite"
	"github.com/spoolq/spool/sqlqueue"
	"github.com/spoolq/spool/worker"
)

// Import is a member. It fails as often as Fails says.
type Import struct {
	N     int `json:"n"`
	Fails int `json:"fails,omitempty"`
}

// Told is a callback.
type Told struct {
	What string `json:"what"`
}

// app is a process: connections, handlers, and what these saw.
type app struct {
	client *spool.Client
	mux    *spool.Mux
	mu     sync.Mutex
	seen   []string
}

func (a *app) say(format string, args ...any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.seen = append(a.seen, fmt.Sprintf(format, args...))
}

func (a *app) said(prefix string) (lines []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, s := range a.seen {
		if strings.HasPrefix(s, prefix) {
			lines = append(lines, s)
		}
	}
	slices.Sort(lines)
	return lines
}

// newApp is a process over a queue and a store; sweep is how often it sweeps.
func newApp(t *testing.T, conn driver.Conn, store spool.BatchStore, sweep time.Duration) *app {
	t.Helper()
	a := &app{mux: spool.NewMux()}
	m := spool.NewManager(nil)
	m.Add(spool.ConnectionConfig{Name: "default", Open: func(context.Context) (driver.Conn, error) { return conn, nil }})
	m.UseBatches(spool.BatchingOptions{
		Open: func(context.Context) (spool.BatchStore, error) { return store, nil }, Sweep: sweep,
		Logger: slog.New(slog.DiscardHandler),
	})
	a.client = spool.NewClient(m, nil)
	spool.Handle(a.mux, func(ctx context.Context, job Import) error {
		j := spool.JobFrom(ctx)
		a.say("import %d", job.N)
		if j.Attempt <= job.Fails {
			return fmt.Errorf("import %d has failed", job.N)
		}
		return nil
	})
	spool.Handle(a.mux, func(ctx context.Context, job Told) error {
		b, err := spool.BatchFrom(ctx)
		if err != nil {
			return err
		}
		a.say("told %s of %s: %d/%d, %d failed", job.What, b.Name, b.Processed(), b.Total, b.Failed)
		return nil
	})
	return a
}

// work runs a worker until no job is left.
func (a *app) work(t *testing.T, queues ...string) {
	t.Helper()
	conn, err := a.client.Manager().Connection(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	w := worker.New(conn, a.mux, &worker.Options{Queues: queues, StopWhenEmpty: true, Logger: slog.New(slog.DiscardHandler)})
	if _, err := w.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// stores are those that a process may die over: what is in memory dies with it.
func onStores(t *testing.T, test func(t *testing.T, conn driver.Conn, store func() spool.BatchStore)) {
	t.Run("memory", func(t *testing.T) {
		conn, s := memqueue.New(nil), batch.NewMemory()
		test(t, conn, func() spool.BatchStore { return s })
	})
	t.Run("sqlite", func(t *testing.T) {
		names := tables
		names.Jobs = "jobs"
		db := database(t, sqldb.SQLite, names, 13)
		conn, err := sqlqueue.New(db, nil)
		if err != nil {
			t.Fatal(err)
		}
		test(t, conn, func() spool.BatchStore { return batch.NewSQL(db, nil) })
	})
}

func callbacks(b *spool.PendingBatch) *spool.PendingBatch {
	return b.Progress(Told{"progress"}).Then(Told{"then"}).Catch(Told{"catch"}).Finally(Told{"finally"})
}

func want(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestBatchThatSucceeds(t *testing.T) {
	onStores(t, func(t *testing.T, conn driver.Conn, store func() spool.BatchStore) {
		a := newApp(t, conn, store(), -1)
		events := listen(a)
		var jobs []any
		for i := range 30 {
			jobs = append(jobs, Import{N: i})
		}
		b, err := callbacks(a.client.Batch(jobs...).Name("CSV")).Before(func(_ context.Context, b *spool.Batch) error {
			a.say("before: %d", b.Total)
			return nil
		}).Dispatch(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if b.Total != 30 || b.Pending != 30 || b.Progress() != 0 || b.Finished() {
			t.Errorf("dispatched: %+v", b.BatchRecord)
		}
		start := time.Now()
		a.work(t)
		want(t, a.said("before"), "before: 0")
		want(t, a.said("told then"), "told then of CSV: 30/30, 0 failed")
		want(t, a.said("told finally"), "told finally of CSV: 30/30, 0 failed")
		want(t, a.said("told catch"))
		// Once a second, and at the end.
		if n := len(a.said("told progress")); n < 1 || n > 3+int(time.Since(start)/time.Second) {
			t.Errorf("told of progress %d times", n)
		}
		if b, err = b.Fresh(t.Context()); err != nil || !b.Finished() || b.Progress() != 100 {
			t.Errorf("at last: %+v, %v", b.BatchRecord, err)
		}
		want(t, *events, "dispatched CSV 30", "started", "finished")
	})
}

func listen(a *app) *[]string {
	var mu sync.Mutex
	var seen []string
	add := func(s string) {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, s)
	}
	e := a.client.Manager().Events()
	spool.Listen(e, func(_ context.Context, e spool.BatchDispatched) {
		add(fmt.Sprintf("dispatched %s %d", e.Name, e.Total))
	})
	spool.Listen(e, func(context.Context, spool.BatchStarted) { add("started") })
	spool.Listen(e, func(context.Context, spool.BatchFinished) { add("finished") })
	spool.Listen(e, func(context.Context, spool.BatchCancelled) { add("cancelled") })
	return &seen
}

func TestBatchThatFails(t *testing.T) {
	onStores(t, func(t *testing.T, conn driver.Conn, store func() spool.BatchStore) {
		a := newApp(t, conn, store(), -1)
		events := listen(a)
		b, err := callbacks(a.client.Batch(Import{N: 1}, Import{N: 2, Fails: 9}, Import{N: 3, Fails: 9}).Name("x")).Dispatch(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		a.work(t)
		if len(a.said("told catch")) != 1 || len(a.said("told finally")) != 1 || len(a.said("told then")) != 0 {
			t.Errorf("told %q", a.said("told"))
		}
		if b, err = b.Fresh(t.Context()); err != nil || !b.Cancelled() || !b.Ended() || b.Pending != 2 || b.Failed != 2 || len(b.FailedIDs) != 2 {
			t.Errorf("at last: %+v, %v", b.BatchRecord, err)
		}
		want(t, *events, "dispatched x 3", "started", "cancelled")
	})
}

func TestEmptyBatch(t *testing.T) {
	onStores(t, func(t *testing.T, conn driver.Conn, store func() spool.BatchStore) {
		a := newApp(t, conn, store(), -1)
		b, err := callbacks(a.client.Batch().Name("none")).Dispatch(t.Context())
		if err != nil || !b.Finished() || b.Progress() != 0 {
			t.Fatalf("%+v, %v", b, err)
		}
		a.work(t)
		want(t, a.said("told"), "told finally of none: 0/0, 0 failed", "told progress of none: 0/0, 0 failed", "told then of none: 0/0, 0 failed")
	})
}

func TestCallbackThatFailsIsAJobThatFails(t *testing.T) {
	onStores(t, func(t *testing.T, conn driver.Conn, store func() spool.BatchStore) {
		a := newApp(t, conn, store(), 5*time.Millisecond)
		var runs int
		a.mux.HandleFunc("Broken", func(context.Context, *spool.Job) error {
			a.mu.Lock()
			defer a.mu.Unlock()
			runs++
			return errors.New("broken")
		})
		b, err := a.client.Batch(Import{N: 1}).Then(spool.WithName("Broken", nil, spool.Tries(2))).Finally(Told{"finally"}).Dispatch(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		a.work(t)
		a.work(t) // what a sweep might have pushed again
		if b, _ = b.Fresh(t.Context()); runs != 2 || !b.Finished() || b.Failed != 0 || len(a.said("told finally")) != 1 {
			t.Errorf("ran %d times, %+v, told %q", runs, b.BatchRecord, a.said("told"))
		}
	})
}

func TestCancelledMembersAreSkipped(t *testing.T) {
	onStores(t, func(t *testing.T, conn driver.Conn, store func() spool.BatchStore) {
		a := newApp(t, conn, store(), -1)
		a.mux.HandleFunc("Skips", func(context.Context, *spool.Job) error { a.say("ran"); return nil }, spool.Through(spool.SkipIfBatchCancelled))
		skips := spool.WithName("Skips", nil)
		b, err := a.client.Batch(skips, skips).Finally(Told{"finally"}).Dispatch(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Cancel(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := spool.Push(t.Context(), a.client, "Skips", nil); err != nil { // of no batch
			t.Fatal(err)
		}
		a.work(t)
		want(t, a.said("ran"), "ran")
		if b, _ = b.Fresh(t.Context()); b.Pending != 0 || !b.Cancelled() || len(a.said("told")) != 1 {
			t.Errorf("%+v %q", b.BatchRecord, a.said("told"))
		}
	})
}

func TestAddFromInside(t *testing.T) {
	onStores(t, func(t *testing.T, conn driver.Conn, store func() spool.BatchStore) {
		a := newApp(t, conn, store(), -1)
		a.mux.HandleFunc("Split", func(ctx context.Context, job *spool.Job) error {
			b, err := spool.BatchFrom(ctx)
			if err != nil {
				return err
			}
			return b.Add(ctx, Import{N: 1}, spool.With(Import{N: 2}, spool.OnQueue("other")), Import{N: 3})
		})
		b, err := a.client.Batch(spool.WithName("Split", nil)).OnQueue("first").Name("s").Then(Told{"then"}).Dispatch(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		a.work(t, "first", "other")
		want(t, a.said("import"), "import 1", "import 2", "import 3")
		want(t, a.said("told"), "told then of s: 4/4, 0 failed")
		if b, _ = b.Fresh(t.Context()); b.Total != 4 || !b.Finished() {
			t.Errorf("%+v", b.BatchRecord)
		}
	})
}

func TestWait(t *testing.T) {
	a := newApp(t, memqueue.New(nil), batch.NewMemory(), -1)
	b, err := a.client.Batch(Import{N: 1}, Import{N: 2, Fails: 9}, Import{N: 3}).AllowFailures().Dispatch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.Wait(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("waiting in vain: %v", err)
	}
	var wg sync.WaitGroup
	wg.Go(func() { a.work(t) })
	last := ""
	b, err = b.Wait(t.Context(), func(b *spool.Batch) { last = fmt.Sprint(b.Processed(), b.Failed) })
	wg.Wait()
	if err != nil || last != "2 1" || b.Cancelled() || b.Finished() || !b.Ended() {
		t.Errorf("%+v, %q, %v", b.BatchRecord, last, err)
	}
}

func TestSeveralWorkers(t *testing.T) {
	onStores(t, func(t *testing.T, conn driver.Conn, store func() spool.BatchStore) {
		apps := []*app{newApp(t, conn, store(), time.Millisecond), newApp(t, conn, store(), time.Millisecond)}
		var jobs []any
		for i := range 500 {
			jobs = append(jobs, Import{N: i, Fails: i % 50 / 49}) // one in fifty fails at first
		}
		b, err := apps[0].client.Batch(jobs...).Name("w").AllowFailures().Then(Told{"then"}).Catch(Told{"catch"}).Finally(Told{"finally"}).Dispatch(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for _, a := range apps {
			wg.Go(func() { a.work(t) })
		}
		wg.Wait()
		apps[0].work(t) // what the sweeper of one pushed when the other had looked for the last time
		told := append(apps[0].said("told"), apps[1].said("told")...)
		slices.Sort(told)
		if b, _ = b.Fresh(t.Context()); b.Pending != 10 || b.Failed != 10 || len(told) != 2 {
			t.Errorf("%d pending, %d failed, told %q", b.Pending, b.Failed, told)
		}
	})
}

// TestWithoutOwnTables works as Laravel does.
func TestWithoutOwnTables(t *testing.T) {
	db := database(t, sqldb.SQLite, schema.Names{Jobs: "jobs", JobBatches: "job_batches"}, 8)
	conn, err := sqlqueue.New(db, nil)
	if err != nil {
		t.Fatal(err)
	}
	a := newApp(t, conn, batch.NewSQL(db, nil), 5*time.Millisecond)
	b, err := callbacks(a.client.Batch(Import{N: 1}, Import{N: 2, Fails: 9}).AllowFailures().Name("p")).Dispatch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	a.work(t)
	if b, _ = b.Fresh(t.Context()); b.Pending != 1 || b.Failed != 1 || len(a.said("told catch")) != 1 || len(a.said("told finally")) != 1 {
		t.Errorf("%+v, told %q", b.BatchRecord, a.said("told"))
	}
	if n, err := batch.NewSQL(db, nil).Prune(t.Context(), spool.UnfinishedBatches, time.Now().Add(time.Hour)); n != 1 || err != nil {
		t.Errorf("pruned %d, %v", n, err)
	}
}

func openSQLite(t *testing.T) *sqldb.DB {
	t.Helper()
	db, err := sqlite.Open(filepath.Join(t.TempDir(), "x.db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func TestNoStore(t *testing.T) {
	c := spool.Connect(memqueue.New(nil))
	if _, err := c.Batch(Import{}).Dispatch(t.Context()); !errors.Is(err, spool.ErrNoBatches) {
		t.Errorf("dispatch: %v", err)
	}
	if _, err := c.FindBatch(t.Context(), "x"); !errors.Is(err, spool.ErrNoBatches) {
		t.Errorf("find: %v", err)
	}
	if _, err := spool.BatchFrom(t.Context()); !errors.Is(err, spool.ErrNotBatched) {
		t.Errorf("outside of a job: %v", err)
	}
	a := newApp(t, memqueue.New(nil), batch.NewSQL(openSQLite(t), nil), -1)
	if _, err := a.client.Batch(Import{}).Dispatch(t.Context()); err == nil {
		t.Error("without a table: no error")
	}
}
