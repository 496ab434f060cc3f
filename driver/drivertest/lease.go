package drivertest

import (
	"errors"
	"time"

	"github.com/spoolq/spool/driver"
)

func leaseCases() []testCase {
	leased := []capability{storage, leases}
	return []testCase{
		{name: "an expired reservation is delivered to another and counted", needs: leased, slow: true, run: expiry},
		{name: "attempts are counted over expiry and release", needs: leased, slow: true, run: attemptsOverExpiry},
		{name: "a late holder is ErrLost and changes nothing", needs: []capability{storage, leases, fencing}, slow: true, run: lateHolder},
		{name: "deleting an expired job that nobody took is honest", needs: leased, slow: true, run: deleteExpired},
		{name: "a deleted job doesn't come back when its lease would end", needs: leased, slow: true, run: deletedStaysGone},
		{name: "extend keeps a job hidden beyond its lease", needs: []capability{storage, leases, extends}, slow: true, run: extendHides},
		{name: "an extended lease ends too", needs: []capability{storage, leases, extends}, slow: true, run: extendEnds},
		{name: "many expired reservations come back together", needs: leased, slow: true, run: manyExpire},
	}
}

// leaseEnded checks that a lease which began within began ended when the job
// was seen again. Stores that count whole seconds, as Laravel's do, may end it
// early by one unit.
func (f *fixture) leaseEnded(m, began moment) {
	f.Helper()
	lease := f.traits.Lease
	if early := began.after.Add(lease - f.traits.Resolution).Sub(m.before); early > 0 {
		f.Errorf("a lease of %v ended %v too early", lease, early+f.traits.Resolution)
	}
	if late := m.after.Sub(began.before.Add(lease + f.traits.Resolution + clockSlack)); late > 0 {
		f.Errorf("a lease of %v ended %v late, over the resolution of %v", lease, late+f.traits.Resolution, f.traits.Resolution)
	}
}

func expiry(f *fixture) {
	q := f.queue("expiry")
	f.push(f.c, q, 1, 0)
	began := called(func() { f.one(f.c, q, 1) })
	r, m := f.appearance(f.other(), q)
	f.leaseEnded(m, began)
	if r.Attempts != 2 {
		f.Errorf("the delivery after an expired one has %d attempts, want 2", r.Attempts)
	}
	f.must("Delete", f.other().Delete(f.ctx(), []driver.Reservation{r}))
	f.sized0(q)
}

func attemptsOverExpiry(f *fixture) {
	q := f.queue("attempts")
	f.push(f.c, q, 1, 0)
	f.one(f.c, q, 1)
	r, _ := f.appearance(f.c, q)
	if r.Attempts != 2 {
		f.Errorf("delivery 2, after expiry, has %d attempts", r.Attempts)
	}
	f.must("Release", f.c.Release(f.ctx(), []driver.Reservation{r}, 0))
	f.one(f.c, q, 3)
	r, _ = f.appearance(f.other(), q)
	if r.Attempts != 4 {
		f.Errorf("delivery 4, after expiry, has %d attempts", r.Attempts)
	}
}

// lateHolder lets a lease run out, lets another take the job, and then tries
// every verb with the old reservation.
func lateHolder(f *fixture) {
	vs := f.verbs()
	queues, olds, news := make([]string, len(vs)), make([]driver.Reservation, len(vs)), make([]driver.Reservation, len(vs))
	for i := range vs {
		queues[i] = f.queue("late")
		f.push(f.c, queues[i], 1, 0)
		olds[i] = f.one(f.c, queues[i], 1)
	}
	for i := range vs {
		news[i], _ = f.appearance(f.other(), queues[i])
	}
	for i, v := range vs {
		f.lost(v.name+" by a late holder", v.call(f.c, olds[i]), 1)
		f.none(f.c, queues[i], "another holds it, whatever "+v.name+" did")
	}
	for i, v := range vs {
		if v.name == "Extend" {
			f.must("Extend by the holder", v.call(f.other(), news[i]))
		}
		f.must("Delete by the holder, after "+v.name+" by a late one", f.other().Delete(f.ctx(), news[i:i+1]))
		f.sized0(queues[i])
	}
}

func deleteExpired(f *fixture) {
	q := f.queue("unclaimed")
	f.push(f.c, q, 1, 0)
	r := f.one(f.c, q, 1)
	f.leasePasses()
	err := f.c.Delete(f.ctx(), []driver.Reservation{r})
	switch {
	case err == nil:
		f.none(f.other(), q, "Delete succeeded, though late")
	case errors.Is(err, driver.ErrLost):
		f.one(f.other(), q, 2)
	default:
		f.Errorf("Delete of an expired job: %v, want nil or ErrLost", err)
	}
}

// leasePasses waits until every lease that has begun must have ended.
func (f *fixture) leasePasses() {
	time.Sleep(f.traits.Lease + f.traits.Resolution + clockSlack)
}

func deletedStaysGone(f *fixture) {
	q := f.queue("gone")
	f.push(f.c, q, 2, 0)
	rs := f.reserveN(f.c, q, 2)
	f.must("Delete", f.c.Delete(f.ctx(), rs[:1]))
	f.must("Release", f.c.Release(f.ctx(), rs[1:], 0))
	f.must("Delete", f.c.Delete(f.ctx(), f.reserveN(f.c, q, 1)))
	f.leasePasses()
	f.none(f.c, q, "both were deleted")
}

func extendHides(f *fixture) {
	const tries = 3
	for range tries {
		if f.extendFor(2*f.traits.Lease + f.traits.Resolution) {
			return
		}
	}
	f.Fatalf("this machine was too slow, %d times, to renew a lease of %v every %v", tries, f.traits.Lease, f.traits.Renew)
}

// extendFor extends the leases of two jobs for this long while another looks
// for them. It returns false if it couldn't keep pace.
func (f *fixture) extendFor(d time.Duration) bool {
	f.Helper()
	q := f.queue("extend")
	f.push(f.c, q, 2, 0)
	renewed := time.Now()
	rs := f.reserveN(f.c, q, 2)
	slow := func() bool { return time.Since(renewed) > f.traits.Lease-f.traits.Resolution }
	for end := time.Now().Add(d); time.Now().Before(end); {
		next := time.Now().Add(f.traits.Renew)
		err := f.c.(driver.Extender).Extend(f.ctx(), rs)
		if slow() {
			return false
		}
		f.must("Extend", err)
		renewed = next.Add(-f.traits.Renew)
		for time.Now().Before(next) {
			stolen := f.reserve(f.other(), q, 10)
			if slow() {
				return false
			}
			if len(stolen) > 0 {
				f.Fatalf("%d jobs could be reserved %v after their leases of %v were extended", len(stolen), time.Since(renewed), f.traits.Lease)
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
	f.must("Delete after extending", f.c.Delete(f.ctx(), rs))
	f.none(f.other(), q, "deleted")
	return true
}

func extendEnds(f *fixture) {
	q := f.queue("extend")
	f.push(f.c, q, 1, 0)
	r := f.one(f.c, q, 1)
	time.Sleep(f.traits.Renew)
	began := called(func() { f.must("Extend", f.c.(driver.Extender).Extend(f.ctx(), []driver.Reservation{r})) })
	r, m := f.appearance(f.other(), q)
	f.leaseEnded(m, began)
	if r.Attempts != 2 {
		f.Errorf("the delivery after an extended one has %d attempts, want 2", r.Attempts)
	}
}

func manyExpire(f *fixture) {
	q, n := f.queue("expiry"), 250
	ss := f.push(f.c, q, n, 0)
	f.reserveN(f.c, q, n)
	f.leasePasses()
	rs := f.reserveN(f.other(), q, n)
	f.sameSet(f.idsOf(rs), sampleIDs(ss))
	for _, r := range rs {
		if r.Attempts != 2 {
			f.Errorf("the delivery after an expired one has %d attempts, want 2", r.Attempts)
			break
		}
	}
}

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
