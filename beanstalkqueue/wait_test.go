package beanstalkqueue

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/internal/testserver"
)

// until polls for something that must become true.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(15 * time.Second); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("not after 15 s: " + what)
		}
	}
}

// wait is Wait by somebody who reserves: it blocks in the server.
func wait(t *testing.T, c *Conn, queues ...string) {
	t.Helper()
	reserves(t, c)
	if err := c.Wait(t.Context(), queues, 5*time.Second); err != nil {
		t.Fatal("Wait:", err)
	}
}

func reserves(t *testing.T, c *Conn) {
	t.Helper()
	if rs, err := c.Reserve(t.Context(), "t-nothing", 1); err != nil || len(rs) > 0 {
		t.Fatal(rs, err)
	}
}

func size(t *testing.T, c *Conn, queue string) driver.Size {
	t.Helper()
	s, err := c.Size(context.Background(), queue)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestWaitKeepsTheJobForReserve(t *testing.T) {
	t.Parallel()
	addr := testserver.Beanstalkd(t)
	c, high, low := open(t, addr, nil), tube(), tube()
	push(t, c, low, "job")
	for range 2 { // the second finds it kept
		wait(t, c, high, low)
	}
	if rs, err := c.Reserve(t.Context(), high, 10); len(rs) != 0 || err != nil {
		t.Errorf("Reserve of the other queue returned %d jobs and %v", len(rs), err)
	}
	rs := reserve(t, c, low, 1)
	if rs[0].Attempts != 1 || rs[0].Queue != low || string(rs[0].Body) != "job" {
		t.Errorf("the job is %+v", rs[0])
	}
	if err := c.Delete(t.Context(), rs); err != nil {
		t.Error(err)
	}
}

func TestWaitHandsBackWhatNobodyFetches(t *testing.T) {
	t.Parallel()
	addr := testserver.Beanstalkd(t)
	c, other, q := open(t, addr, &Options{RetryAfter: driver.MinLease}), open(t, addr, nil), tube()
	push(t, c, q, "job")
	wait(t, c, q)
	if s := size(t, other, q); s.Reserved != 1 {
		t.Fatalf("Size is %+v, want the job reserved", s)
	}
	start := time.Now()
	until(t, "the job is handed back", func() bool { return size(t, other, q).Pending == 1 })
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("it was handed back after %v, want a third of the lease", took)
	}
	// The server has counted that as a delivery.
	if rs := reserve(t, other, q, 1); rs[0].Attempts != 2 {
		t.Errorf("the delivery has %d attempts, want 2", rs[0].Attempts)
	}
}

func TestCloseHandsBackWhatWaitKeeps(t *testing.T) {
	t.Parallel()
	addr := testserver.Beanstalkd(t)
	c, other, q := open(t, addr, nil), open(t, addr, nil), tube()
	push(t, c, q, "job")
	wait(t, c, q)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	until(t, "the job is ready", func() bool { return size(t, other, q).Pending == 1 })
}

// TestWaitKeepsTheLease: what Wait kept for a while is handed out with a whole
// lease.
func TestWaitKeepsTheLease(t *testing.T) {
	t.Parallel()
	addr := testserver.Beanstalkd(t)
	c, other, q := open(t, addr, &Options{RetryAfter: driver.MinLease}), open(t, addr, nil), tube()
	push(t, c, q, "job")
	wait(t, c, q)
	time.Sleep(800 * time.Millisecond)
	rs := reserve(t, c, q, 1)
	s, err := other.session(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r := &request{n: 1, text: []byte("stats-job " + rs[0].ID + "\r\n")}
	if err := s.do(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if left := count(r.answers[0].body, "time-left"); left < 2 {
		t.Errorf("%d s of the lease are left: %q", left, r.answers[0].body)
	}
}

// TestWaitCancelled: a Wait that is cancelled takes no job that comes later.
func TestWaitCancelled(t *testing.T) {
	t.Parallel()
	addr := testserver.Beanstalkd(t)
	c, other, q := open(t, addr, nil), open(t, addr, nil), tube()
	ctx, cancel := context.WithCancel(t.Context())
	reserves(t, c)
	waited := make(chan error, 1)
	go func() { waited <- c.Wait(ctx, []string{q}, time.Minute) }()
	until(t, "Wait blocks", func() bool {
		tubes, err := other.tubes(t.Context(), []string{q})
		return err == nil && count(tubes[0], "current-waiting") == 1
	})
	cancel()
	if err := <-waited; !errors.Is(err, context.Canceled) {
		t.Errorf("Wait: %v", err)
	}
	until(t, "nothing waits any more", func() bool {
		tubes, err := other.tubes(t.Context(), []string{q})
		return err == nil && count(tubes[0], "current-waiting") == 0
	})
	push(t, other, q, "job")
	if rs := reserve(t, other, q, 1); rs[0].Attempts != 1 {
		t.Errorf("the delivery has %d attempts", rs[0].Attempts)
	}
}

// TestWaitWhileAllHold: where every connection holds a job, Wait looks by itself.
func TestWaitWhileAllHold(t *testing.T) {
	t.Parallel()
	addr := testserver.Beanstalkd(t)
	c, other, q := open(t, addr, &Options{Connections: 2}), open(t, addr, nil), tube()
	push(t, c, q, "first")
	wait(t, c, q)
	held := reserve(t, c, q, 1)
	waited := make(chan error, 1)
	go func() { waited <- c.Wait(t.Context(), []string{q}, 10*time.Second) }()
	if err := c.Extend(t.Context(), held); err != nil {
		t.Errorf("Extend while another waits: %v", err)
	}
	push(t, other, q, "second")
	start := time.Now()
	if err := <-waited; err != nil || time.Since(start) > time.Second {
		t.Errorf("Wait: %v, %v after the push", err, time.Since(start))
	}
	if rs := reserve(t, c, q, 1); rs[0].Attempts != 1 {
		t.Errorf("the delivery has %d attempts, want 1: looking doesn't reserve", rs[0].Attempts)
	}
}

// TestWaitAtPausedTube: a tube that somebody paused has ready jobs that can't
// be reserved; looking at it must not spin.
func TestWaitAtPausedTube(t *testing.T) {
	t.Parallel()
	c, q := open(t, testserver.Beanstalkd(t), &Options{Connections: 1}), tube()
	push(t, c, q, "job")
	r := dialRaw(t)
	if _, err := r.conn.Write([]byte("pause-tube " + q + " 2\r\n")); err != nil {
		t.Fatal(err)
	}
	if line, err := r.r.ReadString('\n'); err != nil || line != "PAUSED\r\n" {
		t.Fatal(line, err)
	}
	start := time.Now()
	if err := c.Wait(t.Context(), []string{q}, 700*time.Millisecond); err != nil || time.Since(start) < 600*time.Millisecond {
		t.Errorf("Wait at a paused tube: %v after %v", err, time.Since(start))
	}
}

// TestWaitOfAWatcher: who only waits, like the parent of queue:listen, takes no
// jobs away from those who reserve elsewhere.
func TestWaitOfAWatcher(t *testing.T) {
	t.Parallel()
	addr := testserver.Beanstalkd(t)
	c, other, q := open(t, addr, nil), open(t, addr, nil), tube()
	waited := make(chan error, 1)
	go func() { waited <- c.Wait(t.Context(), []string{q}, 10*time.Second) }()
	push(t, other, q, "job")
	start := time.Now()
	if err := <-waited; err != nil || time.Since(start) > time.Second {
		t.Errorf("Wait: %v, %v after the push", err, time.Since(start))
	}
	if s := size(t, c, q); s.Pending != 1 {
		t.Errorf("Size is %+v, want the job still pending", s)
	}
	if rs := reserve(t, other, q, 1); rs[0].Attempts != 1 {
		t.Errorf("the delivery has %d attempts", rs[0].Attempts)
	}
}

// block_for bounds how long a Wait blocks in the server.
func TestWaitBlocksFor(t *testing.T) {
	t.Parallel()
	c, q := open(t, testserver.Beanstalkd(t), &Options{BlockFor: time.Second}), tube()
	start := time.Now()
	if err := c.Wait(t.Context(), []string{q}, time.Minute); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took < 900*time.Millisecond || took > 30*time.Second {
		t.Errorf("Wait returned after %v, want about 1 s", took)
	}
}
