package beanstalkqueue

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/internal/testserver"
)

const batch = 100

// envelope is a Laravel payload of about 600 bytes, the size of a small class job.
func envelope(i int) string {
	return fmt.Sprintf(`{"uuid":"e385264f-0000-4000-8000-%012d","displayName":"App\\Jobs\\BenchJob","job":"Illuminate\\Queue\\CallQueuedHandler@call","maxTries":null,"maxExceptions":null,"failOnTimeout":false,"backoff":null,"timeout":null,"retryUntil":null,"data":{"commandName":"App\\Jobs\\BenchJob","command":"O:17:\"App\\Jobs\\BenchJob\":11:{s:1:\"n\";i:%d;s:3:\"job\";N;s:10:\"connection\";N;s:5:\"queue\";N;s:15:\"chainConnection\";N;s:10:\"chainQueue\";N;s:19:\"chainCatchCallbacks\";N;s:5:\"delay\";N;s:11:\"afterCommit\";N;s:10:\"middleware\";a:0:{}s:7:\"chained\";a:0:{}}"}}`, i, i)
}

func envelopes(n int) []driver.Message {
	ms := make([]driver.Message, n)
	for i := range ms {
		ms[i].Body = []byte(envelope(i))
	}
	return ms
}

func perJob(b *testing.B, jobs int) {
	b.ReportMetric(float64(jobs)/b.Elapsed().Seconds(), "jobs/s")
	b.ReportMetric(0, "ns/op")
}

// raw is the protocol without anything around it: what a loop written for one
// benchmark would do.
type raw struct {
	testing.TB
	conn net.Conn
	r    *bufio.Reader
}

func dialRaw(t testing.TB) *raw {
	t.Helper()
	conn, err := net.Dial("tcp", testserver.Beanstalkd(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &raw{t, conn, bufio.NewReaderSize(conn, 64<<10)}
}

// do writes commands and returns their n answers.
func (r *raw) do(text []byte, n int) []answer {
	r.Helper()
	if _, err := r.conn.Write(text); err != nil {
		r.Fatal(err)
	}
	answers := make([]answer, n)
	for i := range answers {
		a, err := readAnswer(r.r)
		if err != nil {
			r.Fatal(err)
		}
		answers[i] = a
	}
	return answers
}

func (r *raw) tubes(name string) {
	r.do([]byte("use "+name+"\r\nwatch "+name+"\r\nignore default\r\n"), 3)
}

func (r *raw) put(bodies ...[]byte) {
	var text []byte
	for _, b := range bodies {
		text = fmt.Appendf(text, "put 1024 0 90 %d\r\n%s\r\n", len(b), b)
	}
	for _, a := range r.do(text, len(bodies)) {
		if a.word != wordInserted {
			r.Fatal(a.word)
		}
	}
}

// drain reserves and deletes n jobs, with their attempts if asked for.
func (r *raw) drain(n int, attempts bool) {
	var stats, del []byte
	for _, a := range r.do([]byte(strings.Repeat(reserveNow, n)), n) {
		if a.word != wordReserved {
			r.Fatal(a.word)
		}
		stats = appendCommand(stats, "stats-job ", a.id)
		del = appendCommand(del, "delete ", a.id)
	}
	if attempts {
		for _, a := range r.do(stats, n) {
			if count(a.body, "reserves") != 1 {
				r.Fatalf("%q", a.body)
			}
		}
	}
	for _, a := range r.do(del, n) {
		if a.word != wordDeleted {
			r.Fatal(a.word)
		}
	}
}

func clear1(b *testing.B, c *Conn, queue string) {
	b.Helper()
	if _, err := c.Clear(context.Background(), queue); err != nil {
		b.Error(err)
	}
}

func BenchmarkPushBulk(b *testing.B) {
	c, q := open(b, testserver.Beanstalkd(b), nil), tube()
	b.Cleanup(func() { clear1(b, c, q) })
	ms := envelopes(batch)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Push(context.Background(), q, ms); err != nil {
			b.Fatal(err)
		}
	}
	perJob(b, b.N*batch)
}

func BenchmarkPushBulkRaw(b *testing.B) {
	c, q, r := open(b, testserver.Beanstalkd(b), nil), tube(), dialRaw(b)
	b.Cleanup(func() { clear1(b, c, q) })
	r.tubes(q)
	bodies := make([][]byte, batch)
	for i := range bodies {
		bodies[i] = []byte(envelope(i))
	}
	for b.Loop() {
		r.put(bodies...)
	}
	perJob(b, b.N*batch)
}

func BenchmarkPush1(b *testing.B) {
	c, q := open(b, testserver.Beanstalkd(b), nil), tube()
	b.Cleanup(func() { clear1(b, c, q) })
	ms := envelopes(1)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Push(context.Background(), q, ms); err != nil {
			b.Fatal(err)
		}
	}
	perJob(b, b.N)
}

func BenchmarkPush1Raw(b *testing.B) {
	c, q, r := open(b, testserver.Beanstalkd(b), nil), tube(), dialRaw(b)
	b.Cleanup(func() { clear1(b, c, q) })
	r.tubes(q)
	body := []byte(envelope(1))
	for b.Loop() {
		r.put(body)
	}
	perJob(b, b.N)
}

// BenchmarkPush16 is 16 goroutines that push one job after another.
func BenchmarkPush16(b *testing.B) {
	c, q := open(b, testserver.Beanstalkd(b), nil), tube()
	b.Cleanup(func() { clear1(b, c, q) })
	ms := envelopes(1)
	b.SetParallelism(8)
	b.ReportAllocs()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			if _, err := c.Push(context.Background(), q, ms); err != nil {
				b.Error(err)
				return
			}
		}
	})
	perJob(b, b.N)
}

func stock(b *testing.B, c *Conn, queue string, batches int) {
	b.Helper()
	ms := envelopes(batch)
	for range batches {
		if _, err := c.Push(context.Background(), queue, ms); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkDrain is Reserve(100) and Delete of the 100.
func BenchmarkDrain(b *testing.B) {
	c, q := open(b, testserver.Beanstalkd(b), nil), tube()
	stock(b, c, q, b.N+1)
	b.Cleanup(func() { clear1(b, c, q) })
	drainOnce := func() {
		rs := reserve(b, c, q, batch)
		if err := c.Delete(context.Background(), rs); err != nil {
			b.Fatal(err)
		}
	}
	drainOnce() // so that the first go knows how many there are
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		drainOnce()
	}
	perJob(b, b.N*batch)
}

// BenchmarkDrainRaw does as BenchmarkDrain does, attempts included.
func BenchmarkDrainRaw(b *testing.B) { drainRaw(b, batch, true) }

// BenchmarkDrainRawBare leaves out the attempts.
func BenchmarkDrainRawBare(b *testing.B) { drainRaw(b, batch, false) }

// BenchmarkDrainOneRaw is one job at a time, attempts included.
func BenchmarkDrainOneRaw(b *testing.B) { drainRaw(b, 1, true) }

func drainRaw(b *testing.B, n int, attempts bool) {
	c, q, r := open(b, testserver.Beanstalkd(b), nil), tube(), dialRaw(b)
	stock(b, c, q, b.N*n/batch+1)
	b.Cleanup(func() { clear1(b, c, q) })
	r.tubes(q)
	b.ResetTimer()
	for range b.N {
		r.drain(n, attempts)
	}
	perJob(b, b.N*n)
}

// BenchmarkDrainOne is one job at a time from one goroutine.
func BenchmarkDrainOne(b *testing.B) {
	c, q := open(b, testserver.Beanstalkd(b), nil), tube()
	stock(b, c, q, b.N/batch+1)
	b.Cleanup(func() { clear1(b, c, q) })
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		if err := c.Delete(context.Background(), reserve(b, c, q, 1)); err != nil {
			b.Fatal(err)
		}
	}
	perJob(b, b.N)
}

// BenchmarkWake is the time from a push to its job being in the hands of a
// worker that waited.
func BenchmarkWake(b *testing.B) {
	addr, q := testserver.Beanstalkd(b), tube()
	worker, producer := open(b, addr, nil), open(b, addr, nil)
	taken := make(chan time.Time)
	go func() {
		defer close(taken)
		for n := 0; n < b.N; {
			if err := worker.Wait(context.Background(), []string{q}, time.Minute); err != nil {
				return
			}
			rs, err := worker.Reserve(context.Background(), q, 1)
			if err != nil || worker.Delete(context.Background(), rs) != nil {
				return
			}
			for range rs {
				n++
				taken <- time.Now()
			}
		}
	}()
	var all []time.Duration
	for i := range b.N {
		time.Sleep(2 * time.Millisecond) // so that the worker waits again
		start := time.Now()
		push(b, producer, q, envelope(i))
		at, ok := <-taken
		if !ok {
			b.Fatal("the worker has stopped")
		}
		all = append(all, at.Sub(start))
	}
	slices.Sort(all)
	b.ReportMetric(float64(all[len(all)/2].Microseconds()), "µs-p50")
	b.ReportMetric(float64(all[len(all)*99/100].Microseconds()), "µs-p99")
	b.ReportMetric(0, "ns/op")
}
