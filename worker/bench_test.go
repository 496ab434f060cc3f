package worker_test

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/cache"
	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/memqueue"
	"github.com/spoolq/spool/worker"
)

// stocked returns an open connection on a queue in memory with n jobs.
func stocked(tb testing.TB, n int) *spool.Connection {
	return stockedBy(tb, spool.NewManager(nil), n)
}

// stockedBy is stocked for a manager of one's own.
func stockedBy(tb testing.TB, m *spool.Manager, n int) *spool.Connection {
	tb.Helper()
	mem := memqueue.New(nil)
	m.Add(spool.ConnectionConfig{Name: "mem", Open: func(context.Context) (driver.Conn, error) { return mem, nil }})
	conn, err := m.Connection(tb.Context(), "mem")
	if err != nil {
		tb.Fatal(err)
	}
	jobs := make([]greet, n)
	for i := range jobs {
		jobs[i].Name = "Ada"
	}
	if _, err := spool.DispatchAll(tb.Context(), spool.NewClient(m, nil), jobs); err != nil {
		tb.Fatal(err)
	}
	return conn
}

// noOp returns handlers that do nothing: a typed one, or one that doesn't look
// at the job's data.
func noOp(typed bool, ran *atomic.Int64) *spool.Mux {
	mux := spool.NewMux()
	if typed {
		spool.Handle(mux, func(context.Context, greet) error { ran.Add(1); return nil })
	} else {
		mux.HandleFunc("greet", func(context.Context, *spool.Job) error { ran.Add(1); return nil })
	}
	return mux
}

// work runs a worker until the queue is empty.
func work(tb testing.TB, conn *spool.Connection, mux *spool.Mux, concurrency int) {
	tb.Helper()
	o := &worker.Options{Concurrency: concurrency, StopWhenEmpty: true, Logger: slog.New(slog.DiscardHandler)}
	if _, err := worker.New(conn, mux, o).Run(tb.Context()); err != nil {
		tb.Fatal(err)
	}
}

// BenchmarkJob is one job from reserve to delete; the store is memory.
func BenchmarkJob(b *testing.B) {
	for _, typed := range []bool{false, true} {
		for _, concurrency := range []int{1, 10, 100, 1000} {
			b.Run(fmt.Sprintf("typed=%v/concurrency=%d", typed, concurrency), func(b *testing.B) {
				var ran atomic.Int64
				mux := noOp(typed, &ran)
				conn := stocked(b, b.N)
				b.ReportAllocs()
				b.ResetTimer()
				work(b, conn, mux, concurrency)
				b.StopTimer()
				if ran.Load() != int64(b.N) {
					b.Fatalf("%d jobs ran, want %d", ran.Load(), b.N)
				}
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "jobs/s")
			})
		}
	}
}

// TestAllocationsOfAJob bounds what doesn't depend on the machine. The numbers
// include the store's own: in memory, a copy of the body and a receipt.
func TestAllocationsOfAJob(t *testing.T) {
	const jobs = 20_000
	for _, c := range []struct {
		typed       bool
		concurrency int
		most        float64
	}{{false, 1, 20}, {false, 100, 18}, {true, 100, 26}} {
		var ran atomic.Int64
		mux, conn := noOp(c.typed, &ran), stocked(t, jobs)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		work(t, conn, mux, c.concurrency)
		runtime.ReadMemStats(&after)
		got := float64(after.Mallocs-before.Mallocs) / jobs
		t.Logf("typed %v, concurrency %d: %.1f allocations a job", c.typed, c.concurrency, got)
		if ran.Load() != jobs || got > c.most {
			t.Errorf("typed %v, concurrency %d: %d jobs ran with %.1f allocations each, want %d with at most %.0f",
				c.typed, c.concurrency, ran.Load(), got, jobs, c.most)
		}
	}
}

// TestAllocationsOfAJobAmongOthers is the same where jobs may be unique,
// debounced, in chains and in batches: those that are not pay nothing for it.
func TestAllocationsOfAJobAmongOthers(t *testing.T) {
	const jobs = 20_000
	cost := func(m *spool.Manager) float64 {
		var ran atomic.Int64
		mux, conn := noOp(true, &ran), stockedBy(t, m, jobs)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		work(t, conn, mux, 1)
		runtime.ReadMemStats(&after)
		if ran.Load() != jobs {
			t.Errorf("%d jobs ran", ran.Load())
		}
		return float64(after.Mallocs-before.Mallocs) / jobs
	}
	store := cache.NewMemory()
	all := spool.NewManager(&spool.ManagerOptions{Locks: store, Signals: store})
	all.UseBatches(spool.BatchingOptions{Sweep: time.Hour, Open: func(context.Context) (spool.BatchStore, error) {
		return nil, spool.ErrNoBatches
	}})
	plain, among := cost(spool.NewManager(nil)), cost(all)
	t.Logf("%.1f allocations a job, %.1f among others", plain, among)
	if among > plain+1 {
		t.Errorf("a job costs %.1f allocations, and %.1f where others may be in batches", plain, among)
	}
}
