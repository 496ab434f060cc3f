package redisqueue

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/internal/testserver"
)

const batch = 100

// envelope is a Laravel payload of about 630 bytes, the size of a small class job.
func envelope(i int) string {
	return fmt.Sprintf(`{"uuid":"e385264f-0000-4000-8000-%012d","displayName":"App\\Jobs\\BenchJob","job":"Illuminate\\Queue\\CallQueuedHandler@call","maxTries":null,"maxExceptions":null,"failOnTimeout":false,"backoff":null,"timeout":null,"retryUntil":null,"data":{"commandName":"App\\Jobs\\BenchJob","command":"O:17:\"App\\Jobs\\BenchJob\":11:{s:1:\"n\";i:%d;s:3:\"job\";N;s:10:\"connection\";N;s:5:\"queue\";N;s:15:\"chainConnection\";N;s:10:\"chainQueue\";N;s:19:\"chainCatchCallbacks\";N;s:5:\"delay\";N;s:11:\"afterCommit\";N;s:10:\"middleware\";a:0:{}s:7:\"chained\";a:0:{}}"},"id":"vtobBStmVoDyG2UdqhVO%012d","attempts":0}`, i, i, i)
}

func envelopes(from, n int) []driver.Message {
	ms := make([]driver.Message, n)
	for i := range ms {
		ms[i] = driver.Message{ID: fmt.Sprint(from + i), Body: []byte(envelope(from + i))}
	}
	return ms
}

func perJob(b *testing.B, jobs int) {
	b.ReportMetric(float64(jobs)/b.Elapsed().Seconds(), "jobs/s")
	b.ReportMetric(0, "ns/op")
}

func BenchmarkPushBulk(b *testing.B) {
	c := connect(b, open(b, testserver.Redis(b)), Options{})
	b.Cleanup(func() { clear(b, c) })
	ms := envelopes(0, batch)
	b.ReportAllocs()
	for b.Loop() {
		push(b, c, "q", ms...)
	}
	perJob(b, b.N*batch)
}

func BenchmarkPush16(b *testing.B) {
	c := connect(b, open(b, testserver.Redis(b)), Options{})
	b.Cleanup(func() { clear(b, c) })
	ms := envelopes(0, 1)
	b.SetParallelism(8)
	b.ReportAllocs()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			push(b, c, "q", ms...)
		}
	})
	perJob(b, b.N)
}

// BenchmarkDrain is Reserve(100) and Delete of the 100.
func BenchmarkDrain(b *testing.B) {
	c := connect(b, open(b, testserver.Redis(b)), Options{})
	b.Cleanup(func() { clear(b, c) })
	stock(b, c, b.N)
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		rs := reserve(b, c, "q", batch)
		if len(rs) != batch {
			b.Fatalf("%d jobs", len(rs))
		}
		if err := c.Delete(context.Background(), rs); err != nil {
			b.Fatal(err)
		}
	}
	perJob(b, b.N*batch)
}

// BenchmarkDrainRaw is the same work done by the bare commands: Laravel's pop
// for 100 jobs in one script (cjson and all), and one ZREM of 100.
func BenchmarkDrainRaw(b *testing.B) {
	client := open(b, testserver.Redis(b))
	c := connect(b, client, Options{})
	b.Cleanup(func() { clear(b, c) })
	stock(b, c, b.N)
	pop := newScript(`
local out = {}
for i = 1, tonumber(ARGV[2]) do
  local job = redis.call('LPOP', KEYS[1])
  if not job then break end
  local doc = cjson.decode(job)
  doc.attempts = doc.attempts + 1
  local held = cjson.encode(doc)
  redis.call('ZADD', KEYS[2], ARGV[1], held)
  redis.call('LPOP', KEYS[3])
  out[i] = held
end
return out`)
	k := c.keys("q")
	ctx := context.Background()
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		held, err := c.run(ctx, pop, []string{k.ready, k.reserved, k.notify}, []string{"1795179303", "100"}).AsStrSlice()
		if err != nil || len(held) != batch {
			b.Fatal(len(held), err)
		}
		if n, err := client.Do(ctx, client.B().Zrem().Key(k.reserved).Member(held...).Build()).ToInt64(); n != batch {
			b.Fatal(n, err)
		}
	}
	perJob(b, b.N*batch)
}

// BenchmarkDrainOne is one job at a time from one goroutine.
func BenchmarkDrainOne(b *testing.B) {
	c := connect(b, open(b, testserver.Redis(b)), Options{})
	b.Cleanup(func() { clear(b, c) })
	stock(b, c, b.N/batch+1)
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		if err := c.Delete(context.Background(), reserve(b, c, "q", 1)); err != nil {
			b.Fatal(err)
		}
	}
	perJob(b, b.N)
}

// BenchmarkPushBulkRaw is the two variadic commands without anything around.
func BenchmarkPushBulkRaw(b *testing.B) {
	client := open(b, testserver.Redis(b))
	c := connect(b, client, Options{})
	b.Cleanup(func() { clear(b, c) })
	bodies := make([]string, batch)
	for i := range bodies {
		bodies[i] = envelope(i)
	}
	k := c.keys("q")
	ones := strings.Split(strings.Repeat("1", batch), "")
	b.ReportAllocs()
	for b.Loop() {
		for _, r := range client.DoMulti(context.Background(),
			client.B().Rpush().Key(k.ready).Element(bodies...).Build(),
			client.B().Rpush().Key(k.notify).Element(ones...).Build()) {
			if err := r.Error(); err != nil {
				b.Fatal(err)
			}
		}
	}
	perJob(b, b.N*batch)
}

func stock(b *testing.B, c *Conn, batches int) {
	b.Helper()
	for i := range batches {
		push(b, c, "q", envelopes(i*batch, batch)...)
	}
}

func clear(b *testing.B, c *Conn) {
	b.Helper()
	if _, err := c.Clear(context.Background(), "q"); err != nil {
		b.Error(err)
	}
}

// BenchmarkWake is the time from a push to its job being in the hands of a
// worker that waited.
func BenchmarkWake(b *testing.B) {
	addr := testserver.Redis(b)
	client := open(b, addr)
	worker := connect(b, client, Options{})
	producer := connect(b, open(b, addr), Options{Prefix: worker.opts.Prefix})
	b.Cleanup(func() { clear(b, worker) })
	taken := make(chan time.Time)
	go func() {
		defer close(taken)
		for n := 0; n < b.N; {
			if err := worker.Wait(context.Background(), []string{"q"}, time.Minute); err != nil {
				return
			}
			rs, err := worker.Reserve(context.Background(), "q", 1)
			if err != nil {
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
		push(b, producer, "q", envelopes(i, 1)...)
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
