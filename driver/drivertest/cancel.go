package drivertest

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"
)

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
