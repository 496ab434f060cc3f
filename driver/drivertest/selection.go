package drivertest

import (
	"fmt"
	"slices"
	"sync"

	"github.com/spoolq/spool/driver"
)

func selectionCases() []testCase {
	needs := []capability{storage, selects}
	return []testCase{
		{name: "a selection takes what is wanted, in order, and leaves the rest alone", needs: needs, run: selectionLeaves},
		{name: "a selection finds what stands behind 10,000 others", needs: needs, run: selectionDeep},
		{name: "a selection is of bytes: no wildcards, no folding of letters", needs: needs, run: selectionIsOfBytes},
		{name: "a selection takes due and expired jobs too", needs: []capability{storage, leases, selects}, slow: true, run: selectionDue},
		{name: "a job taken by selection is settled like any other", needs: needs, run: selectionSettles},
		{name: "a selection isn't held up by who took what it had found", needs: needs, run: selectionOvertaken},
		{name: "concurrent selections get each job exactly once", needs: needs, run: selectionCrowd},
	}
}

// wanting is a selection of jobs by the names that named gives them.
func wanting(names ...string) *driver.Selection {
	return &driver.Selection{Keys: []string{`"name":"`, `"also":"`}, Names: names, End: `"`}
}

// named makes n messages of a name.
func (f *fixture) named(name string, n int) []sample {
	ss := make([]sample, n)
	for i := range ss {
		ss[i] = f.sample(fmt.Sprintf(`{"name":"%s","n":%d}`, name, i))
	}
	return ss
}

// selected calls ReserveMatching and checks what it returned.
func (f *fixture) selected(c driver.Conn, queue string, max int, s *driver.Selection) []driver.Reservation {
	f.Helper()
	rs, err := c.(driver.Selector).ReserveMatching(f.ctx(), queue, max, s)
	if err != nil {
		f.Fatalf("ReserveMatching: %v", err)
	}
	if len(rs) > max {
		f.Errorf("ReserveMatching of at most %d returned %d", max, len(rs))
	}
	for _, r := range rs {
		if err := f.checkReservation(r, queue); err != nil {
			f.Error(err)
		}
		if !s.Matches(r.Body) {
			f.Errorf("ReserveMatching returned a job that isn't wanted: %.200q", r.Body)
		}
	}
	return rs
}

func selectionLeaves(f *fixture) {
	q := f.queue("select")
	var foreign, mine []sample
	for range 10 {
		other, own := f.named("foreign", 2), f.named("mine", 1)
		f.pushSamples(f.c, q, slices.Concat(other, own)...)
		foreign, mine = append(foreign, other...), append(mine, own...)
	}
	if rs := f.selected(f.c, q, 5, wanting("nobody's", "min", "mine2")); len(rs) > 0 {
		f.Errorf("%d jobs were taken that nobody wants", len(rs))
	}
	s := wanting("other", "mine")
	var got []string
	for len(got) < len(mine) {
		rs := f.selected(f.c, q, 3, s)
		if len(rs) == 0 {
			f.Fatalf("%d jobs were found, want %d", len(got), len(mine))
		}
		for _, r := range rs {
			if r.Attempts != 1 {
				f.Errorf("a first delivery has %d attempts", r.Attempts)
			}
		}
		got = append(got, f.idsOf(rs)...)
	}
	f.sameOrder(got, sampleIDs(mine))
	if rs := f.selected(f.other(), q, 3, s); len(rs) > 0 {
		f.Errorf("%d jobs were taken twice", len(rs))
	}
	rs := f.reserveN(f.other(), q, len(foreign))
	f.sameOrder(f.idsOf(rs), sampleIDs(foreign))
	for _, r := range rs {
		if r.Attempts != 1 {
			f.Errorf("a job that was passed over has %d attempts at its first delivery", r.Attempts)
		}
	}
}

func selectionDeep(f *fixture) {
	q := f.queue("deep")
	for range 10 {
		f.pushSamples(f.c, q, f.named("foreign", 1000)...)
	}
	mine := f.named("mine", 30)
	f.pushSamples(f.c, q, mine...)
	s := wanting("mine")
	var got []string
	for range 3 {
		got = append(got, f.idsOf(f.selected(f.c, q, 10, s))...)
	}
	f.sameOrder(got, sampleIDs(mine))
	// What has come meanwhile is found too, and what was taken from the front
	// hides nothing.
	f.reserveN(f.other(), q, 100)
	late := f.named("mine", 1)
	f.pushSamples(f.c, q, late...)
	f.sameOrder(f.idsOf(f.selected(f.c, q, 10, s)), sampleIDs(late))
}

func selectionIsOfBytes(f *fixture) {
	q := f.queue("bytes")
	odd := []string{`App\\Jobs\\Mail`, `100%_done`, `a[b]*c?`, `it's`, `naïve`, `na\u00efve`, `App\/x`, `!x!`, `$1`}
	near := []string{`App\\Jobs\\mail`, `100xx_done`, `100%xdone`, `abc`, `its`, `naive`, `App/x`, `x!`, `$2`, `AppxJobsxMail`}
	byName := map[string]sample{}
	for _, name := range odd {
		byName[name] = f.named(name, 1)[0]
		f.pushSamples(f.c, q, byName[name])
	}
	for _, name := range near {
		f.pushSamples(f.c, q, f.named(name, 1)...)
	}
	for _, name := range odd {
		f.sameSet(f.idsOf(f.selected(f.c, q, 10, wanting(name))), sampleIDs([]sample{byName[name]}))
	}
	also := f.sample(`{"also":"x","name":"y"}`) // by the second key
	f.pushSamples(f.c, q, also)
	f.sameSet(f.idsOf(f.selected(f.c, q, 10, wanting("x"))), sampleIDs([]sample{also}))
	again := f.sample(`{"name":"y","in":{"name":"x"}}`) // by a later occurrence
	f.pushSamples(f.c, q, again)
	f.sameSet(f.idsOf(f.selected(f.c, q, 10, wanting("x"))), sampleIDs([]sample{again}))
	f.reserveN(f.c, q, len(near))
	f.none(f.c, q, "all are taken")
}

func selectionDue(f *fixture) {
	q := f.queue("due")
	s := wanting("mine")
	delayed := slices.Concat(f.named("mine", 2), f.named("foreign", 2))
	for i := range delayed {
		delayed[i].Delay = f.traits.Resolution
	}
	held := slices.Concat(f.named("mine", 2), f.named("foreign", 2))
	f.pushSamples(f.c, q, held...)
	f.reserveN(f.c, q, 4) // until their leases end
	f.pushSamples(f.c, q, delayed...)
	var got []string
	f.poll("the due and the expired jobs", func() bool {
		rs := f.selected(f.other(), q, 10, s)
		for _, r := range rs {
			want := 1
			if id := f.id(r.Body); id == held[0].ID || id == held[1].ID {
				want = 2
			}
			if r.Attempts != want {
				f.Errorf("the delivery has %d attempts, want %d", r.Attempts, want)
			}
			got = append(got, f.id(r.Body))
		}
		f.must("Delete", f.other().Delete(f.ctx(), rs))
		return len(got) >= 4
	})
	f.sameSet(got, sampleIDs(slices.Concat(delayed[:2], held[:2])))
}

func selectionSettles(f *fixture) {
	q := f.queue("settle")
	s := wanting("mine")
	f.pushSamples(f.c, q, f.named("foreign", 3)...)
	mine := f.named("mine", 2)
	f.pushSamples(f.c, q, mine...)
	rs := f.selected(f.c, q, 2, s)
	if len(rs) != 2 {
		f.Fatalf("%d jobs were found, want 2", len(rs))
	}
	if e, ok := f.c.(driver.Extender); ok {
		f.must("Extend", e.Extend(f.ctx(), rs))
	}
	f.must("Delete", f.c.Delete(f.ctx(), rs[:1]))
	f.must("Release", f.c.Release(f.ctx(), rs[1:], 0))
	var again []driver.Reservation
	f.poll("the released job", func() bool {
		again = f.selected(f.c, q, 2, s)
		return len(again) > 0
	})
	f.sameOrder(f.idsOf(again), sampleIDs(mine[1:]))
	if again[0].Attempts != 2 {
		f.Errorf("the second delivery has %d attempts", again[0].Attempts)
	}
	f.must("Delete", f.c.Delete(f.ctx(), again))
	f.lost("Delete a second time", f.c.Delete(f.ctx(), again), 1)
	f.reserveN(f.c, q, 3)
}

func selectionOvertaken(f *fixture) {
	q := f.queue("overtaken")
	s := wanting("mine")
	mine := f.named("mine", 50)
	f.pushSamples(f.c, q, mine...)
	got := f.idsOf(f.selected(f.c, q, 1, s))
	for range 4 { // by one who doesn't select
		got = append(got, f.idsOf(f.reserveN(f.other(), q, 10))...)
	}
	f.pushSamples(f.c, q, f.named("foreign", 1)...)
	late := f.named("mine", 2)
	f.pushSamples(f.c, q, late...)
	mine = append(mine, late...)
	for len(got) < len(mine) {
		rs := f.selected(f.c, q, 5, s)
		if len(rs) == 0 {
			f.Fatalf("%d jobs were found, want %d", len(got), len(mine))
		}
		got = append(got, f.idsOf(rs)...)
	}
	f.sameOrder(got, sampleIDs(mine))
}

func selectionCrowd(f *fixture) {
	const n, reservers = 300, 4
	q := f.queue("crowd")
	for range n / 10 {
		f.pushSamples(f.c, q, slices.Concat(f.named("foreign", 10), f.named("mine", 10))...)
	}
	var mu sync.Mutex
	seen := map[string]int{}
	var all sync.WaitGroup
	for i := range reservers {
		c := f.c
		if i%2 == 1 {
			c = f.other()
		}
		all.Go(func() {
			s := wanting("mine")
			for misses := 0; misses < 20; {
				rs, err := c.(driver.Selector).ReserveMatching(f.Context(), q, 7, s)
				if err != nil {
					f.Errorf("ReserveMatching: %v", err)
					return
				}
				if len(rs) == 0 {
					misses++
				}
				mu.Lock()
				for _, r := range rs {
					seen[f.id(r.Body)]++
				}
				mu.Unlock()
				if err := c.Delete(f.Context(), rs); err != nil {
					f.Errorf("Delete: %v", err)
				}
			}
		})
	}
	all.Wait()
	for id, times := range seen {
		if times != 1 {
			f.Errorf("job %s was taken %d times", id, times)
		}
	}
	if len(seen) != n {
		f.Errorf("%d jobs were taken, want %d", len(seen), n)
	}
	f.reserveN(f.c, q, n)
}
