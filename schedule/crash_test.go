package schedule_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spoolq/spool/schedule"
)

// broken is a store that can be down.
type broken struct {
	schedule.Store
	mu  sync.Mutex
	err error
	put error // of writes only
}

func (b *broken) set(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.err, b.put = err, nil
}

func (b *broken) Many(ctx context.Context, keys ...string) (map[string]string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return nil, b.err
	}
	return b.Store.Many(ctx, keys...)
}

func (b *broken) Put(ctx context.Context, key string, value any, ttl time.Duration) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.put != nil {
		return b.put
	}
	return b.Store.Put(ctx, key, value, ttl)
}

// Whatever call of its store a scheduler dies in, before or behind it, the tick is
// dispatched: once, or a second time under the same uuid.
func TestASchedulerThatDiesLosesNoTick(t *testing.T) {
	for calls := range 5 {
		for _, lose := range []bool{false, true} {
			t.Run(fmt.Sprintf("in call %d, lost answer %v", calls, lose), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					f := newFleet(t, nil)
					add := func(s *schedule.Scheduler) { s.Cron("0 * * * *", Report{}).Name("e") }
					until(t, "07:30:00")
					f.due(f.scheduler(nil, add))
					until(t, "08:00:00")
					_, err := f.scheduler(&flaky{Store: f.store, left: calls, lose: lose}, add).RunDue(t.Context())
					if dies := calls < 2; dies != errors.Is(err, errDead) { // the third call is the lock's release
						t.Errorf("the first one: %v", err)
					}
					stop := f.start(f.scheduler(nil, add))
					until(t, "08:01:30")
					stop()
					got := f.ran()
					if len(got) == 0 || len(got) > 2 || len(got) == 2 && (calls != 1 || lose) {
						t.Errorf("ran %q", got)
					}
					for _, e := range f.dispatched {
						if e.Ref.UUID != f.dispatched[0].Ref.UUID || !strings.HasPrefix(got[0], "e 08:00:00") {
							t.Errorf("ran %+v", e)
						}
					}
					f.same("missed", f.told())
				})
			})
		}
	}
}

// A scheduler that has dispatched a tick, but can't write that down, doesn't
// dispatch it again.
func TestATickThatCantBeNoted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, nil)
		store := &broken{Store: f.store}
		s := f.scheduler(store, func(s *schedule.Scheduler) { s.Cron("0 * * * *", Report{}).Name("e") })
		until(t, "07:30:00")
		stop := f.start(s)
		until(t, "07:59:00")
		store.mu.Lock()
		store.put = errors.New("disk full")
		store.mu.Unlock()
		until(t, "08:01:00")
		if n := strings.Count(f.logged(), "disk full"); n != 1 {
			t.Errorf("told %d times", n)
		}
		store.set(nil)
		until(t, "09:30:00")
		stop()
		f.same("ran", f.ran(), "e 08:00:00", "e 09:00:00")
		f.same("missed", f.told())
	})
}

// A dispatch that fails is tried again, as long as the tick isn't too late, and
// doesn't keep the other entries from being run.
func TestADispatchThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, nil)
		s := f.scheduler(nil, func(s *schedule.Scheduler) { s.Cron("0 * * * *", Report{}).Name("e") })
		until(t, "07:30:00")
		stop := f.start(s)
		f.queue.set(errors.New("queue is down"), 0)
		until(t, "08:01:00")
		f.queue.set(nil, 0)
		until(t, "08:30:00")
		f.same("ran", f.ran(), "e 08:00:00")
		tries := len(f.failed)
		if tries < 5 || tries > 15 || !strings.Contains(f.failed[0].Err.Error(), "queue is down") || strings.Count(f.logged(), "queue is down") != 1 {
			t.Errorf("%d tries, %v", tries, f.logged())
		}
		f.queue.set(errors.New("queue is down"), 0)
		until(t, "09:30:00")
		f.queue.set(nil, 0)
		until(t, "09:45:00")
		stop()
		f.same("ran", f.ran(), "e 08:00:00")
		f.same("missed", f.told(), "e 09:00:00 09:00:00 1")
	})
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, nil)
		s := f.scheduler(nil, func(s *schedule.Scheduler) {
			s.Every(time.Minute, Report{"a"}).Name("bad").Unconnected()
			s.Every(time.Minute, Report{"b"}).Name("good")
		})
		until(t, "00:01:00")
		n, err := s.RunDue(t.Context())
		if n != 1 || err == nil || !strings.Contains(err.Error(), "schedule bad") {
			t.Errorf("%d, %v", n, err)
		}
		f.same("ran", f.ran(), "good 00:01:00")
	})
}

// A scheduler whose dispatch takes longer than its lease keeps its lock. If it
// can't, another one takes over, and the tick is dispatched twice under one uuid.
func TestALockIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, nil)
		add := func(s *schedule.Scheduler) { s.Cron("0 * * * *", Report{}).Name("e") }
		until(t, "07:30:00")
		stop, stop2 := f.start(f.scheduler(nil, add)), f.start(f.scheduler(nil, add))
		f.queue.set(nil, 45*time.Second)
		until(t, "08:30:00")
		f.same("ran", f.ran(), "e 08:00:00")
		stop()
		stop2()
	})
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, nil)
		add := func(s *schedule.Scheduler) { s.Cron("0 * * * *", Report{}).Name("e") }
		until(t, "07:30:00")
		f.due(f.scheduler(nil, add))
		until(t, "08:00:00")
		f.queue.set(nil, 45*time.Second)
		ended := make(chan error, 1)
		go func() { // it takes the lock, and can't renew it
			_, err := f.scheduler(&flaky{Store: f.store, left: 1}, add).RunDue(t.Context())
			ended <- err
		}()
		synctest.Wait()
		stop := f.start(f.scheduler(nil, add))
		if err := <-ended; err == nil || !strings.Contains(err.Error(), "the lock of the schedule was lost") {
			t.Error(err)
		}
		until(t, "08:30:00")
		stop()
		f.same("ran", f.ran(), "e 08:00:00", "e 08:00:00")
		if len(f.dispatched) == 2 && f.dispatched[0].Ref.UUID != f.dispatched[1].Ref.UUID {
			t.Errorf("%+v", f.dispatched)
		}
	})
}

// Schedulers whose clocks differ run each tick once, early by what the fastest
// one is ahead; a clock that is set back repeats nothing.
func TestClocksThatDiffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, nil)
		add := func(s *schedule.Scheduler) { s.Every(time.Minute, Report{}).Name("e") }
		fast, slow := f.scheduler(nil, add), f.scheduler(nil, add)
		schedule.SetClock(fast, func() time.Time { return time.Now().Add(10 * time.Second) })
		until(t, "08:00:30")
		stop, stop2 := f.start(fast), f.start(slow)
		until(t, "09:00:30")
		stop()
		stop2()
		seen := map[time.Time]int{}
		for i, e := range f.dispatched {
			if i == 0 {
				continue // the minute that it begins in
			}
			if seen[e.Tick]++; seen[e.Tick] > 1 || e.Tick.Sub(f.at[i]) > 10*time.Second || f.at[i].After(e.Tick) {
				t.Errorf("%v at %v, %d times", e.Tick, f.at[i], seen[e.Tick])
			}
		}
		if len(seen) != 60 {
			t.Errorf("%d ticks", len(seen))
		}
		f.same("missed", f.told())

		back := f.scheduler(nil, add)
		schedule.SetClock(back, func() time.Time { return time.Now().Add(-30 * time.Minute) })
		f.same("set back", f.due(back))
		if !strings.Contains(f.logged(), "the clocks of schedulers differ") {
			t.Error(f.logged())
		}
		until(t, "09:30:35")
		f.same("and caught up", f.due(back))
		until(t, "09:31:05")
		f.same("then", f.due(back), "e 09:01:00")
	})
}

// What the cache holds may be damaged: the entry begins anew.
func TestAStateThatCantBeRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, nil)
		if err := f.store.Put(t.Context(), "spool:schedule:e", "O:8:\"stdClass\":0:{}", 0); err != nil {
			t.Fatal(err)
		}
		s := f.scheduler(nil, func(s *schedule.Scheduler) { s.Every(time.Minute, Report{}).Name("e") })
		f.same("ran", f.due(s), "e 00:00:00")
		f.same("again", f.due(s))
		if !strings.Contains(f.logged(), "begins anew") {
			t.Error(f.logged())
		}
	})
}
