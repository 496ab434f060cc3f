package worker_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spoolq/spool"
)

// Every job's end is followed, before it is stored.
func TestFollowers(t *testing.T) {
	boom := errors.New("boom")
	type call struct {
		attempt int
		failure error
	}
	for name, c := range map[string]struct {
		fn     spool.HandlerFunc
		follow func(n int) error // what the follower says at its n-th call
		calls  []call
		events []string
	}{
		"a job that is done": {
			fn: func(context.Context, *spool.Job) error { return nil }, calls: []call{{1, nil}},
			events: []string{"processing 1", "processed deleted"},
		},
		"one that is retried is followed once": {
			fn: func(_ context.Context, j *spool.Job) error {
				if j.Attempt == 1 {
					return boom
				}
				return nil
			}, calls: []call{{2, nil}},
			events: []string{"processing 1", "exception", "released 0s", "processing 2", "processed deleted"},
		},
		"one that fails": {
			fn: func(context.Context, *spool.Job) error { return spool.Fail(boom) }, calls: []call{{1, boom}},
			events: []string{"processing 1", "failed"},
		},
		"one that deletes itself is done": {
			fn: func(_ context.Context, j *spool.Job) error { j.Delete(); return boom }, calls: []call{{1, nil}},
			events: []string{"processing 1", "exception", "processed deleted"},
		},
		"a follower that fails for a while": {
			fn:     func(context.Context, *spool.Job) error { return nil },
			follow: func(n int) error { return map[bool]error{true: boom}[n < 5] },
			calls:  []call{{1, nil}, {1, nil}, {1, nil}, {1, nil}, {1, nil}},
			events: []string{"processing 1", "processed deleted"},
		},
		"a follower that can't": {
			fn:     func(context.Context, *spool.Job) error { return nil },
			follow: func(int) error { return spool.Fail(boom) },
			calls:  []call{{1, nil}, {1, boom}},
			events: []string{"processing 1", "failed"},
		},
		"a follower that panics": {
			fn:     func(context.Context, *spool.Job) error { return nil },
			follow: func(int) error { panic("no") },
			calls:  []call{{1, nil}, {1, boom}},
			events: []string{"processing 1", "failed"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				var calls []call
				r.conn.Followers().Add(func(ctx context.Context, job *spool.Job, failure error) error {
					if spool.JobFrom(ctx) != job {
						t.Error("the context doesn't know the job")
					}
					if size := r.size(t, ""); size.Reserved != 1 {
						t.Errorf("called when the store had %+v", size)
					}
					calls = append(calls, call{job.Attempt, failure})
					if c.follow == nil {
						return nil
					}
					return c.follow(len(calls))
				})
				r.handle(c.fn, spool.Tries(2))
				r.push(t)
				r.work(t, time.Minute)
				r.expect(t, c.events...)
				if len(calls) != len(c.calls) {
					t.Fatalf("calls %v, want %v", calls, c.calls)
				}
				for i, want := range c.calls {
					if got := calls[i]; got.attempt != want.attempt || (got.failure == nil) != (want.failure == nil) {
						t.Errorf("call %d: %v, want %v", i, got, want)
					}
				}
			})
		})
	}
}

// What can't follow before the worker stops brings the job back.
func TestFollowerUntilTheWorkerStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		down := true
		var runs, followed int
		r.conn.Followers().Add(func(context.Context, *spool.Job, error) error {
			if down {
				return errServer
			}
			followed++
			return nil
		})
		r.handle(func(context.Context, *spool.Job) error { runs++; return nil }, spool.Tries(3))
		r.push(t)
		r.opts.Grace = time.Second
		r.work(t, time.Minute)
		if size := r.size(t, ""); size.Reserved != 1 || followed != 0 {
			t.Errorf("stopped with %+v, followed %d times", size, followed)
		}
		down = false
		r.work(t, 10*time.Minute)
		if runs != 2 || followed != 1 {
			t.Errorf("%d runs, followed %d times", runs, followed)
		}
	})
}

// A job whose lease is gone is another's, and so is what follows it.
func TestFollowerOfALostJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		f := onFaulty(t, r)
		f.extend = func(context.Context) error { return errServer }
		var followed, runs atomic.Int64
		r.conn.Followers().Add(func(context.Context, *spool.Job, error) error { followed.Add(1); return nil })
		r.handle(func(context.Context, *spool.Job) error {
			if runs.Add(1) == 1 {
				time.Sleep(time.Minute) // deaf to its context
			}
			return nil
		}, spool.Tries(3))
		r.push(t)
		r.opts.CancelGrace = time.Hour
		r.work(t, 10*time.Minute)
		if runs.Load() != 2 || followed.Load() != 1 {
			t.Errorf("%d runs, followed %d times", runs.Load(), followed.Load())
		}
	})
}
