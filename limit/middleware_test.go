package limit

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/cache"
	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/memqueue"
	"github.com/spoolq/spool/worker"
)

// rig is a queue in memory with the stores of its manager.
type rig struct {
	t      *testing.T
	client *spool.Client
	store  *cache.Memory
	mux    *spool.Mux
	start  time.Time

	mu         sync.Mutex
	said       []string
	deliveries int
}

func newRig(t *testing.T) *rig {
	r := &rig{t: t, store: cache.NewMemory(), mux: spool.NewMux(), start: time.Now()}
	m := spool.NewManager(&spool.ManagerOptions{Locks: r.store, Signals: r.store})
	m.Add(spool.ConnectionConfig{Name: "mem", Open: func(context.Context) (driver.Conn, error) { return memqueue.New(nil), nil }})
	t.Cleanup(func() { _ = m.Close() })
	r.client = spool.NewClient(m, nil)
	spool.Listen(m.Events(), func(context.Context, spool.JobPopped) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.deliveries++
	})
	spool.Listen(m.Events(), func(_ context.Context, e spool.JobFailed) { r.say("failed: %v", e.Err) })
	return r
}

// say notes what happened, and after how long.
func (r *rig) say(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.said = append(r.said, fmt.Sprintf("%v ", time.Since(r.start).Truncate(time.Second))+fmt.Sprintf(format, args...))
}

func (r *rig) push(name string, n int) {
	r.t.Helper()
	for range n {
		if _, err := spool.Push(r.t.Context(), r.client, name, nil); err != nil {
			r.t.Fatal(err)
		}
	}
}

// run has that many workers run side by side for a time.
func (r *rig) run(workers int, d time.Duration) {
	r.t.Helper()
	conn, err := r.client.Manager().Connection(r.t.Context(), "")
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(r.t.Context())
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			_, err := worker.New(conn, r.mux, &worker.Options{Concurrency: 4, Grace: -1, Sleep: time.Second}).Run(ctx)
			if err != nil {
				r.t.Error(err)
			}
		})
	}
	time.Sleep(d)
	stop()
	wg.Wait()
}

func TestRateLimitedComesBackWhenItCan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.mux.HandleFunc("x", func(_ context.Context, job *spool.Job) error {
			r.say("at attempt %d", job.Attempt)
			return nil
		}, spool.Tries(1), spool.Through(RateLimited("api", func(*spool.Job) []Limit { return []Limit{PerMinute(2), PerHour(100)} }, nil)))
		r.push("x", 7)
		r.run(2, 10*time.Minute)
		var want []string
		for n := range 7 {
			want = append(want, fmt.Sprintf("%v at attempt 1", time.Duration(n/2)*time.Minute))
		}
		// A minute of the limit is whole seconds, as the queue's delay is.
		got := r.said
		for i, s := range got {
			at, rest, _ := strings.Cut(s, " ")
			d, _ := time.ParseDuration(at)
			got[i] = fmt.Sprintf("%v %s", d.Truncate(5*time.Second), rest)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("(-want +got)\n%s", d)
		}
		if r.deliveries > 2*7+2 {
			t.Errorf("7 jobs were delivered %d times", r.deliveries)
		}
	})
}

// A line of any length sends nobody away for ever, nor back at once.
func TestRateLimitedLongLine(t *testing.T) {
	store := cache.NewMemory()
	l := PerDay(1).By("k")
	if err := store.Put(t.Context(), "k:line", 1_000_000, 0); err != nil {
		t.Fatal(err)
	}
	if wait, err := take(t.Context(), In(store), []Limit{l}); wait != 0 || err != nil {
		t.Fatal(wait, err)
	}
	if wait, err := take(t.Context(), In(store), []Limit{l}); wait < farthest || wait > farthest+l.Per || err != nil {
		t.Errorf("wait %v, %v", wait, err)
	}
}

func TestRateLimitedOptions(t *testing.T) {
	for name, tt := range map[string]struct {
		limits []Limit
		opts   *RateOptions
		want   []string
	}{
		"no limits":       {nil, nil, []string{"0s ran", "0s ran"}},
		"dropped":         {[]Limit{PerHour(1)}, &RateOptions{Drop: true}, []string{"0s ran"}},
		"at a time":       {[]Limit{{Max: 1, Per: 10 * time.Second}}, &RateOptions{After: 40 * time.Second}, []string{"0s ran", "40s ran"}},
		"never":           {[]Limit{PerMinute(0)}, nil, nil},
		"all or none":     {[]Limit{PerMinute(0).By("b"), PerMinute(1)}, nil, nil},
		"another's store": {[]Limit{PerHour(1)}, &RateOptions{Store: In(cache.NewMemory())}, []string{"0s ran"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				r.mux.HandleFunc("x", func(context.Context, *spool.Job) error { r.say("ran"); return nil },
					spool.Tries(1), spool.Through(RateLimited("api", func(*spool.Job) []Limit { return tt.limits }, tt.opts)))
				r.push("x", 2)
				r.run(1, 10*time.Minute)
				if d := cmp.Diff(tt.want, r.said); d != "" {
					t.Errorf("(-want +got)\n%s", d)
				}
			})
		})
	}
}

// A store that is down is no exception of the job, and no store at all is one.
func TestRateLimitedWithoutAStore(t *testing.T) {
	job := &spool.Job{Name: "x"}
	run := func(store whole) error {
		j := &spool.Job{Name: "x", Signals: store, Locks: store}
		if store == nil {
			j = job
		}
		h := RateLimited("api", func(*spool.Job) []Limit { return []Limit{PerHour(1)} }, nil)(func(context.Context, *spool.Job) error { return nil })
		return h(spool.WithJob(t.Context(), j), j)
	}
	down := &dying{whole: cache.NewMemory()}
	if o := spool.OutcomeOf(run(down)); o.Kind != spool.Returned || o.Delay != storeWait || !errors.Is(o.Err, errDead) {
		t.Errorf("%+v", o)
	}
	h := RateLimited("api", func(*spool.Job) []Limit { return []Limit{PerHour(1)} }, nil)(nil)
	if err := h(spool.WithJob(t.Context(), job), job); !errors.Is(err, spool.ErrNoLocks) || spool.OutcomeOf(err).Kind != spool.Undecided {
		t.Errorf("%v", err)
	}
}

// most notes how many run at a time.
type most struct{ now, max atomic.Int32 }

func (m *most) run(d time.Duration) {
	n := m.now.Add(1)
	defer m.now.Add(-1)
	for old := m.max.Load(); n > old && !m.max.CompareAndSwap(old, n); old = m.max.Load() {
	}
	time.Sleep(d)
}

func TestWithoutOverlapping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		var m most
		done := 0
		r.mux.HandleFunc("x", func(_ context.Context, job *spool.Job) error {
			m.run(20 * time.Second)
			if done++; job.Attempt != 1 {
				t.Errorf("attempt %d", job.Attempt)
			}
			return nil
		}, spool.Tries(1), spool.Through(WithoutOverlapping(func(*spool.Job) string { return "a" }, nil)))
		r.push("x", 6)
		r.run(2, 10*time.Minute)
		if m.max.Load() != 1 || done != 6 {
			t.Errorf("%d at a time, %d in all", m.max.Load(), done)
		}
		if o, _ := r.store.Owner(t.Context(), "laravel-queue-overlap:x:a"); o != "" {
			t.Errorf("the lock is %s's", o)
		}
	})
}

// The lock of a dead worker ends, that of one that lives doesn't, however long
// its job runs.
func TestWithoutOverlappingLeases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		if ok, err := r.store.Acquire(t.Context(), "laravel-queue-overlap:x:a", "dead", time.Minute); !ok || err != nil {
			t.Fatal(ok, err)
		}
		r.mux.HandleFunc("x", func(context.Context, *spool.Job) error {
			r.say("begins")
			time.Sleep(10 * time.Minute)
			r.say("ends")
			return nil
		}, spool.Timeout(time.Hour), spool.Through(WithoutOverlapping(func(*spool.Job) string { return "a" }, &OverlapOptions{Expire: 5 * time.Second, After: 31 * time.Second})))
		r.push("x", 2)
		r.run(2, 30*time.Minute)
		if d := cmp.Diff([]string{"1m2s begins", "11m2s ends", "11m22s begins", "21m22s ends"}, r.said); d != "" {
			t.Errorf("(-want +got)\n%s", d)
		}
	})
}

// A lock that is lost ends the context of its job.
func TestLeaseLost(t *testing.T) {
	for name, lose := range map[string]func(l *losing){
		"taken by another": func(l *losing) {
			_ = l.ForceRelease(context.Background(), "laravel-queue-overlap:x:")
			_, _ = l.Memory.Acquire(context.Background(), "laravel-queue-overlap:x:", "another", time.Hour)
		},
		"store is down": func(l *losing) { l.down.Store(true) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := &losing{Memory: cache.NewMemory()}
				job := &spool.Job{Name: "x", Locks: store}
				began := time.Now()
				h := WithoutOverlapping(func(*spool.Job) string { return "" }, &OverlapOptions{Expire: 30 * time.Second})(func(ctx context.Context, _ *spool.Job) error {
					lose(store)
					<-ctx.Done()
					return context.Cause(ctx)
				})
				err := h(spool.WithJob(t.Context(), job), job)
				if !errors.Is(err, ErrLost) || time.Since(began) > time.Minute {
					t.Errorf("after %v: %v", time.Since(began), err)
				}
				store.down.Store(false)
				if o, _ := store.Owner(t.Context(), "laravel-queue-overlap:x:"); o != "another" && o != "" {
					t.Errorf("the lock is %s's", o)
				}
			})
		})
	}
}

// A store that no longer answers doesn't keep a job running when its lock is over.
func TestLeaseLostInSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &losing{Memory: cache.NewMemory()}
		began := time.Now()
		err := Funnel("pdf").Limit(1).ReleaseAfter(30*time.Second).In(&Store{Locks: store}).Do(t.Context(), func(ctx context.Context) error {
			store.silent.Store(true)
			<-ctx.Done()
			return context.Cause(ctx)
		})
		if d := time.Since(began); !errors.Is(err, ErrLost) || d > 30*time.Second {
			t.Errorf("after %v: %v", d, err)
		}
	})
}

// A short lease outlives the seconds in which stores count: one that is taken at
// the end of a second isn't another's at its turn.
func TestShortLease(t *testing.T) {
	for name, store := range stores(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var m most
			time.Sleep(time.Until(time.Now().Truncate(time.Second).Add(950 * time.Millisecond)))
			var wg sync.WaitGroup
			for range 2 {
				wg.Go(func() {
					err := Funnel("pdf").Limit(1).ReleaseAfter(time.Second).In(In(store)).Block(time.Minute).Do(t.Context(), func(context.Context) error {
						m.run(1300 * time.Millisecond)
						return nil
					})
					if err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			if m.max.Load() > 1 {
				t.Errorf("%d at a time", m.max.Load())
			}
		})
	}
}

// The slot of a funnel whose answer was lost is given back.
func TestFunnelAnswerLost(t *testing.T) {
	store := &losing{Memory: cache.NewMemory()}
	store.deaf.Store(true)
	funnel := Funnel("pdf").Limit(2).In(&Store{Locks: store})
	if err := funnel.Do(t.Context(), func(context.Context) error { return nil }); !errors.Is(err, errDead) {
		t.Fatal(err)
	}
	for _, slot := range []string{"pdf1", "pdf2"} {
		if o, err := store.Owner(t.Context(), slot); o != "" || err != nil {
			t.Errorf("%s is %s's: %v", slot, o, err)
		}
	}
}

// losing is a store of locks that can be down, answer nothing, or do what it is
// asked and not be heard.
type losing struct {
	*cache.Memory
	down, silent, deaf atomic.Bool
}

func (l *losing) Acquire(ctx context.Context, name, owner string, ttl time.Duration) (bool, error) {
	switch {
	case l.down.Load():
		return false, errDead
	case l.silent.Load():
		<-ctx.Done()
		return false, ctx.Err()
	case l.deaf.Load():
		_, err := l.Memory.Acquire(ctx, name, owner, ttl)
		return false, errors.Join(err, errDead)
	}
	return l.Memory.Acquire(ctx, name, owner, ttl)
}

func TestWithoutOverlappingNames(t *testing.T) {
	php := &spool.Payload{Job: `Illuminate\Queue\CallQueuedHandler@call`, Name: `App\Jobs\X`, DisplayName: `App\Jobs\X`}
	for _, tt := range []struct {
		job  *spool.Job
		opts OverlapOptions
		want string
	}{
		{&spool.Job{Name: "X"}, OverlapOptions{}, "laravel-queue-overlap:X:7"},
		{&spool.Job{Name: "X"}, OverlapOptions{Class: `App\Jobs\X`}, `laravel-queue-overlap:App\Jobs\X:7`},
		{&spool.Job{Name: `App\Jobs\X`, Payload: php}, OverlapOptions{}, `laravel-queue-overlap:App\Jobs\X:7`},
		{&spool.Job{Name: "X"}, OverlapOptions{Shared: true}, "laravel-queue-overlap:7"},
	} {
		if got := tt.opts.lockName(tt.job, "7"); got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
}

func TestFunnel(t *testing.T) {
	for name, store := range stores(t) {
		t.Run(name, func(t *testing.T) {
			var m most
			var wg sync.WaitGroup
			var ran, refused atomic.Int32
			for range 12 {
				wg.Go(func() {
					err := Funnel("pdf").Limit(3).In(In(store)).Block(time.Minute).Do(t.Context(), func(context.Context) error {
						m.run(10 * time.Millisecond)
						ran.Add(1)
						return nil
					})
					if err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			if m.max.Load() > 3 || ran.Load() != 12 {
				t.Errorf("%d at a time, %d in all", m.max.Load(), ran.Load())
			}
			err := Funnel("none").Limit(0).In(In(store)).Do(t.Context(), func(context.Context) error { refused.Add(1); return nil })
			if e, ok := errors.AsType[*Error](err); !ok || e.After != comeBack || refused.Load() != 0 {
				t.Errorf("a funnel of none: %v", err)
			}
		})
	}
}

// Slots of dead holders end, those of others are renewed; all taken, the job
// comes back with its attempt.
func TestFunnelLeases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		for _, slot := range []string{"pdf1", "pdf2"} {
			if ok, err := r.store.Acquire(t.Context(), slot, "dead", time.Minute); !ok || err != nil {
				t.Fatal(ok, err)
			}
		}
		r.mux.HandleFunc("x", func(_ context.Context, job *spool.Job) error {
			r.say("begins at attempt %d", job.Attempt)
			time.Sleep(5 * time.Minute)
			return nil
		}, spool.Tries(1), spool.Timeout(time.Hour), spool.Through(Funnel("pdf").Limit(2).ReleaseAfter(3*time.Second).Again(31*time.Second).Middleware()))
		r.push("x", 3)
		r.run(2, time.Hour)
		want := []string{"1m2s begins at attempt 1", "1m2s begins at attempt 1", "6m12s begins at attempt 1"}
		if d := cmp.Diff(want, r.said); d != "" {
			t.Errorf("(-want +got)\n%s", d)
		}
	})
}

func TestThrottle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := In(cache.NewMemory())
		rate := Throttle("stripe").Allow(2).Every(10 * time.Second).In(store)
		ran := 0
		run := func(r Rate) error {
			return r.Do(t.Context(), func(context.Context) error { ran++; return nil })
		}
		for range 2 {
			if err := run(rate); err != nil {
				t.Error(err)
			}
		}
		err := run(rate)
		if e, ok := errors.AsType[*Error](err); !ok || e.After < 9*time.Second || e.After > 10*time.Second {
			t.Errorf("%v", err)
		}
		if o := spool.OutcomeOf(fmt.Errorf("charge: %w", err)); o.Kind != spool.Returned || o.Delay < 9*time.Second {
			t.Errorf("as a job's end it is %+v", o)
		}
		began := time.Now()
		if err := run(rate.Block(time.Minute)); err != nil || time.Since(began) > 11*time.Second {
			t.Errorf("blocked for %v: %v", time.Since(began), err)
		}
		if err := run(Throttle("none").In(store)); err == nil || ran != 3 {
			t.Errorf("a throttle of none: %v, %d ran", err, ran)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err = Throttle("none").In(store).Block(time.Hour).Do(ctx, func(context.Context) error { return nil })
		if o := spool.OutcomeOf(err); o.Kind != spool.Returned || !errors.Is(o.Err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
	})
}

func TestThrottlesExceptions(t *testing.T) {
	refused, other := errors.New("refused"), errors.New("other")
	for name, tt := range map[string]struct {
		opts *ExceptionOptions
		end  func(n int) error
		want []string
	}{
		"held back after two": {&ExceptionOptions{Backoff: 10 * time.Second}, func(int) error { return refused },
			[]string{"0s at 1", "10s at 2", "1m0s at 3", "1m10s at 4", "2m0s at 5", "2m0s failed: refused"}},
		"success resets": {nil, func(n int) error {
			if n == 1 {
				return refused
			}
			return nil
		}, []string{"0s at 1", "0s at 2"}},
		"of no interest": {&ExceptionOptions{When: func(err error) bool { return !errors.Is(err, other) }}, func(int) error { return other },
			[]string{"0s at 1", "0s at 2", "0s at 3", "0s at 4", "0s at 5", "0s failed: other"}},
		"deleted": {&ExceptionOptions{DeleteWhen: func(error) bool { return true }}, func(int) error { return refused }, []string{"0s at 1"}},
		"failed":  {&ExceptionOptions{FailWhen: func(error) bool { return true }}, func(int) error { return refused }, []string{"0s at 1", "0s failed: refused"}},
		"a decision is none": {nil, func(n int) error {
			if n == 1 {
				return spool.Release(time.Second)
			}
			return spool.Fail(refused)
		}, []string{"0s at 1", "1s at 2", "1s failed: refused"}},
		"a panic counts": {nil, func(n int) error {
			if n < 3 {
				panic("!")
			}
			return nil
		}, []string{"0s at 1", "0s at 2", "1m0s at 3"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				r.mux.HandleFunc("x", func(_ context.Context, job *spool.Job) error {
					r.say("at %d", job.Attempt)
					return tt.end(job.Attempt)
				}, spool.Tries(5), spool.MaxExceptions(5), spool.Through(giveUpLast, ThrottlesExceptions(2, time.Minute, tt.opts)))
				r.push("x", 1)
				r.run(1, 10*time.Minute)
				if d := cmp.Diff(tt.want, r.said); d != "" {
					t.Errorf("(-want +got)\n%s", d)
				}
			})
		})
	}
}

// giveUpLast fails a job that is released at its fifth attempt, so that tests
// end.
func giveUpLast(next spool.HandlerFunc) spool.HandlerFunc {
	return func(ctx context.Context, job *spool.Job) error {
		err := next(ctx, job)
		if job.Attempt == 5 && spool.OutcomeOf(err).Kind == spool.Released {
			return spool.Fail(errors.New("refused"))
		}
		return err
	}
}

func TestThrottlesExceptionsKeys(t *testing.T) {
	job := &spool.Job{Name: "X", UUID: "u"}
	for want, o := range map[string]ExceptionOptions{
		"laravel_throttles_exceptions:stripe":                           {By: "stripe"},
		"laravel_throttles_exceptions:u":                                {ByJob: true},
		"laravel_throttles_exceptions:02129bb861061d1a052c592e2dc6b383": {},
		"laravel_throttles_exceptions:57cec4137b614c87cb4e24a3d003a3e0": {Class: "Y"},
	} {
		if got := o.key(job); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
