package worker_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/memqueue"
	"github.com/spoolq/spool/worker"
)

type greet struct {
	Name string `json:"name"`
}

// open returns a client and an open connection on a fresh in-memory queue.
func open(t *testing.T, opts *memqueue.Options) (*spool.Client, *spool.Connection) {
	t.Helper()
	mem := memqueue.New(opts)
	m := spool.NewManager(nil)
	m.Add(spool.ConnectionConfig{Name: "mem", Open: func(context.Context) (driver.Conn, error) { return mem, nil }})
	conn, err := m.Connection(t.Context(), "mem")
	if err != nil {
		t.Fatal(err)
	}
	return spool.NewClient(m, nil), conn
}

func TestAJobThatFailsTwiceWorksAtTheThirdAttemptAfterItsBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, conn := open(t, nil)
		begun := time.Now()
		var at []time.Duration
		mux := spool.NewMux()
		spool.Handle(mux, func(ctx context.Context, g greet) error {
			at = append(at, time.Since(begun))
			if j := spool.JobFrom(ctx); g.Name != "Ada" || j.Attempt != len(at) {
				t.Errorf("got %q, attempt %d at run %d", g.Name, j.Attempt, len(at))
			}
			if len(at) < 3 {
				return errors.New("not yet")
			}
			return nil
		}, spool.Tries(3), spool.Backoff(time.Hour, 2*time.Hour))
		if _, err := spool.Dispatch(t.Context(), client, greet{"Ada"}); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Hour)
		defer cancel()
		res, err := worker.New(conn, mux, nil).Run(ctx)
		if err != nil || res.Processed != 3 || res.Reason != worker.Interrupted {
			t.Errorf("got %+v, %v", res, err)
		}
		want := []time.Duration{0, time.Hour, 3 * time.Hour}
		for i := range want {
			if i >= len(at) || at[i].Round(time.Minute) != want[i] {
				t.Fatalf("ran at %v, want %v", at, want)
			}
		}
	})
}

func TestALongJobKeepsItsLeaseAndRunsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, conn := open(t, &memqueue.Options{RetryAfter: 3 * time.Second})
		var runs atomic.Int32
		mux := spool.NewMux()
		spool.Handle(mux, func(ctx context.Context, _ greet) error {
			runs.Add(1)
			select {
			case <-time.After(10 * time.Second):
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		})
		if _, err := spool.Dispatch(t.Context(), client, greet{}); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		done := make(chan worker.Result, 2)
		for range 2 {
			go func() {
				res, _ := worker.New(conn, mux, nil).Run(ctx)
				done <- res
			}()
		}
		a, b := <-done, <-done
		if runs.Load() != 1 || a.Processed+b.Processed != 1 {
			t.Errorf("ran %d times, processed %d and %d; want one run", runs.Load(), a.Processed, b.Processed)
		}
	})
}
