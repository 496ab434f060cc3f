package worker_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/memqueue"
	"github.com/spoolq/spool/worker"
)

// flaky is a store whose first removal of each batch fails item by item.
type flaky struct {
	*memqueue.Conn
	calls  atomic.Int64
	delete func(call int64, rs []driver.Reservation) error // nil: as the store
}

func (f *flaky) Delete(ctx context.Context, rs []driver.Reservation) error {
	if err := f.delete(f.calls.Add(1), rs); err != nil {
		return err
	}
	return f.Conn.Delete(ctx, rs)
}

// onFlaky works n jobs on a flaky store and returns how many were told to be
// processed and to be lost.
func onFlaky(t *testing.T, n int, f *flaky, listen func(done int64)) (done, lost int64, res worker.Result) {
	t.Helper()
	f.Conn = memqueue.New(nil)
	client := spool.Connect(f)
	conn, err := client.Manager().Connection(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := spool.DispatchAll(t.Context(), client, make([]greet, n)); err != nil {
		t.Fatal(err)
	}
	var told, gone, ran atomic.Int64
	spool.Listen(conn.Events(), func(context.Context, spool.JobProcessed) { listen(told.Add(1)) })
	spool.Listen(conn.Events(), func(context.Context, spool.JobLost) { gone.Add(1) })
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	res, err = worker.New(conn, noOp(true, &ran), &worker.Options{
		Concurrency: 20, StopWhenEmpty: true, Logger: slog.New(slog.DiscardHandler),
	}).Run(ctx)
	if err != nil || ran.Load() != int64(n) {
		t.Errorf("ran %d jobs, %v; want %d", ran.Load(), err, n)
	}
	return told.Load(), gone.Load(), res
}

func TestAListenerThatEndsItsGoroutineKeepsNobodyFromBeingTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &flaky{delete: func(int64, []driver.Reservation) error { time.Sleep(time.Millisecond); return nil }}
		done, _, res := onFlaky(t, 500, f, func(n int64) {
			if n%7 == 1 {
				runtime.Goexit()
			}
		})
		if done != 500 || res.Processed != 500 || res.Reason != worker.Empty {
			t.Errorf("%d jobs were told to be processed; %+v", done, res)
		}
	})
}

func TestRemovalsAreJudgedOneByOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := errors.New("down")
		var failed, lost atomic.Int64
		f := &flaky{}
		f.delete = func(call int64, rs []driver.Reservation) error {
			time.Sleep(time.Millisecond)
			switch {
			case call%5 == 1: // the outcome of all is unknown: each is tried again
				failed.Add(int64(len(rs)))
				return down
			case len(rs) < 3:
				return nil
			}
			errs := make([]error, len(rs))
			errs[1], errs[2] = driver.ErrLost, down
			lost.Add(1)
			failed.Add(1)
			_ = f.Conn.Delete(t.Context(), append([]driver.Reservation{rs[0]}, rs[3:]...))
			_ = f.Conn.Delete(t.Context(), rs[1:2]) // by whoever holds it
			return driver.Outcomes(errs)
		}
		done, gone, res := onFlaky(t, 500, f, func(int64) {})
		if failed.Load() == 0 || lost.Load() == 0 {
			t.Fatalf("%d removals failed and %d were lost: nothing was tested", failed.Load(), lost.Load())
		}
		if done+gone != 500 || gone < 1 || gone > lost.Load() || res.Processed != done {
			t.Errorf("%d processed and %d lost of 500, where the store lost %d; %+v", done, gone, lost.Load(), res)
		}
	})
}

// A place is free when the end is stored, not when the handler has returned.
func TestAStoreThatIsDownStopsTheWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var down atomic.Bool
		down.Store(true)
		f := &flaky{delete: func(int64, []driver.Reservation) error {
			if down.Load() {
				return errors.New("down")
			}
			return nil
		}}
		begun := time.Now()
		time.AfterFunc(20*time.Second, func() {
			if size, err := f.Size(t.Context(), "default"); err != nil || size.Reserved != 20 || size.Pending != 80 {
				t.Errorf("%+v, %v; want that only the 20 of its places were taken", size, err)
			}
			down.Store(false)
		})
		if done, _, res := onFlaky(t, 100, f, func(int64) {}); done != 100 || time.Since(begun) < 20*time.Second {
			t.Errorf("%d of 100 processed after %v; %+v", done, time.Since(begun), res)
		}
	})
}

func TestSlowJobsRunSideBySide(t *testing.T) {
	for _, concurrency := range []int{1, 7, 64} {
		t.Run(fmt.Sprint(concurrency), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				conn := stocked(t, 4*concurrency)
				var now, most atomic.Int64
				mux := spool.NewMux()
				spool.Handle(mux, func(context.Context, greet) error {
					most.Store(max(most.Load(), now.Add(1)))
					time.Sleep(time.Second)
					now.Add(-1)
					return nil
				})
				begun := time.Now()
				work(t, conn, mux, concurrency)
				if most.Load() != int64(concurrency) || time.Since(begun) > 5*time.Second {
					t.Errorf("at most %d ran at a time, for %v; want %d, 4s", most.Load(), time.Since(begun), concurrency)
				}
			})
		})
	}
}
