package beanstalkqueue

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/internal/testserver"
)

func TestOptions(t *testing.T) {
	t.Parallel()
	addr := testserver.Beanstalkd(t)
	c := open(t, addr, nil)
	want := driver.Traits{
		Driver: "beanstalkd", MaxBody: 65535, MaxDelay: (1<<32 - 1) * time.Second,
		Lease: 90 * time.Second, Renew: time.Second, Resolution: time.Second,
	}
	if got := c.Traits(); got != want {
		t.Errorf("traits are %+v, want %+v", got, want)
	}
	if got := open(t, addr, &Options{RetryAfter: 3500 * time.Millisecond}).Traits().Lease; got != 4*time.Second {
		t.Errorf("a lease of 3.5 s became %v, want 4 s", got)
	}
	for _, d := range []time.Duration{time.Second, -time.Second, 1 << 62} {
		if _, err := Open(t.Context(), addr, &Options{RetryAfter: d}); err == nil || !strings.Contains(err.Error(), "RetryAfter") {
			t.Errorf("RetryAfter of %v: %v, want it refused by name", d, err)
		}
	}
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	for addr, want := range map[string]string{
		"": "tcp localhost:11300", "queue.example": "tcp queue.example:11300", "10.0.0.1:1234": "tcp 10.0.0.1:1234",
		"::1": "tcp [::1]:11300", "[::1]": "tcp [::1]:11300", "[::1]:5": "tcp [::1]:5", "unix:/run/b.sock": "unix /run/b.sock",
	} {
		if network, at := address(addr); network+" "+at != want {
			t.Errorf("%q is %s %s, want %s", addr, network, at, want)
		}
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	c := open(t, testserver.Beanstalkd(t), nil)
	for _, name := range []string{"a-b", "A+9/;.$_()", strings.Repeat("n", 200)} {
		push(t, c, name, "x")
		if err := c.Delete(t.Context(), reserve(t, c, name, 1)); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	for name, want := range map[string]string{
		"": "empty", "-a": "hyphen", "a b": "' '", "a:b": "':'", "日本": "'日'", "a\r\nput": `'\r'`, strings.Repeat("n", 201): "201 bytes",
		"\xff": "not allowed",
	} {
		_, err := c.Push(t.Context(), name, []driver.Message{{Body: []byte("x")}})
		_, rerr := c.Reserve(t.Context(), name, 1)
		_, serr := c.Size(t.Context(), name)
		for _, err := range []error{err, rerr, serr, c.Wait(t.Context(), []string{"ok", name}, time.Second)} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("queue %q: %v, want an error that says %q", name, err, want)
			}
		}
	}
}

func TestJobSizeOfTheServer(t *testing.T) {
	t.Parallel()
	s := testserver.NewBeanstalkd(t, "-z", "1000")
	c := open(t, s.Addr, nil)
	if got := c.Traits().MaxBody; got != 1000 {
		t.Fatalf("MaxBody is %d, want what -z says", got)
	}
	small, large := driver.Message{Body: []byte("x")}, driver.Message{Body: bytes.Repeat([]byte("x"), 1001)}
	ids, err := c.Push(t.Context(), "q", []driver.Message{small, large})
	var limit *driver.LimitError
	if !errors.As(err, &limit) || limit.Index != 1 || !strings.Contains(err.Error(), "-z") || len(ids) != 0 {
		t.Errorf("Push returned %v and %v, want a LimitError about message 1 that tells of -z", ids, err)
	}

	// What the server itself refuses, e.g. after a restart with another -z.
	c.traits.MaxBody = 0
	ids, err = c.Push(t.Context(), "q", []driver.Message{small, large, small})
	if !errors.As(err, &limit) || limit.Index != 1 || len(ids) != 1 {
		t.Errorf("Push returned %v and %v, want the first id and a LimitError about message 1", ids, err)
	}
	if n, err := c.Size(t.Context(), "q"); err != nil || n.Total() != 1 {
		t.Errorf("Size is %+v, %v, want the one accepted: what came behind the refused one is taken back", n, err)
	}
}

func TestDeadlineSoon(t *testing.T) {
	t.Parallel()
	addr := testserver.Beanstalkd(t)
	c, q, other := open(t, addr, &Options{RetryAfter: driver.MinLease}), tube(), tube()
	push(t, c, q, "held")
	held := reserve(t, c, q, 1)
	soon := time.Now().Add(driver.MinLease - 700*time.Millisecond)
	for saw := false; !saw; {
		// The server says so once the held job is within its last second.
		s, err := c.session(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		r := &request{watch: []string{q}, n: 1, text: []byte(reserveNow)}
		if err := s.do(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		saw = r.answers[0].word == wordDeadline
		if time.Now().After(soon.Add(time.Second)) {
			t.Fatal("the server never said DEADLINE_SOON")
		}
		time.Sleep(20 * time.Millisecond)
	}
	if rs, err := c.Reserve(t.Context(), other, 5); len(rs) != 0 || err != nil {
		t.Errorf("Reserve near the end of a lease returned %d jobs and %v, want none and no error", len(rs), err)
	}
	push(t, c, other, "ready")
	start := time.Now()
	if err := c.Wait(t.Context(), []string{other}, 3*time.Second); err != nil || time.Since(start) > time.Second {
		t.Errorf("Wait near the end of another's lease: %v after %v", err, time.Since(start))
	}
	reserve(t, c, other, 1)
	if err := c.Extend(t.Context(), held); err != nil {
		t.Errorf("Extend near the end of the lease: %v", err)
	}
	if err := c.Delete(t.Context(), held); err != nil {
		t.Errorf("Delete: %v", err)
	}
}

// TestLateDelete: the server deletes ready jobs for anybody, so it is for the
// driver not to delete a job whose lease has ended and that others have had since.
func TestLateDelete(t *testing.T) {
	t.Parallel()
	addr := testserver.Beanstalkd(t)
	q := tube()
	late, other := open(t, addr, &Options{RetryAfter: driver.MinLease}), open(t, addr, nil)
	push(t, late, q, "job")
	held := reserve(t, late, q, 1)
	var taken []driver.Reservation
	for deadline := time.Now().Add(10 * time.Second); len(taken) == 0 && time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		var err error
		if taken, err = other.Reserve(t.Context(), q, 1); err != nil {
			t.Fatal(err)
		}
	}
	if err := other.Release(t.Context(), taken, 0); err != nil {
		t.Fatal(err)
	}
	if err := late.Delete(t.Context(), held); !errors.Is(err, driver.ErrLost) {
		t.Errorf("Delete by the late holder: %v, want ErrLost", err)
	}
	if rs := reserve(t, other, q, 1); rs[0].Attempts != 3 {
		t.Errorf("the third delivery has %d attempts", rs[0].Attempts)
	}
}

// TestGivenUp: a verb that its caller gave up is carried out all the same, so
// it must not be done again to what the job has become.
func TestGivenUp(t *testing.T) {
	t.Parallel()
	s := testserver.NewBeanstalkd(t)
	c := open(t, s.Addr, nil)
	push(t, c, "q", "job")
	held := reserve(t, c, "q", 1)
	s.Pause()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := c.Release(ctx, held, 0); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Release on a server that doesn't answer: %v, want the context's error", err)
	}
	again := make(chan error, 1)
	go func() { again <- c.Delete(t.Context(), held) }()
	s.Resume()
	if err := <-again; !errors.Is(err, driver.ErrLost) {
		t.Errorf("Delete after a Release that was given up: %v, want ErrLost", err)
	}
	if rs := reserve(t, c, "q", 1); rs[0].Attempts != 2 {
		t.Errorf("the delivery after the release has %d attempts, want 2", rs[0].Attempts)
	}
}

// TestManyWorkersOnFewConnections: dozens of workers that wait, reserve,
// extend and settle, on two connections.
func TestManyWorkersOnFewConnections(t *testing.T) {
	t.Parallel()
	const workers, jobs = 40, 600
	s := testserver.NewBeanstalkd(t)
	c, producer := open(t, s.Addr, &Options{Connections: 2}), open(t, s.Addr, &Options{Connections: 1})
	var running sync.WaitGroup
	defer running.Wait()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	done := make(chan string, jobs)
	for w := range workers {
		running.Go(func() {
			for ctx.Err() == nil {
				rs, err := c.Reserve(ctx, "q", 1+w%3)
				if err == nil && len(rs) == 0 {
					err = c.Wait(ctx, []string{"q"}, 2*time.Second)
				}
				if err == nil {
					err = c.Extend(ctx, rs)
				}
				if err == nil {
					err = c.Delete(ctx, rs)
				}
				if err != nil && ctx.Err() == nil {
					t.Errorf("worker %d: %v", w, err)
					cancel()
				}
				for _, r := range rs {
					done <- string(r.Body)
				}
			}
		})
	}
	for i := range jobs {
		push(t, producer, "q", envelope(i))
	}
	seen := map[string]int{}
	most := int64(0)
	for len(seen) < jobs {
		select {
		case body := <-done:
			seen[body]++
		case <-ctx.Done():
			t.Fatalf("%d of %d jobs were done", len(seen), jobs)
		}
		if len(seen)%100 == 0 {
			stats, err := producer.stats(ctx)
			if err != nil {
				t.Fatal(err)
			}
			most = max(most, count(stats, "current-connections"))
		}
	}
	if most > 3 {
		t.Errorf("%d connections were open, want at most 2 and the producer's", most)
	}
	for _, n := range seen {
		if n != 1 {
			t.Errorf("a job was done %d times", n)
			break
		}
	}
	if size, err := producer.Size(ctx, "q"); err != nil || size.Total() != 0 {
		t.Errorf("Size is %+v, %v, want no jobs", size, err)
	}
}
