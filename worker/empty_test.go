package worker_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/worker"
)

// slow is a backend whose look at the queue takes so long that everything in
// hand ends meanwhile.
type slow struct {
	driver.Conn
	driver.Waiter
	looks atomic.Int64
}

func (s *slow) Reserve(ctx context.Context, queue string, max int) ([]driver.Reservation, error) {
	s.looks.Add(1)
	rs, err := s.Conn.Reserve(ctx, queue, max)
	if len(rs) == 0 {
		time.Sleep(time.Millisecond)
		synctest.Wait()
	}
	return rs, err
}

// onSlow returns a worker's world on a slow backend with one job that takes d.
func onSlow(t *testing.T, d time.Duration) (*rig, *slow) {
	t.Helper()
	r := newRig(t)
	r.handle(func(context.Context, *spool.Job) error { time.Sleep(d); return nil })
	r.push(t)
	s := &slow{Conn: r.conn.Driver(), Waiter: r.conn.Driver().(driver.Waiter)}
	c, err := spool.Connect(s).Manager().Connection(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	r.conn = c
	return r, s
}

func TestAJobThatEndsDuringTheLookDoesNotDelayTheEmptyStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := onSlow(t, time.Millisecond/2)
		r.opts.StopWhenEmpty = true
		begun := time.Now()
		if res := r.work(t, time.Minute); res.Reason != worker.Empty {
			t.Errorf("stopped for %s", res.Reason)
		}
		if took := time.Since(begun); took >= time.Second {
			t.Errorf("the worker stopped %v after its last job", took)
		}
	})
}

func TestALongJobIsNotWaitedForInMilliseconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, s := onSlow(t, 30*time.Second)
		r.opts.StopWhenEmptyFor = 5 * time.Second
		if res := r.work(t, time.Minute); res.Reason != worker.EmptyFor {
			t.Errorf("stopped for %s", res.Reason)
		}
		if n := s.looks.Load(); n > 60 {
			t.Errorf("the queue was looked at %d times in 30 s", n)
		}
	})
}
