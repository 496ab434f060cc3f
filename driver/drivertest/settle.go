package drivertest

import (
	"errors"
	"slices"
	"testing"

	"github.com/spoolq/spool/driver"
)

func settleCases() []testCase {
	stored, fenced := []capability{storage}, []capability{storage, fencing}
	return []testCase{
		{name: "settling nothing succeeds", run: settleNothing},
		{name: "a deleted job is gone", needs: stored, run: deletedIsGone},
		{name: "deleting twice is ErrLost", needs: fenced, run: deleteTwice},
		{name: "settling a deleted job is ErrLost and doesn't revive it", needs: fenced, run: settleDeleted},
		{name: "a deleted job isn't taken for one pushed later", needs: fenced, run: deletedThenPushed},
		{name: "settling a released job is ErrLost and leaves it", needs: fenced, run: settleReleased},
		{name: "a job released and taken by another is ErrLost", needs: fenced, run: releasedThenTaken},
		{name: "one bad item doesn't fail its batch-mates", needs: fenced, run: badItem},
		{name: "many jobs are settled in one call", needs: stored, run: settleMany},
		{name: "jobs of several queues are settled in one call", needs: stored, run: settleAcrossQueues},
		{name: "a released job goes behind those that wait", needs: []capability{storage, backOfQueue}, run: releaseGoesBehind},
		{name: "attempts are counted over releases", needs: stored, run: attemptsOverReleases},
	}
}

// A verb settles or extends reservations.
type verb struct {
	name string
	call func(c driver.Conn, rs ...driver.Reservation) error
}

// verbs returns the verbs over reservations that the driver has.
func (f *fixture) verbs() []verb {
	f.Helper()
	vs := []verb{
		{"Release", func(c driver.Conn, rs ...driver.Reservation) error { return c.Release(f.ctx(), rs, 0) }},
		{"Delete", func(c driver.Conn, rs ...driver.Reservation) error { return c.Delete(f.ctx(), rs) }},
	}
	if is[driver.Extender](f.c) {
		vs = append(vs, verb{"Extend", func(c driver.Conn, rs ...driver.Reservation) error {
			return c.(driver.Extender).Extend(f.ctx(), rs)
		}})
	}
	if is[driver.Returner](f.c) {
		vs = append(vs, verb{"Return", func(c driver.Conn, rs ...driver.Reservation) error {
			return c.(driver.Returner).Return(f.ctx(), rs, 0)
		}})
	}
	return vs
}

func settleNothing(f *fixture) {
	for _, v := range f.verbs() {
		if err := v.call(f.c); err != nil {
			f.Errorf("%s of nothing: %v", v.name, err)
		}
	}
}

func deletedIsGone(f *fixture) {
	q := f.queue("delete")
	f.push(f.c, q, 1, 0)
	f.must("Delete", f.c.Delete(f.ctx(), f.reserveN(f.c, q, 1)))
	f.none(f.c, q, "deleted")
	f.sized0(q)
}

// sized0 checks that no job is left in any state, if the driver can tell.
func (f *fixture) sized0(q string) {
	f.Helper()
	if s, ok := f.size(q); ok && s.Total() != 0 {
		f.Errorf("Size is %+v, want no jobs in any state", s)
	}
}

// size returns the size of a queue if the driver counts exactly.
func (f *fixture) size(q string) (driver.Size, bool) {
	f.Helper()
	c, ok := f.c.(driver.Sizer)
	if !ok {
		return driver.Size{}, false
	}
	s, err := c.Size(f.ctx(), q)
	if errors.Is(err, errors.ErrUnsupported) {
		return s, false
	}
	f.must("Size", err)
	return s, !s.Approximate
}

func deleteTwice(f *fixture) {
	q := f.queue("twice")
	f.push(f.c, q, 2, 0)
	rs := f.reserveN(f.c, q, 2)
	f.must("Delete", f.c.Delete(f.ctx(), rs))
	f.lost("second Delete", f.c.Delete(f.ctx(), rs), 2)
}

func settleDeleted(f *fixture) {
	for _, v := range f.verbs() {
		q := f.queue("deleted")
		f.push(f.c, q, 1, 0)
		rs := f.reserveN(f.c, q, 1)
		f.must("Delete", f.c.Delete(f.ctx(), rs))
		f.lost(v.name+" after Delete", v.call(f.c, rs...), 1)
		f.none(f.c, q, "deleted before "+v.name)
		f.sized0(q)
	}
}

// deletedThenPushed tempts stores that use the ids of deleted jobs again.
func deletedThenPushed(f *fixture) {
	for _, v := range f.verbs() {
		q := f.queue("reused")
		f.push(f.c, q, 1, 0)
		old := f.one(f.c, q, 1)
		f.must("Delete", f.c.Delete(f.ctx(), []driver.Reservation{old}))
		f.push(f.c, q, 1, 0)
		now := f.one(f.c, q, 1)
		f.lost(v.name+" of a job that is gone, with a new one in its place", v.call(f.c, old), 1)
		f.none(f.c, q, "the new job is held, whatever "+v.name+" did")
		f.must("Delete of the new job", f.c.Delete(f.ctx(), []driver.Reservation{now}))
	}
}

func settleReleased(f *fixture) {
	for _, v := range f.verbs() {
		q := f.queue("released")
		f.push(f.c, q, 1, 0)
		rs := f.reserveN(f.c, q, 1)
		f.must("Release", f.c.Release(f.ctx(), rs, 0))
		f.lost(v.name+" after Release", v.call(f.c, rs...), 1)
		f.one(f.c, q, 2)
		f.none(f.c, q, "there is only one job, whatever "+v.name+" did")
	}
}

func releasedThenTaken(f *fixture) {
	for _, v := range f.verbs() {
		q := f.queue("taken")
		f.push(f.c, q, 1, 0)
		old := f.one(f.c, q, 1)
		f.must("Release", f.c.Release(f.ctx(), []driver.Reservation{old}, 0))
		now := f.one(f.other(), q, 2)
		f.lost(v.name+" of a job that another holds", v.call(f.c, old), 1)
		f.none(f.c, q, "another holds it, whatever "+v.name+" did")
		f.must("Delete by the holder, after "+v.name+" by one before", f.other().Delete(f.ctx(), []driver.Reservation{now}))
		f.sized0(q)
	}
}

func badItem(f *fixture) {
	for _, v := range f.verbs() {
		q := f.queue("bad")
		f.push(f.c, q, 5, 0)
		rs := f.reserveN(f.c, q, 5)
		f.must("Delete", f.c.Delete(f.ctx(), rs[2:3]))
		err := v.call(f.c, rs...)
		if err == nil {
			f.Errorf("%s of a batch with a deleted job succeeded, want ErrLost for that item", v.name)
			continue
		}
		f.checkOutcomes(v.name, err, len(rs))
		for i := range rs {
			switch e := itemError(err, i); {
			case i == 2 && !errors.Is(e, driver.ErrLost):
				f.Errorf("%s: the deleted item is %v, want ErrLost", v.name, e)
			case i != 2 && e != nil:
				f.Errorf("%s: item %d failed with its mate: %v", v.name, i, e)
			}
		}
		f.checkEffect(v.name, q, slices.Delete(slices.Clone(rs), 2, 3))
	}
}

// checkEffect checks that the verb was done to these reservations, all that
// there are in the queue.
func (f *fixture) checkEffect(verb, q string, rs []driver.Reservation) {
	f.Helper()
	switch verb {
	case "Release", "Return":
		f.sameSet(f.idsOf(f.reserveN(f.c, q, len(rs))), f.idsOf(rs))
	case "Extend":
		f.must("Delete after Extend", f.c.Delete(f.ctx(), rs))
	}
	f.none(f.c, q, "done with "+verb)
}

func settleMany(f *fixture) {
	n := 1200
	if testing.Short() {
		n = 200
	}
	for _, v := range f.verbs() {
		q := f.queue("many")
		f.push(f.c, q, n, 0)
		rs := f.reserveN(f.c, q, n)
		f.must(v.name, v.call(f.c, rs...))
		f.checkEffect(v.name, q, rs)
	}
}

func settleAcrossQueues(f *fixture) {
	for _, v := range f.verbs() {
		a, b := f.queue("a"), f.queue("b")
		f.push(f.c, a, 2, 0)
		f.push(f.c, b, 2, 0)
		inA, inB := f.reserveN(f.c, a, 2), f.reserveN(f.c, b, 2)
		mixed := []driver.Reservation{inA[0], inB[0], inA[1], inB[1]}
		f.must(v.name, v.call(f.c, mixed...))
		f.checkEffect(v.name, a, inA)
		f.checkEffect(v.name, b, inB)
	}
}

func releaseGoesBehind(f *fixture) {
	for _, v := range f.verbs() {
		if v.name != "Release" && v.name != "Return" {
			continue
		}
		q := f.queue("behind")
		ids := sampleIDs(f.push(f.c, q, 5, 0))
		rs := f.reserveN(f.c, q, 2)
		f.must(v.name, v.call(f.c, rs...))
		got := f.idsOf(f.reserveN(f.c, q, 5))
		if !slices.Equal(got[:3], ids[2:]) {
			f.Errorf("after %s of %q the first three jobs are %q, want those that waited: %q", v.name, ids[:2], got[:3], ids[2:])
		}
		f.sameSet(got[3:], ids[:2])
	}
}

func attemptsOverReleases(f *fixture) {
	q := f.queue("attempts")
	f.push(f.c, q, 2, 0)
	for attempt := 1; attempt <= 12; attempt++ { // past one digit
		rs := f.reserveN(f.c, q, 2)
		for _, r := range rs {
			if r.Attempts != attempt {
				f.Errorf("delivery %d has %d attempts", attempt, r.Attempts)
			}
		}
		f.must("Release", f.c.Release(f.ctx(), rs, 0))
	}
}
