package backgroundqueue_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/spoolq/spool/backgroundqueue"
	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/driver/drivertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConformance(t *testing.T) {
	drivertest.Run(t, func(*testing.T) drivertest.Harness {
		return drivertest.Harness{Conn: backgroundqueue.New(func(context.Context, string, []byte) error { return nil }, nil)}
	})
}

func push(t *testing.T, c *backgroundqueue.Conn, n int) {
	t.Helper()
	ids, err := c.Push(t.Context(), "mail", make([]driver.Message, n))
	if err != nil || len(ids) != n || n > 0 && ids[0] == "" {
		t.Fatalf("pushed %d jobs: ids %q, %v", n, ids, err)
	}
}

func TestJobsRunBesideTheirCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var now, most, ran atomic.Int64
		c := backgroundqueue.New(func(ctx context.Context, queue string, _ []byte) error {
			most.Store(max(most.Load(), now.Add(1)))
			time.Sleep(time.Second)
			now.Add(-1)
			ran.Add(1)
			if queue != "mail" || ctx.Err() != nil {
				t.Errorf("ran on %s: %v", queue, ctx.Err())
			}
			return nil
		}, &backgroundqueue.Options{Concurrency: 3, Backlog: 5})
		start := time.Now()
		push(t, c, 8)
		if d := time.Since(start); d != 0 {
			t.Errorf("pushing took %v", d)
		}
		// The bound: no further job before one has ended.
		push(t, c, 1)
		if d := time.Since(start); d < time.Second || d > 1100*time.Millisecond {
			t.Errorf("the ninth was accepted after %v", d)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		push(t, c, 2)
		if _, err := c.Push(ctx, "mail", make([]driver.Message, 1)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a push that finds no room: %v", err)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if ran.Load() != 11 || most.Load() != 3 {
			t.Errorf("%d ran, up to %d at a time", ran.Load(), most.Load())
		}
		if _, err := c.Push(t.Context(), "mail", make([]driver.Message, 1)); !errors.Is(err, driver.ErrClosed) {
			t.Errorf("a push after Close: %v", err)
		}
	})
}

func TestCloseGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		failed := map[string]int{}
		c := backgroundqueue.New(func(ctx context.Context, _ string, _ []byte) error {
			<-ctx.Done()
			return ctx.Err()
		}, &backgroundqueue.Options{Name: "deferred", Concurrency: 2, Grace: time.Second, Failed: func(_, id string, _ []byte, err error) {
			mu.Lock()
			defer mu.Unlock()
			failed[err.Error()]++
			if id == "" {
				t.Error("a job without id")
			}
		}})
		push(t, c, 5)
		start := time.Now()
		err := c.Close()
		if err == nil || !strings.Contains(err.Error(), "deferred: after 1s, 2 running jobs were cancelled and 3 that waited were dropped") || strings.Contains(err.Error(), "returned") {
			t.Errorf("Close: %v", err)
		}
		if again := c.Close(); !errors.Is(again, err) {
			t.Errorf("Close again: %v", again)
		}
		if d := time.Since(start); d != time.Second {
			t.Errorf("it took %v", d)
		}
		if failed[context.Canceled.Error()] != 2 || failed[backgroundqueue.ErrDropped.Error()] != 3 {
			t.Errorf("failures: %v", failed)
		}
	})
}

func TestHandlersThatNeverReturn(t *testing.T) {
	release := make(chan struct{})
	c := backgroundqueue.New(func(context.Context, string, []byte) error { <-release; return nil },
		&backgroundqueue.Options{Grace: time.Millisecond, CancelGrace: time.Millisecond})
	push(t, c, 1)
	if err := c.Close(); err == nil || !strings.Contains(err.Error(), "1 have not returned yet") {
		t.Errorf("Close: %v", err)
	}
	close(release)
}

func TestErrorsAndPanicsAreTold(t *testing.T) {
	got := make(chan string, 2)
	c := backgroundqueue.New(func(_ context.Context, _ string, body []byte) error {
		if string(body) == "panic" {
			panic("boom")
		}
		return errors.New("no")
	}, &backgroundqueue.Options{Failed: func(queue, id string, body []byte, err error) {
		got <- queue + " " + id + " " + string(body) + ": " + err.Error()
	}})
	body := []byte("panic")
	if _, err := c.Push(t.Context(), "q", []driver.Message{{ID: "1", Body: body}}); err != nil {
		t.Fatal(err)
	}
	copy(body, "other") // it's the caller's again
	if s := <-got; s != "q 1 panic: panic: boom" {
		t.Error(s)
	}
	if _, err := c.Push(t.Context(), "q", []driver.Message{{ID: "2"}}); err != nil {
		t.Fatal(err)
	}
	if s := <-got; s != "q 2 : no" {
		t.Error(s)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

// Many pushers, few runners, hardly any backlog: nothing is forgotten.
func TestNothingIsForgotten(t *testing.T) {
	var ran atomic.Int64
	c := backgroundqueue.New(func(context.Context, string, []byte) error { ran.Add(1); return nil },
		&backgroundqueue.Options{Concurrency: 2, Backlog: 1})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 200 {
				if _, err := c.Push(t.Context(), "q", make([]driver.Message, 1)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if err := c.Close(); err != nil || ran.Load() != 1600 {
		t.Errorf("%d of 1600 ran, %v", ran.Load(), err)
	}
}
