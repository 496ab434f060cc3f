package drivertest

import (
	"crypto/rand"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/spoolq/spool/driver"
)

// batch is how many jobs a bulk call of the benchmarks carries.
const batch = 100

// Benchmark measures, as sub-benchmarks, pushing one job after another (push),
// pushing in bulk (bulk) and draining in bulk, which is to reserve and delete
// (drain). One operation is one job; jobs/s is reported too. The calls follow
// each other: what concurrency adds is not measured here. Queues are left empty.
func Benchmark(b *testing.B, conn driver.Conn) {
	b.Run("push", func(b *testing.B) {
		w := newWorkload(b, conn)
		for b.Loop() {
			w.push(1)
		}
		w.finish(b.N)
	})
	b.Run("bulk", func(b *testing.B) {
		w := newWorkload(b, conn)
		b.ResetTimer()
		for n := 0; n < b.N; n += batch {
			w.push(min(batch, b.N-n))
		}
		w.finish(b.N)
	})
	b.Run("drain", func(b *testing.B) {
		w := newWorkload(b, conn)
		for n := 0; n < b.N; n += batch {
			w.push(min(batch, b.N-n))
		}
		b.ResetTimer()
		n := w.drain()
		w.finish(b.N)
		if n != b.N {
			b.Errorf("%d jobs were drained, want %d", n, b.N)
		}
	})
}

// A workload is a queue and the messages to fill it with, shaped like a small
// Laravel job.
type workload struct {
	*testing.B
	conn  driver.Conn
	queue string
	n     int // messages made
}

func newWorkload(b *testing.B, conn driver.Conn) *workload {
	b.Helper()
	b.ReportAllocs()
	return &workload{B: b, conn: conn, queue: "bench-" + strings.ToLower(rand.Text()[:10])}
}

func (w *workload) push(n int) {
	w.Helper()
	ms := make([]driver.Message, n)
	for i := range ms {
		w.n++
		id := "bench-" + strconv.Itoa(w.n)
		ms[i] = driver.Message{ID: id, Body: fmt.Appendf(nil,
			`{"uuid":"%s","displayName":"SendReminderEmail","job":"SendReminderEmail","maxTries":3,"timeout":60,"data":{"user_id":1,"lang":"de"},"id":"%s","attempts":0}`, id, id)}
	}
	if _, err := w.conn.Push(w.Context(), w.queue, ms); err != nil {
		w.Fatal(err)
	}
}

// drain empties the queue and returns how many jobs there were.
func (w *workload) drain() (n int) {
	w.Helper()
	for {
		rs, err := w.conn.Reserve(w.Context(), w.queue, batch)
		if err != nil {
			w.Fatal(err)
		}
		if len(rs) == 0 {
			return n
		}
		n += len(rs)
		if err := w.conn.Delete(w.Context(), rs); err != nil {
			w.Fatal(err)
		}
	}
}

// finish reports the rate of n jobs and empties the queue off the clock.
func (w *workload) finish(n int) {
	w.Helper()
	w.StopTimer()
	w.ReportMetric(float64(n)/w.Elapsed().Seconds(), "jobs/s")
	w.drain()
}
