package drivertest

import (
	"time"

	"github.com/spoolq/spool/driver"
)

func rescueCases() []testCase {
	kept := []capability{storage, keepsExpired}
	return []testCase{
		{name: "rescue of nothing is none", needs: []capability{storage, rescues}, run: func(f *fixture) {
			q := f.queue("rescue")
			f.push(f.c, q, 2, 0)
			f.reserveN(f.c, q, 1)
			n, err := f.c.(driver.Rescuer).Rescue(f.ctx(), q, 10)
			f.supported("Rescue", err)
			if n != 0 {
				f.Errorf("Rescue made %d jobs available, want none: no lease has run out", n)
			}
		}},
		{name: "expired reservations stay until they are rescued", needs: append(kept, rescues), slow: true, run: rescueByHand},
		{name: "delayed jobs come where expired ones stay", needs: kept, slow: true, run: func(f *fixture) {
			c, q := f.h.KeepExpired(f.T), f.queue("delay")
			push := called(func() { f.push(c, q, 1, time.Second) })
			_, m := f.appearance(c, q)
			f.onTime("push delayed by 1s", m, push, time.Second)
		}},
	}
}

func rescueByHand(f *fixture) {
	c, q := f.h.KeepExpired(f.T), f.queue("rescue")
	rescue := func(max, want int) {
		f.Helper()
		n, err := c.(driver.Rescuer).Rescue(f.ctx(), q, max)
		f.supported("Rescue", err)
		if n != want {
			f.Errorf("Rescue of at most %d jobs returned %d, want %d", max, n, want)
		}
	}
	f.push(c, q, 3, 0)
	lost := f.reserveN(c, q, 3)
	rescue(10, 0)
	lease := max(c.Traits().Lease, driver.MinLease) // of those without expiry, what is written is at least that
	if lease > maxLease {
		f.Skipf("the lease is %v where expired reservations stay, too long to wait for", lease)
	}
	time.Sleep(lease + c.Traits().Resolution + clockSlack)
	f.none(c, q, "the leases ran out, and this connection leaves such jobs")
	rescue(2, 2)
	rescue(10, 1)
	rescue(10, 0)
	if !f.h.BestEffortFencing {
		for _, v := range f.verbs() {
			f.lost(v.name+" by the holder before the rescue, of a job that nobody holds", v.call(c, lost...), 3)
		}
	}
	rs := f.reserveN(c, q, 3)
	f.sameSet(f.idsOf(rs), f.idsOf(lost))
	for _, r := range rs {
		if r.Attempts != 2 {
			f.Errorf("a rescued job is delivered as attempt %d, want 2", r.Attempts)
		}
	}
	if !f.h.BestEffortFencing {
		f.lost("Delete by the holder before the rescue, of a job that another holds", c.Delete(f.ctx(), lost), 3)
	}
	f.must("Delete", c.Delete(f.ctx(), rs))
}
