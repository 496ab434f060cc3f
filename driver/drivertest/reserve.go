package drivertest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/spoolq/spool/driver"
)

func reserveCases() []testCase {
	stored := []capability{storage}
	return []testCase{
		{name: "reserve finds nothing in an empty queue", run: reserveEmpty},
		{name: "reserve takes at most max", needs: stored, run: reserveMax},
		{name: "a reserved job is hidden from all", needs: stored, run: reservedIsHidden},
		{name: "a second connection sees what the first pushed", needs: []capability{storage, second}, run: secondSees},
		{name: "concurrent reservers get each job exactly once", needs: stored, run: concurrentReservers},
	}
}

func reserveEmpty(f *fixture) {
	q := f.queue("empty")
	for _, max := range []int{1, 100} {
		rs, err := f.c.Reserve(f.ctx(), q, max)
		if len(rs) != 0 || err != nil {
			f.Errorf("Reserve of an empty queue returned %d jobs and %v, want none and no error", len(rs), err)
		}
	}
}

func reserveMax(f *fixture) {
	q := f.queue("max")
	ss := f.push(f.c, q, 5, 0)
	first := f.reserve(f.c, q, 2)
	if len(first) != 2 {
		f.Errorf("Reserve of 2 among 5 returned %d", len(first))
	}
	rest := f.reserveN(f.c, q, 5-len(first))
	f.sameOrder(f.idsOf(slices.Concat(first, rest)), sampleIDs(ss))
	f.none(f.c, q, "all 5 are reserved")
}

func reservedIsHidden(f *fixture) {
	q := f.queue("hidden")
	f.push(f.c, q, 3, 0)
	rs := f.reserveN(f.c, q, 3)
	f.none(f.c, q, "they are reserved by this connection")
	f.none(f.other(), q, "they are reserved by another connection")
	for _, r := range rs {
		if r.Attempts != 1 {
			f.Errorf("a first delivery has %d attempts", r.Attempts)
		}
	}
	f.must("Delete", f.c.Delete(f.ctx(), rs))
}

func secondSees(f *fixture) {
	q := f.queue("second")
	ss := f.push(f.c, q, 3, 0)
	rs := f.reserveN(f.other(), q, 3)
	f.sameOrder(f.idsOf(rs), sampleIDs(ss))
	f.must("Delete", f.other().Delete(f.ctx(), rs))
	f.none(f.c, q, "the second connection deleted them")
}

// A tally is what concurrent reservers saw.
type tally struct {
	mu   sync.Mutex
	held map[string]span // by id: the last time somebody held it
	n    int             // distinct jobs
	errs []error
}

type span struct{ from, to time.Time }

// take notes that a job was held. Twice is an error, unless the first holder
// was so slow that its lease had run out: then the machine is to blame.
func (y *tally) take(id string, s span, lease time.Duration) {
	y.mu.Lock()
	defer y.mu.Unlock()
	before, twice := y.held[id]
	y.held[id] = s
	if !twice {
		y.n++
	} else if lease == 0 || s.to.Sub(before.from) < lease {
		y.errs = append(y.errs, fmt.Errorf("job %s was reserved twice within its lease", id))
	}
}

func (y *tally) fail(err error) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.errs = append(y.errs, err)
}

func (y *tally) done(n int) bool {
	y.mu.Lock()
	defer y.mu.Unlock()
	return y.n >= n || len(y.errs) > 0
}

func concurrentReservers(f *fixture) {
	n := f.h.Jobs
	if n == 0 {
		n = 2000
	}
	if testing.Short() {
		n /= 10
	}
	q := f.queue("crowd")
	y := &tally{held: map[string]span{}}
	deadline := time.Now().Add(3 * patience)
	var work sync.WaitGroup
	for _, c := range []driver.Conn{f.c, f.other()} {
		work.Go(func() {
			for pushed := 0; pushed < n/2; {
				m := min(1+rand.IntN(50), n/2-pushed)
				if _, err := c.Push(f.Context(), q, messages(f.newSamples(m))); err != nil {
					y.fail(fmt.Errorf("Push: %w", err))
					return
				}
				pushed += m
			}
		})
		for range 8 {
			work.Go(func() {
				for !y.done(n/2*2) && time.Now().Before(deadline) {
					f.reserveAndDelete(c, q, y)
				}
			})
		}
	}
	work.Wait()
	for _, err := range y.errs {
		f.Error(err)
	}
	if y.n != n/2*2 {
		f.Errorf("%d jobs were reserved, want %d", y.n, n/2*2)
	}
	f.none(f.c, q, "all were deleted")
}

// reserveAndDelete is one round of a reserver.
func (f *fixture) reserveAndDelete(c driver.Conn, q string, y *tally) {
	start := time.Now()
	rs, err := c.Reserve(f.Context(), q, 1+rand.IntN(10))
	if err != nil {
		y.fail(fmt.Errorf("Reserve: %w", err))
		return
	}
	if len(rs) == 0 {
		time.Sleep(2 * time.Millisecond)
		return
	}
	err = c.Delete(f.Context(), rs)
	s := span{start, time.Now()}
	for i, r := range rs {
		if err := f.checkReservation(r, q); err != nil {
			y.fail(err)
		}
		if e := itemError(err, i); e != nil && (f.traits.Lease == 0 || s.to.Sub(s.from) < f.traits.Lease-f.traits.Resolution) {
			y.fail(fmt.Errorf("Delete of a job just reserved: %w", e))
		}
		y.take(f.id(r.Body), s, f.traits.Lease-f.traits.Resolution)
	}
}

func cancelCases() []testCase {
	return []testCase{
		{name: "a reserve cancelled mid-call loses nothing", needs: []capability{storage}, run: reserveCancelled},
		{name: "a push cancelled mid-call tells the truth", needs: []capability{storage}, run: pushCancelled},
	}
}

// typical returns how long a call takes, to cancel others in the middle of it.
func typical(call func()) time.Duration {
	best := time.Hour
	for range 5 {
		start := time.Now()
		call()
		best = min(best, time.Since(start))
	}
	return best
}

// reserveCancelled cancels Reserve after a random part of its usual time. All
// jobs that it took must be in its answer: those that aren't must still be
// there, undelivered. A stranded job shows up as missing, or, had its lease
// ended meanwhile, as delivered before.
func reserveCancelled(f *fixture) {
	q, rounds := f.queue("cancel"), 200
	if testing.Short() {
		rounds = 40
	}
	f.push(f.c, q, 5, 0)
	usual := typical(func() { f.must("Delete", f.c.Delete(f.ctx(), f.reserveN(f.c, q, 1))) })

	const perRound = 3
	var want, got []string
	answered := 0
	for range rounds {
		want = append(want, sampleIDs(f.push(f.c, q, perRound, 0))...)
		ctx, cancel := context.WithTimeout(f.Context(), rand.N(usual*3/2+time.Microsecond))
		rs, err := f.c.Reserve(ctx, q, perRound)
		cancel()
		if err != nil && len(rs) > 0 {
			f.Fatalf("Reserve returned %d jobs and an error: %v", len(rs), err)
		}
		if len(rs) == 0 {
			continue
		}
		answered++
		got = append(got, f.idsOf(rs)...)
		f.must("Delete", f.c.Delete(f.ctx(), rs))
	}
	for {
		rs := f.reserve(f.c, q, 100)
		if len(rs) == 0 {
			break
		}
		for _, r := range rs {
			if r.Attempts != 1 {
				f.Errorf("job %s was delivered by a cancelled Reserve that didn't return it", f.id(r.Body))
			}
		}
		got = append(got, f.idsOf(rs)...)
		f.must("Delete", f.c.Delete(f.ctx(), rs))
	}
	f.sameSet(got, want)
	f.Logf("%d of %d cancelled calls returned jobs; an uncancelled round takes %v", answered, rounds, usual)
}

// pushCancelled cancels Push after a random part of its usual time. What it
// said was accepted must be stored; an error may leave more (the answer was
// lost), but never twice.
func pushCancelled(f *fixture) {
	q, rounds := f.queue("cancel"), 100
	if testing.Short() {
		rounds = 20
	}
	usual := typical(func() { f.push(f.c, q, 3, 0) })
	f.must("Delete", f.c.Delete(f.ctx(), f.reserveN(f.c, q, 15)))

	accepted, stored := map[string]bool{}, map[string]bool{}
	for range rounds {
		ss := f.newSamples(3)
		ctx, cancel := context.WithTimeout(f.Context(), rand.N(usual*3/2+time.Microsecond))
		ids, err := f.c.Push(ctx, q, messages(ss))
		cancel()
		if (err == nil) != (len(ids) == len(ss)) {
			f.Fatalf("Push of %d messages returned %d ids and %v", len(ss), len(ids), err)
		}
		for _, s := range ss[:len(ids)] {
			accepted[s.ID] = true
		}
	}
	for rs := f.reserve(f.c, q, 100); len(rs) > 0; rs = f.reserve(f.c, q, 100) {
		for _, id := range f.idsOf(rs) {
			if stored[id] {
				f.Errorf("job %s is stored twice", id)
			}
			stored[id] = true
		}
		f.must("Delete", f.c.Delete(f.ctx(), rs))
	}
	for id := range accepted {
		if !stored[id] {
			f.Errorf("job %s was accepted and isn't there", id)
		}
	}
}
