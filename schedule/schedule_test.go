package schedule_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/schedule"
	"github.com/spoolq/spool/worker"
)

// until sleeps until a time of day of the bubble's first day, 1 January 2000.
func until(t *testing.T, clock string) {
	t.Helper()
	at, err := time.Parse("2006-01-02 15:04:05", "2000-01-01 "+clock)
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Until(at))
	synctest.Wait()
}

// Jobs are dispatched at their times, on the clock of their zone, with the options
// of their entries and the tick in the payload.
func TestJobsAreDispatchedWhenTheyAreDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, nil)
		until(t, "00:03:20")
		stop := f.start(f.scheduler(nil, func(s *schedule.Scheduler) {
			s.Cron("0 8 * * *", Report{"boss"}, spool.OnQueue("reports")).In("Asia/Shanghai").Name("daily")
			s.Every(20*time.Minute, spool.WithName("sync", map[string]int{"shop": 7}, spool.Tries(3)))
			s.At(time.Date(2000, 1, 1, 0, 30, 5, 0, time.UTC), Report{"all"}).Name("party")
		}))
		until(t, "01:00:01")
		stop()
		f.same("ran", f.ran(), "sync 00:20:00", "party 00:30:05", "sync 00:40:00", "sync 01:00:00")
		stop = f.start(f.scheduler(nil, func(s *schedule.Scheduler) {
			s.Cron("0 8 * * *", Report{"boss"}, spool.OnQueue("reports")).In("Asia/Shanghai").Name("daily")
		}))
		time.Sleep(24 * time.Hour) // 08:00 in Shanghai is midnight
		stop()
		for i, e := range f.dispatched {
			if !f.at[i].Equal(e.Tick) || e.Ref.UUID != spool.UUIDOf(fmt.Sprintf("schedule shop %s %d", e.Name, e.Tick.Unix())) || e.ByHand {
				t.Errorf("%+v at %v", e, f.at[i])
			}
		}
		entries, _, err := f.queue.List(t.Context(), "reports", driver.Pending, "", 10)
		if err != nil || len(entries) != 1 {
			t.Fatal(entries, err)
		}
		if want := `"spoolTick":{"name":"daily","at":946771200}`; !strings.Contains(string(entries[0].Body), want) || !strings.Contains(string(entries[0].Body), `"to":"boss"`) {
			t.Errorf("%s has no %s", entries[0].Body, want)
		}
		entries, _, _ = f.queue.List(t.Context(), "default", driver.Pending, "", 10)
		if body := string(entries[0].Body); !strings.Contains(body, `"data":{"shop":7}`) || !strings.Contains(body, `"maxTries":3`) {
			t.Error(body)
		}
		if got := f.told(); len(got) > 0 {
			t.Errorf("missed: %q", got)
		}
	})
}

// Three schedulers dispatch what is due every minute of a day once, in time, though
// they come and go.
func TestADayWithThreeSchedulers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, nil)
		add := func(s *schedule.Scheduler) {
			s.Cron("* * * * *", Report{}).Name("e")
			s.Every(7*time.Second, Report{}).Name("seven")
		}
		time.Sleep(time.Second)
		stops := []func(){f.start(f.scheduler(nil, add)), f.start(f.scheduler(nil, add)), f.start(f.scheduler(nil, add))}
		for i := range 24 {
			time.Sleep(time.Hour)
			stops[i%3]() // a deploy, of one after the other
			stops[i%3] = f.start(f.scheduler(nil, add))
		}
		for _, stop := range stops {
			stop()
		}
		uuids, ticks := map[string]bool{}, map[string]int{}
		for i, e := range f.dispatched {
			if uuids[e.Ref.UUID] || !f.at[i].Equal(e.Tick) && i > 1 {
				t.Fatalf("%+v at %v", e, f.at[i])
			}
			uuids[e.Ref.UUID] = true
			ticks[e.Name]++
		}
		if ticks["e"] != 24*60+1 || ticks["seven"] != 24*3600/7+1 {
			t.Errorf("%v ticks", ticks)
		}
		f.same("missed", f.told())
	})
}

// A tick whose job is left out, because another one has its lock, is done.
func TestUniqueJobs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, nil)
		s := f.scheduler(nil, func(s *schedule.Scheduler) { s.Every(time.Minute, Report{}, spool.Unique("")).Name("e") })
		f.due(s)
		time.Sleep(time.Minute)
		f.due(s)
		if len(f.dispatched) != 2 || f.dispatched[0].Ref.Skipped || !f.dispatched[1].Ref.Skipped {
			t.Errorf("%+v", f.dispatched)
		}
		f.same("again", f.due(s))
	})
}

// A handler finds the tick that it runs for; one that nobody has scheduled finds
// none.
func TestAHandlerFindsItsTick(t *testing.T) {
	f := newFleet(t, nil)
	s := f.scheduler(nil, func(s *schedule.Scheduler) { s.Every(time.Second, Report{"boss"}).Name("daily") })
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	schedule.SetClock(s, func() time.Time { return at.Add(100 * time.Millisecond) })
	if got := f.due(s); len(got) != 1 {
		t.Fatal(got)
	}
	ref, err := s.RunNow(t.Context(), "daily")
	if err != nil || ref.UUID == s.UUID("daily", at) {
		t.Fatal(ref, err)
	}
	if _, err := spool.Dispatch(t.Context(), f.client, Report{"nobody"}); err != nil {
		t.Fatal(err)
	}
	mux := spool.NewMux()
	var got []schedule.Tick
	spool.Handle(mux, func(ctx context.Context, _ Report) error {
		tick, ok := schedule.TickFrom(ctx)
		if ok != (tick.Name != "") {
			t.Error(tick, ok)
		}
		got = append(got, tick)
		return nil
	})
	conn, err := f.client.Manager().Connection(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := worker.New(conn, mux, &worker.Options{StopWhenEmpty: true, Concurrency: 1}).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := []schedule.Tick{{Name: "daily", At: at}, {Name: "daily", At: at, ByHand: true}, {}}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if tick, ok := schedule.TickFrom(t.Context()); ok {
		t.Error(tick)
	}
	if n := len(f.dispatched); n != 2 || !f.dispatched[1].ByHand {
		t.Errorf("%+v", f.dispatched)
	}
}

// What a scheduler finds when it comes back: a tick up to five minutes late is
// run; what is later is missed, or made up for as far as the entry says.
func TestCatchingUp(t *testing.T) {
	for _, c := range []struct {
		catchUp int
		back    string
		ran     []string
		missed  []string
	}{
		{0, "08:04:00", []string{"e 08:00:00"}, nil},
		{0, "08:05:01", nil, []string{"e 08:00:00 08:00:00 1"}},
		{0, "11:02:00", []string{"e 11:00:00"}, []string{"e 08:00:00 10:00:00 3"}},
		{0, "11:30:00", nil, []string{"e 08:00:00 11:00:00 4"}},
		{1, "11:30:00", []string{"e 11:00:00"}, []string{"e 08:00:00 10:00:00 3"}},
		{3, "11:30:00", []string{"e 09:00:00", "e 10:00:00", "e 11:00:00"}, []string{"e 08:00:00 08:00:00 1"}},
		{1000, "11:30:00", []string{"e 08:00:00", "e 09:00:00", "e 10:00:00", "e 11:00:00"}, nil},
	} {
		t.Run(fmt.Sprintf("catch up %d at %s", c.catchUp, c.back), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(t, nil)
				add := func(s *schedule.Scheduler) { s.Cron("0 * * * *", Report{}).Name("e").CatchUp(c.catchUp) }
				until(t, "07:30:00")
				f.same("at first", f.due(f.scheduler(nil, add)))
				until(t, c.back)
				s := f.scheduler(nil, add)
				list, err := s.List(t.Context())
				if err != nil || list[0].Overdue != (c.back != "08:04:00") {
					t.Errorf("listed as %+v, %v", list, err)
				}
				f.same("ran", f.due(s), c.ran...)
				f.same("missed", f.told(), c.missed...)
				f.same("ran again", f.due(f.scheduler(nil, add)))
				f.same("missed again", f.told())
				if list, err = s.List(t.Context()); err != nil || list[0].Overdue {
					t.Errorf("listed as %+v, %v", list, err)
				}
			})
		})
	}
}

// An entry begins with the minute in which it is first seen, also when its times
// have changed, and owes nothing from before.
func TestTheFirstTick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, nil)
		minutely := func(expr string) *schedule.Scheduler {
			return f.scheduler(nil, func(s *schedule.Scheduler) { s.Cron(expr, Report{}).Name("e").CatchUp(100) })
		}
		until(t, "10:00:02")
		f.same("behind the full minute", f.due(minutely("* * * * *")), "e 10:00:00")
		until(t, "10:30:59")
		f.same("other times", f.due(minutely("*/2 * * * *")), "e 10:30:00")
		f.same("and back", f.due(minutely("* * * * *")))
		until(t, "10:45:10")
		f.same("another zone", f.due(f.scheduler(nil, func(s *schedule.Scheduler) { s.Cron("* * * * *", Report{}).In("Asia/Tokyo").Name("e") })), "e 10:45:00")
		f.same("missed", f.told())

		seconds := f.scheduler(nil, func(s *schedule.Scheduler) { s.Every(10*time.Second, Report{}).Name("s") })
		f.same("several in that minute", f.due(seconds), "s 10:45:10")
		f.same("missed", f.told())
	})
}

// What is due once is run late if it was known, told if it wasn't, and never run
// again.
func TestAMomentThatPasses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, nil)
		once := func(clock string) *schedule.Scheduler {
			at, err := time.Parse("2006-01-02 15:04", "2000-01-01 "+clock)
			if err != nil {
				t.Fatal(err)
			}
			return f.scheduler(nil, func(s *schedule.Scheduler) { s.At(at, Report{}).Name("once") })
		}
		until(t, "10:00:00")
		f.same("before", f.due(once("11:00")))
		until(t, "15:00:00")
		f.same("late", f.due(once("11:00")), "once 11:00:00")
		f.same("again", f.due(once("11:00")))
		f.same("another time", f.due(once("16:00")))
		until(t, "16:00:00")
		f.same("then", f.due(once("16:00")), "once 16:00:00")
		f.same("missed", f.told())
		if err := f.store.Forget(t.Context(), "spool:schedule:once"); err != nil {
			t.Fatal(err)
		}
		until(t, "17:00:00")
		f.same("the cache was cleared", f.due(once("16:00")))
		f.same("missed", f.told(), "once 16:00:00 16:00:00 1")
		f.same("told again", f.due(once("16:00")))
		f.same("missed", f.told())
		list, err := once("16:00").List(t.Context())
		if err != nil || !list[0].Next.IsZero() || list[0].Overdue {
			t.Errorf("listed as %+v, %v", list, err)
		}
	})
}

// A paused entry dispatches nothing, and owes nothing when it goes on.
func TestPause(t *testing.T) {
	for name, all := range map[string]string{"one": "e", "all": ""} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(t, nil)
				add := func(s *schedule.Scheduler) {
					s.Cron("0 * * * *", Report{}).Name("e").CatchUp(10)
					s.Cron("0 12 * * *", Report{}).Name("noon")
				}
				s := f.scheduler(nil, add)
				until(t, "08:30:00")
				stop := f.start(s)
				until(t, "09:30:00")
				if err := f.scheduler(nil, add).Pause(t.Context(), all); err != nil {
					t.Fatal(err)
				}
				until(t, "10:30:00")
				stop() // and while nothing runs
				until(t, "13:30:00")
				list, err := s.List(t.Context())
				if err != nil || !list[0].Paused || list[0].Overdue || list[1].Paused != (all == "") {
					t.Errorf("listed as %+v, %v", list, err)
				}
				if _, err := s.RunNow(t.Context(), "e"); err != nil {
					t.Error(err)
				}
				if was, err := f.scheduler(nil, add).Resume(t.Context(), all); err != nil || !was {
					t.Fatal(was, err)
				}
				if was, err := s.Resume(t.Context(), all); err != nil || was {
					t.Errorf("resumed again: %v, %v", was, err)
				}
				stop = f.start(f.scheduler(nil, add))
				until(t, "14:30:00")
				stop()
				want := []string{"e 09:00:00", "e 13:30:00", "e 14:00:00"}
				f.same("ran", f.ran(), want...)
				if got := f.told(); all == "" && len(got) > 0 || all != "" && fmt.Sprint(got) != "[noon 12:00:00 12:00:00 1]" {
					t.Errorf("missed: %q", got)
				}
			})
		})
	}
}

// Run ends when a restart is signalled, at once if it is told to, and it waits
// for a store that is down.
func TestRunEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, nil)
		down := &broken{Store: f.store, err: errors.New("connection refused")}
		s := f.scheduler(down, func(s *schedule.Scheduler) { s.Every(time.Minute, Report{}).Name("e") })
		done := make(chan error, 1)
		go func() { done <- s.Run(t.Context()) }()
		until(t, "00:02:30")
		if n := strings.Count(f.logged(), "the schedule can't be run"); n != 1 || len(f.ran()) > 0 {
			t.Errorf("told %d times, ran %q", n, f.ran())
		}
		down.set(nil)
		until(t, "00:04:30")
		f.same("ran", f.ran(), "e 00:02:00", "e 00:03:00", "e 00:04:00")
		if err := f.store.Put(t.Context(), "restart", time.Now().Unix(), 0); err != nil {
			t.Fatal(err)
		}
		time.Sleep(16 * time.Second)
		synctest.Wait()
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
		default:
			t.Fatal("it still runs")
		}
		stop := f.start(f.scheduler(nil, func(s *schedule.Scheduler) { s.Every(time.Minute, Report{}).Name("e") }))
		until(t, "00:10:00") // an old signal is none
		stop()
		if got := f.ran(); got[len(got)-1] != "e 00:10:00" {
			t.Errorf("ran %q", got)
		}
	})
}

// Mistakes are told by whatever is done with a schedule.
func TestMistakes(t *testing.T) {
	for want, add := range map[string]func(s *schedule.Scheduler){
		`cron "61 * * * *": minute "61"`: func(s *schedule.Scheduler) { s.Cron("61 * * * *", Report{}) },
		"every 500ms: want whole":        func(s *schedule.Scheduler) { s.Every(500*time.Millisecond, Report{}) },
		"at: no time":                    func(s *schedule.Scheduler) { s.At(time.Time{}, Report{}) },
		`time zone "Mars/Base"`:          func(s *schedule.Scheduler) { s.Every(time.Hour, Report{}).In("Mars/Base") },
		`time zone "Local"`:              func(s *schedule.Scheduler) { s.Every(time.Hour, Report{}).In("Local") },
		"two entries have this name":     func(s *schedule.Scheduler) { s.Every(time.Hour, Report{}); s.Every(time.Minute, Report{}) },
		`"" is no good name`:             func(s *schedule.Scheduler) { s.Every(time.Hour, Report{}).Name("") },
		"catch up -1":                    func(s *schedule.Scheduler) { s.Every(time.Hour, Report{}).CatchUp(-1) },
		"has no name of its own":         func(s *schedule.Scheduler) { s.Every(time.Hour, map[string]int{}) },
	} {
		f := newFleet(t, nil)
		s := f.scheduler(nil, add)
		_, due := s.RunDue(t.Context())
		_, listed := s.List(t.Context())
		_, now := s.RunNow(t.Context(), "Report")
		_, resumed := s.Resume(t.Context(), "")
		for _, err := range []error{s.Check(), s.Run(t.Context()), due, listed, now, s.Pause(t.Context(), ""), resumed} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want the words %q", err, want)
			}
		}
	}
	f := newFleet(t, nil)
	s := f.scheduler(nil, func(s *schedule.Scheduler) { s.Every(time.Hour, Report{}).Name("a") })
	_, err := s.RunNow(t.Context(), "b")
	_, resumed := s.Resume(t.Context(), "b")
	var unknown *schedule.UnknownError
	if !errors.As(err, &unknown) || !errors.As(s.Pause(t.Context(), "b"), &unknown) || !errors.As(resumed, &unknown) || !strings.Contains(unknown.Error(), "there are: a") {
		t.Error(err)
	}
}
