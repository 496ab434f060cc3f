//go:build unix

package batch_test

import (
	"context"
	"crypto/rand"
	"log/slog"
	"syscall"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/batch"
	"github.com/spoolq/spool/batch/redisbatch"
	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/internal/testserver"
	"github.com/spoolq/spool/redisqueue"
	"github.com/spoolq/spool/sqldb"
	"github.com/spoolq/spool/sqlqueue"
	"github.com/spoolq/spool/worker"
)

// BenchmarkBatch dispatches and works b.N jobs without a batch, then as many in
// one, on the same store, and reports both rates and their ratios. Run it with
// -benchtime=100000x.
func BenchmarkBatch(b *testing.B) {
	for _, kind := range []string{sqldb.SQLite, sqldb.Postgres, sqldb.MySQL, "redis"} {
		b.Run(kind, func(b *testing.B) {
			conn, store := benchStore(b, kind)
			var dispatch, drain, cpu [2]time.Duration
			b.ResetTimer()
			for i, inBatch := range []bool{false, true} {
				before := ownCPU(b)
				dispatch[i], drain[i] = benchRun(b, conn, store, inBatch)
				cpu[i] = ownCPU(b) - before
			}
			rate := func(d time.Duration) float64 { return float64(b.N) / d.Seconds() }
			b.ReportMetric(rate(dispatch[0]), "push/s")
			b.ReportMetric(rate(dispatch[1]), "push-batched/s")
			b.ReportMetric(float64(dispatch[0])/float64(dispatch[1]), "push-ratio")
			b.ReportMetric(rate(drain[0]), "drain/s")
			b.ReportMetric(rate(drain[1]), "drain-batched/s")
			b.ReportMetric(float64(drain[0])/float64(drain[1]), "drain-ratio")
			b.ReportMetric(float64(cpu[0].Microseconds())/float64(b.N), "cpu-µs/job")
			b.ReportMetric(float64(cpu[1].Microseconds())/float64(b.N), "cpu-batched-µs/job")
		})
	}
}

// ownCPU is the CPU time of this process, which is the client's.
func ownCPU(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func benchStore(b *testing.B, kind string) (driver.Conn, spool.BatchStore) {
	b.Helper()
	if kind == "redis" {
		client, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{testserver.Redis(b)}, DisableCache: true})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(client.Close)
		prefix := rand.Text() + "_"
		conn, err := redisqueue.New(client, &redisqueue.Options{Prefix: prefix})
		if err != nil {
			b.Fatal(err)
		}
		return conn, redisbatch.New(client, &redisbatch.Options{Prefix: prefix})
	}
	names := tables
	names.Jobs = "jobs"
	db := database(b, kind, names, 13)
	conn, err := sqlqueue.New(db, nil)
	if err != nil {
		b.Fatal(err)
	}
	return conn, batch.NewSQL(db, nil)
}

// benchRun returns how long it took to dispatch b.N jobs, and to work them.
func benchRun(b *testing.B, conn driver.Conn, store spool.BatchStore, inBatch bool) (dispatch, drain time.Duration) {
	b.Helper()
	m := spool.NewManager(nil)
	m.Add(spool.ConnectionConfig{Name: "default", Open: func(context.Context) (driver.Conn, error) { return conn, nil }})
	m.UseBatches(spool.BatchingOptions{Open: func(context.Context) (spool.BatchStore, error) { return store, nil }})
	client := spool.NewClient(m, nil)
	mux := spool.NewMux()
	spool.Handle(mux, func(context.Context, Import) error { return nil })
	jobs := make([]Import, b.N)
	members := make([]any, b.N)
	for i := range jobs {
		jobs[i].N = i
		members[i] = jobs[i]
	}
	start := time.Now()
	var pending *spool.Batch
	var err error
	if inBatch {
		pending, err = client.Batch(members...).Dispatch(b.Context())
	} else {
		_, err = spool.DispatchAll(b.Context(), client, jobs)
	}
	if err != nil {
		b.Fatal(err)
	}
	dispatch = time.Since(start)

	c, err := m.Connection(b.Context(), "")
	if err != nil {
		b.Fatal(err)
	}
	start = time.Now()
	w := worker.New(c, mux, &worker.Options{Concurrency: 200, StopWhenEmpty: true, Logger: slog.New(slog.DiscardHandler)})
	if _, err := w.Run(b.Context()); err != nil {
		b.Fatal(err)
	}
	drain = time.Since(start)
	if inBatch {
		if pending, err = pending.Fresh(b.Context()); err != nil || pending.Total != b.N || !pending.Finished() {
			b.Fatalf("%+v, %v", pending.BatchRecord, err)
		}
	}
	return dispatch, drain
}
