package drivertest

import (
	"time"

	"github.com/spoolq/spool/driver"
)

func delayCases() []testCase {
	stored := []capability{storage}
	return []testCase{
		{name: "a negative delay is none", needs: stored, run: negativeDelay},
		{name: "a delayed job doesn't hold up those behind it", needs: stored, run: delayedIsPassed},
		{name: "a delayed job comes never early and on time", needs: stored, slow: true, run: delayOnTime},
		{name: "delays of one push may differ", needs: stored, slow: true, run: delaysDiffer},
		{name: "a job released with a delay comes never early and on time", needs: stored, slow: true, run: func(f *fixture) {
			f.putBackDelayed(func(rs []driver.Reservation, delay time.Duration) error {
				return f.c.Release(f.ctx(), rs, delay)
			}, 2)
		}},
	}
}

func negativeDelay(f *fixture) {
	q := f.queue("negative")
	f.push(f.c, q, 1, -time.Hour)
	r := f.one(f.c, q, 1)
	f.must("Release", f.c.Release(f.ctx(), []driver.Reservation{r}, -time.Hour))
	f.one(f.c, q, 2)
}

func delayedIsPassed(f *fixture) {
	q := f.queue("passed")
	f.push(f.c, q, 1, f.far())
	ss := f.push(f.c, q, 2, 0)
	f.sameOrder(f.idsOf(f.reserveN(f.c, q, 2)), sampleIDs(ss))
	f.none(f.c, q, "the other one is delayed by far longer")
}

// A moment is when something was seen to happen: after the last time it was
// looked for in vain, before the answer that showed it.
type moment struct{ after, before time.Time }

// appearance polls a queue until a job can be reserved, and says when that was.
// However slow the machine, the job was not there at m.after and was at
// m.before.
func (f *fixture) appearance(c driver.Conn, q string) (r driver.Reservation, m moment) {
	f.Helper()
	f.poll("a job of "+q, func() bool {
		asked := time.Now()
		rs := f.reserve(c, q, 1)
		m.before = time.Now()
		if len(rs) == 0 {
			m.after = asked
			return false
		}
		r = rs[0]
		return true
	})
	return r, m
}

// clockSlack is what a server's clock may differ from this process's, on one
// machine, and what a poll may take to arrive.
const clockSlack = 100 * time.Millisecond

// onTime compares a moment with when it should be: d after a call that was
// made within called, rounded up to the resolution.
func (f *fixture) onTime(what string, m, called moment, d time.Duration) {
	f.Helper()
	if early := called.after.Add(d).Sub(m.before); early > 0 {
		f.Errorf("%s: %v too early", what, early)
	}
	if late := m.after.Sub(called.before.Add(d + f.traits.Resolution + clockSlack)); late > 0 {
		f.Errorf("%s: %v later than its resolution of %v allows", what, late, f.traits.Resolution)
	}
}

// called notes when a call was made.
func called(call func()) moment {
	start := time.Now()
	call()
	return moment{start, time.Now()}
}

func delayOnTime(f *fixture) {
	for _, d := range []time.Duration{time.Second, 1300 * time.Millisecond, 10 * time.Millisecond, 2 * time.Second} {
		q := f.queue("delay")
		push := called(func() { f.push(f.c, q, 1, d) })
		_, m := f.appearance(f.other(), q)
		f.onTime("push delayed by "+d.String(), m, push, d)
	}
}

func delaysDiffer(f *fixture) {
	q := f.queue("delays")
	delays := []time.Duration{3 * time.Second, 0, time.Second, f.far()}
	ss := f.newSamples(len(delays))
	for i, d := range delays {
		ss[i].Delay = d
	}
	push := called(func() { f.pushSamples(f.c, q, ss...) })
	for _, i := range []int{1, 2, 0} {
		r, m := f.appearance(f.c, q)
		if f.id(r.Body) != ss[i].ID {
			f.Fatalf("the job delayed by %v should come next", delays[i])
		}
		f.onTime("push delayed by "+delays[i].String(), m, push, delays[i])
		f.must("Delete", f.c.Delete(f.ctx(), []driver.Reservation{r}))
	}
	f.none(f.c, q, "the last one is delayed by far longer")
}

// putBackDelayed takes one job, puts it back with a delay, and checks when it
// comes and with how many attempts.
func (f *fixture) putBackDelayed(putBack func([]driver.Reservation, time.Duration) error, attempts int) {
	f.Helper()
	for _, d := range []time.Duration{time.Second, 1300 * time.Millisecond} {
		q := f.queue("putback")
		f.push(f.c, q, 1, 0)
		r := f.one(f.c, q, 1)
		back := called(func() { f.must("putting back", putBack([]driver.Reservation{r}, d)) })
		r, m := f.appearance(f.other(), q)
		f.onTime("put back with a delay of "+d.String(), m, back, d)
		if r.Attempts != attempts {
			f.Errorf("after it was put back the delivery has %d attempts, want %d", r.Attempts, attempts)
		}
	}
}

func returnCases() []testCase {
	needs := []capability{storage, returns}
	return []testCase{
		{name: "return gives the attempt back", needs: needs, run: returnGivesBack},
		{name: "return gives back only its own attempt", needs: needs, run: returnAfterRelease},
		{name: "return waits for its delay", needs: needs, slow: true, run: func(f *fixture) {
			f.putBackDelayed(func(rs []driver.Reservation, delay time.Duration) error {
				return f.c.(driver.Returner).Return(f.ctx(), rs, delay)
			}, 1)
		}},
	}
}

func returnGivesBack(f *fixture) {
	q := f.queue("return")
	f.push(f.c, q, 3, 0)
	for range 3 {
		rs := f.reserveN(f.c, q, 3)
		for _, r := range rs {
			if r.Attempts != 1 {
				f.Errorf("after Return the delivery has %d attempts, want 1", r.Attempts)
			}
		}
		f.must("Return", f.c.(driver.Returner).Return(f.ctx(), rs, 0))
	}
	f.must("Delete", f.c.Delete(f.ctx(), f.reserveN(f.c, q, 3)))
	f.none(f.c, q, "deleted after it had been returned")
}

func returnAfterRelease(f *fixture) {
	q := f.queue("return")
	f.push(f.c, q, 1, 0)
	f.must("Release", f.c.Release(f.ctx(), []driver.Reservation{f.one(f.c, q, 1)}, 0))
	for range 2 {
		f.must("Return", f.c.(driver.Returner).Return(f.ctx(), []driver.Reservation{f.one(f.c, q, 2)}, 0))
	}
	f.must("Release", f.c.Release(f.ctx(), []driver.Reservation{f.one(f.c, q, 2)}, 0))
	f.one(f.other(), q, 3)
}
