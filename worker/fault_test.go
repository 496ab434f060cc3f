package worker_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/memqueue"
	"github.com/spoolq/spool/worker"
)

var errServer = errors.New("the server has gone away")

// faulty is a queue in memory behind a network that can fail in any way. A
// hook that is nil does nothing; one that returns an error says whether the
// verb took place all the same.
type faulty struct {
	*memqueue.Conn
	reserve func(rs []driver.Reservation) ([]driver.Reservation, error)
	settle  func(verb string) (done bool, err error)
	extend  func(ctx context.Context) error
	ask     func(max int)
}

func (f *faulty) Reserve(ctx context.Context, queue string, max int) ([]driver.Reservation, error) {
	if f.ask != nil {
		f.ask(max)
	}
	rs, err := f.Conn.Reserve(ctx, queue, max)
	if f.reserve != nil && err == nil {
		return f.reserve(rs)
	}
	return rs, err
}

func (f *faulty) through(verb string, do func() error) error {
	if f.settle != nil {
		if done, err := f.settle(verb); err != nil {
			if done {
				_ = do()
			}
			return err
		}
	}
	return do()
}

func (f *faulty) Delete(ctx context.Context, rs []driver.Reservation) error {
	return f.through("delete", func() error { return f.Conn.Delete(ctx, rs) })
}

func (f *faulty) Release(ctx context.Context, rs []driver.Reservation, d time.Duration) error {
	return f.through("release", func() error { return f.Conn.Release(ctx, rs, d) })
}

func (f *faulty) Return(ctx context.Context, rs []driver.Reservation, d time.Duration) error {
	return f.through("return", func() error { return f.Conn.Return(ctx, rs, d) })
}

func (f *faulty) Extend(ctx context.Context, rs []driver.Reservation) error {
	if f.extend != nil {
		if err := f.extend(ctx); err != nil {
			return err
		}
	}
	return f.Conn.Extend(ctx, rs)
}

// onFaulty puts the rig on a faulty backend whose leases last 10 s.
func onFaulty(t *testing.T, r *rig) *faulty {
	t.Helper()
	f := &faulty{Conn: memqueue.New(&memqueue.Options{RetryAfter: 10 * time.Second})}
	m := spool.NewManager(&spool.ManagerOptions{Events: r.conn.Events()})
	m.Add(spool.ConnectionConfig{Name: "mem", Open: func(context.Context) (driver.Conn, error) { return f, nil }})
	conn, err := m.Connection(t.Context(), "mem")
	if err != nil {
		t.Fatal(err)
	}
	r.client, r.conn = spool.NewClient(m, nil), conn
	return f
}

// first returns a hook that fails the first n calls of a verb.
func first(n int, verb string, done bool) func(string) (bool, error) {
	var calls atomic.Int64
	return func(v string) (bool, error) {
		if v == verb && calls.Add(1) <= int64(n) {
			return done, errServer
		}
		return false, nil
	}
}

func TestAnEndThatCannotBeStoredIsStoredLater(t *testing.T) {
	ok := func(context.Context, *spool.Job) error { return nil }
	again := func(_ context.Context, j *spool.Job) error {
		if j.Attempt == 1 {
			return spool.Release(time.Second)
		}
		return nil
	}
	for name, c := range map[string]struct {
		verb   string
		done   bool
		fn     spool.HandlerFunc
		events []string
	}{
		"deleted, though the answer was lost":  {"delete", true, ok, []string{"processing 1", "processed deleted"}},
		"not deleted":                          {"delete", false, ok, []string{"processing 1", "processed deleted"}},
		"released, though the answer was lost": {"release", true, again, []string{"processing 1", "processed released", "released 1s", "processing 2", "processed deleted"}},
		"not released":                         {"release", false, again, []string{"processing 1", "processed released", "released 1s", "processing 2", "processed deleted"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				f := onFaulty(t, r)
				f.settle = first(3, c.verb, c.done)
				r.handle(c.fn, spool.Tries(2))
				r.push(t)
				r.work(t, time.Minute)
				slices.Sort(r.events)
				slices.Sort(c.events)
				r.expect(t, c.events...)
				if n := r.size(t, "").Total(); n != 0 {
					t.Errorf("%d jobs left", n)
				}
			})
		})
	}
}

// watch wraps a handler so that runs of one job that overlap while the first
// was not cancelled are noticed.
func watch(t *testing.T, runs *atomic.Int64, fn spool.HandlerFunc) spool.HandlerFunc {
	var mu sync.Mutex
	live := map[string]context.Context{}
	return func(ctx context.Context, j *spool.Job) error {
		runs.Add(1)
		mu.Lock()
		if before := live[j.UUID]; before != nil && before.Err() == nil {
			t.Errorf("attempt %d began while the one before lived", j.Attempt)
		}
		live[j.UUID] = ctx
		mu.Unlock()
		err := fn(ctx, j)
		mu.Lock()
		defer mu.Unlock()
		if live[j.UUID] == ctx {
			delete(live, j.UUID)
		}
		return err
	}
}

func TestRenewalsThatHangEndTheHandlerBeforeItsLease(t *testing.T) {
	for name, obeys := range map[string]bool{"and obey their context": true, "and don't": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				f := onFaulty(t, r)
				var hang atomic.Bool
				hang.Store(true)
				f.extend = func(ctx context.Context) error {
					if !hang.Load() {
						return nil
					}
					if !obeys {
						time.Sleep(time.Minute)
						return errServer
					}
					<-ctx.Done()
					return ctx.Err()
				}
				var runs atomic.Int64
				begun := time.Now()
				r.handle(watch(t, &runs, func(ctx context.Context, _ *spool.Job) error {
					if runs.Load() > 1 {
						return nil
					}
					<-ctx.Done()
					if up := time.Since(begun); up > 8*time.Second || !errors.Is(context.Cause(ctx), worker.ErrLeaseLost) {
						t.Errorf("cancelled after %v for %v, want a lost lease 2s before its end", up, context.Cause(ctx))
					}
					hang.Store(false)
					return ctx.Err()
				}), spool.Tries(2), spool.Timeout(0))
				r.push(t)
				r.work(t, 2*time.Minute)
				if runs.Load() != 2 || r.size(t, "").Total() != 0 {
					t.Errorf("ran %d times, %+v left", runs.Load(), r.size(t, ""))
				}
			})
		})
	}
}

func TestJobsThatComeWithAnErrorAreRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		f := onFaulty(t, r)
		f.reserve = func(rs []driver.Reservation) ([]driver.Reservation, error) { return rs, errServer }
		r.handle(func(context.Context, *spool.Job) error { return nil })
		r.push(t)
		r.work(t, time.Minute)
		r.expect(t, "processing 1", "processed deleted")
	})
}

func TestABackendThatGivesMoreThanAskedForIsNotAskedForLessThanNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		f := onFaulty(t, r)
		r.opts.Concurrency = 1
		f.ask = func(max int) {
			if max < 1 {
				t.Errorf("asked for %d jobs", max)
			}
		}
		f.reserve = func(rs []driver.Reservation) ([]driver.Reservation, error) {
			more, err := f.Conn.Reserve(t.Context(), "default", 2)
			return append(rs, more...), err
		}
		r.handle(func(context.Context, *spool.Job) error { time.Sleep(time.Second); return nil })
		for range 6 {
			r.push(t)
		}
		if res := r.work(t, time.Minute); res.Processed != 6 {
			t.Errorf("%+v", res)
		}
	})
}

func TestABackendThatTakesAMinuteForEachCallLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		f := onFaulty(t, r)
		var slow atomic.Bool
		slow.Store(true)
		block := func() {
			if slow.Load() {
				time.Sleep(time.Minute)
			}
		}
		f.reserve = func(rs []driver.Reservation) ([]driver.Reservation, error) { block(); return rs, nil }
		f.settle = func(string) (bool, error) { block(); return false, nil }
		f.extend = func(context.Context) error { block(); return nil }
		var runs atomic.Int64
		r.handle(watch(t, &runs, func(context.Context, *spool.Job) error { return nil }), spool.Tries(0))
		for range 5 {
			r.push(t)
		}
		time.AfterFunc(10*time.Minute, func() { slow.Store(false) })
		r.work(t, 20*time.Minute)
		if n := r.size(t, "").Total(); n != 0 || runs.Load() < 5 {
			t.Errorf("%d jobs left after %d runs", n, runs.Load())
		}
	})
}

// A reservation that arrives when its lease can't be trusted any more has not
// been run: its attempt is given back.
func TestAJobWhoseLeaseIsOverBeforeItBeginsDoesNotBegin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		f := onFaulty(t, r)
		var late atomic.Bool
		late.Store(true)
		f.reserve = func(rs []driver.Reservation) ([]driver.Reservation, error) {
			if len(rs) > 0 && late.Swap(false) {
				time.Sleep(9 * time.Second)
			}
			return rs, nil
		}
		r.handle(func(ctx context.Context, j *spool.Job) error {
			if ctx.Err() != nil || j.Attempt != 1 {
				t.Errorf("ran with a context that %v, attempt %d", context.Cause(ctx), j.Attempt)
			}
			return nil
		})
		r.push(t)
		if res := r.work(t, time.Minute); res.Processed != 1 || res.Failed != 0 {
			t.Errorf("%+v", res)
		}
	})
}

// While a stuck handler lives nothing may make its job available again.
func TestTheJobOfAStuckHandlerIsNotReleased(t *testing.T) {
	for name, arrange := range map[string]func(r *rig){
		"by a listener that keeps it": func(r *rig) {
			spool.Listen(r.conn.Events(), func(_ context.Context, e *spool.JobFailing) { e.Keep(time.Second) })
		},
		"by a store that can't record it": func(r *rig) {
			r.opts.Failed = &sore{r.opts.Failed, func() error { return errServer }}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				arrange(r)
				var runs atomic.Int64
				block := make(chan struct{})
				r.handle(func(context.Context, *spool.Job) error { runs.Add(1); <-block; return nil }, spool.Tries(1), spool.Timeout(time.Second))
				r.push(t)
				r.work(t, 5*time.Minute)
				if n := runs.Load(); n != 1 {
					t.Errorf("ran %d times side by side", n)
				}
				if size := r.size(t, ""); size.Pending+size.Delayed > 0 {
					t.Errorf("%+v: it was released while its handler lives", size)
				}
				close(block)
			})
		})
	}
}

func TestAListenerThatPanicsHarmsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		ev := r.conn.Events()
		ev.Logger = quiet
		spool.Listen(ev, func(context.Context, spool.JobQueueing) { panic("queueing") })
		spool.Listen(ev, func(context.Context, spool.JobQueued) { panic("queued") })
		spool.Listen(ev, func(context.Context, spool.JobPopped) { panic("popped") })
		spool.Listen(ev, func(context.Context, spool.JobProcessing) { panic("processing") })
		spool.Listen(ev, func(context.Context, spool.JobProcessed) { panic("processed") })
		spool.Listen(ev, func(context.Context, spool.JobExceptionOccurred) { panic("exception") })
		spool.Listen(ev, func(context.Context, spool.JobReleased) { panic("released") })
		spool.Listen(ev, func(context.Context, *spool.JobFailing) { panic("failing") })
		spool.Listen(ev, func(context.Context, spool.JobFailed) { panic("failed") })
		spool.Listen(ev, func(context.Context, spool.JobTimedOut) { panic("timed out") })
		spool.Listen(ev, func(context.Context, *spool.WorkerLooping) { panic("looping") })
		spool.Listen(ev, func(context.Context, spool.WorkerIdle) { panic("idle") })
		spool.Listen(ev, func(context.Context, spool.WorkerStarting) { panic("starting") })
		spool.Listen(ev, func(context.Context, spool.WorkerStopping) { panic("stopping") })
		heard := false
		spool.Listen(ev, func(context.Context, spool.JobFailed) { heard = true })
		r.handle(func(ctx context.Context, j *spool.Job) error {
			if j.Attempt == 2 {
				<-ctx.Done()
			}
			return errors.New("boom")
		}, spool.Tries(3), spool.Timeout(time.Second))
		r.push(t)
		if res := r.work(t, time.Minute); res.Failed != 1 || !heard || len(r.records(t)) != 1 {
			t.Errorf("%+v, heard %v, %d records", res, heard, len(r.records(t)))
		}
	})
}

func TestAHandlerThatEndsItsGoroutineHasRaisedAnException(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.opts.Concurrency = 1
		r.handle(func(_ context.Context, j *spool.Job) error {
			if j.Attempt == 1 {
				runtime.Goexit()
			}
			return nil
		}, spool.Tries(2))
		r.push(t)
		r.push(t)
		if res := r.work(t, time.Minute); res.ExitCode != 0 {
			t.Errorf("%+v", res)
		}
		slices.Sort(r.events)
		r.expect(t, "exception", "exception", "processed deleted", "processed deleted",
			"processing 1", "processing 1", "processing 2", "processing 2", "released 0s", "released 0s")
	})
}

func TestARestingSlotDoesNotHoldUpTheStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.opts.Rest = time.Hour
		r.handle(func(context.Context, *spool.Job) error { return nil })
		r.push(t)
		begun := time.Now()
		res := r.work(t, time.Second)
		if up := time.Since(begun); up > 2*time.Second || res.ExitCode != 0 || res.Reason != worker.Interrupted {
			t.Errorf("stopped after %v: %+v", up, res)
		}
	})
}

// With all the grace there is, a handler that never returns is not waited for.
func TestAWorkerWithoutGraceEndsInSpiteOfAStuckHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.opts.Grace = -1
		block := make(chan struct{})
		r.handle(func(context.Context, *spool.Job) error { <-block; return nil }, spool.Tries(2), spool.Timeout(time.Second))
		r.push(t)
		time.AfterFunc(10*time.Minute, func() { close(block) })
		begun := time.Now()
		res := r.work(t, time.Hour)
		if up := time.Since(begun); up > time.Minute || res.ExitCode != worker.ExitError || res.Reason != worker.StuckHandlers {
			t.Errorf("ended after %v: %+v", up, res)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
	})
}

// A job that never ran has no handler that could be stuck, however long its
// end can't be stored.
func TestAnOutageIsNotAStuckHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		f := onFaulty(t, r)
		r.handle(func(context.Context, *spool.Job) error { return spool.Release(0) })
		r.push(t)
		begun := time.Now()
		down := func() bool { up := time.Since(begun); return up > 10*time.Second && up < time.Minute }
		f.settle = func(string) (bool, error) {
			if down() {
				return false, errServer
			}
			return false, nil
		}
		f.extend = func(context.Context) error {
			if down() {
				return errServer
			}
			return nil
		}
		spool.Listen(r.conn.Events(), func(context.Context, spool.JobPopped) {
			if time.Since(begun) < 11*time.Second {
				time.Sleep(11 * time.Second) // the second delivery meets the outage
			}
		})
		if res := r.work(t, 5*time.Minute); res.ExitCode != 0 {
			t.Errorf("%+v", res)
		}
		if slices.Contains(r.events, "stuck") {
			t.Errorf("events %q", r.events)
		}
	})
}

func TestAListenerOfTheEndHasALiveContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		told := false
		spool.Listen(r.conn.Events(), func(ctx context.Context, _ spool.WorkerStopping) {
			if told = true; ctx.Err() != nil {
				t.Errorf("its context: %v", ctx.Err())
			}
		})
		if r.work(t, time.Second); !told {
			t.Error("nobody was told")
		}
	})
}

// grenade is a format whose decoder panics on some bodies.
type grenade struct{ spool.Format }

func (g grenade) Decode(body []byte) (*spool.Payload, error) {
	if string(body) == "grenade" {
		var m map[string]int
		m["x"] = 1 //nolint:staticcheck // this is the panic
	}
	return g.Format.Decode(body)
}

func TestABodyThatMakesTheDecoderPanicIsSetAside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.handle(func(context.Context, *spool.Job) error { return nil })
		if _, err := r.conn.PushRaw(t.Context(), "", []byte("grenade"), 0); err != nil {
			t.Fatal(err)
		}
		r.push(t)
		r.conn.Format = grenade{r.conn.Format}
		r.work(t, time.Minute)
		slices.Sort(r.events)
		r.expect(t, "failed", "processed deleted", "processing 1")
	})
}

func TestAHandBackIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.opts.Grace = time.Second
		r.handle(func(ctx context.Context, _ *spool.Job) error { <-ctx.Done(); return ctx.Err() })
		r.push(t)
		r.work(t, time.Second)
		r.expect(t, "processing 1", "exception", "released 0s")
	})
}
