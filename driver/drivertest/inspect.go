package drivertest

import (
	"crypto/rand"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/spoolq/spool/driver"
)

func inspectCases() []testCase {
	return []testCase{
		{name: "size counts jobs by state", needs: []capability{storage, sizes, exactSizes}, run: sizeCounts},
		{name: "size of an unknown queue is zero", needs: []capability{sizes}, run: func(f *fixture) { f.sized0(f.queue("none")) }},
		{name: "list shows the jobs of each state", needs: []capability{storage, lists}, run: listStates},
		{name: "list pages through all jobs", needs: []capability{storage, lists}, run: listPages},
		{name: "list only looks", needs: []capability{storage, lists}, run: listOnlyLooks},
		{name: "list shows expired reservations", needs: []capability{storage, lists, leases}, slow: true, run: listExpired},
		{name: "queues names those that hold jobs", needs: []capability{storage, listsQueues}, run: queuesNamed},
		{name: "clear drops jobs in every state", needs: []capability{storage, clears}, run: clearDrops},
		{name: "clear of an empty queue drops none", needs: []capability{clears}, run: func(f *fixture) {
			if n, err := f.c.(driver.Clearer).Clear(f.ctx(), f.queue("none")); n != 0 || err != nil {
				f.Errorf("Clear of an empty queue returned %d and %v", n, err)
			}
		}},
		{name: "a holder of a cleared job is ErrLost", needs: []capability{storage, clears, fencing}, run: clearedIsLost},
	}
}

// supported ends the case, visibly, if a method turned out not to be supported.
func (f *fixture) supported(verb string, err error) {
	f.Helper()
	if errors.Is(err, errors.ErrUnsupported) {
		f.Skipf("%s: %v", verb, err)
	}
	f.must(verb, err)
}

// inEveryState fills a queue: 1 reserved, 2 pending, 3 delayed by far.
func (f *fixture) inEveryState(q string) (pending, delayed []sample, reserved []driver.Reservation) {
	f.Helper()
	f.push(f.c, q, 1, 0)
	reserved = f.reserveN(f.c, q, 1)
	return f.push(f.c, q, 2, 0), f.push(f.c, q, 3, f.far()), reserved
}

func sizeCounts(f *fixture) {
	q := f.queue("size")
	start := time.Now()
	f.inEveryState(q)
	s, err := f.c.(driver.Sizer).Size(f.ctx(), q)
	f.supported("Size", err)
	if s.Approximate {
		f.Fatalf("Size is %+v, an estimate; then say so in the harness: Estimates", s)
	}
	if s.Pending != 2 || s.Delayed != 3 || s.Reserved != 1 {
		f.Errorf("Size is %+v, want 2 pending, 3 delayed, 1 reserved", s)
	}
	if s.Total() != 6 {
		f.Errorf("Total is %d, want 6", s.Total())
	}
	slack := f.traits.Resolution + clockSlack
	if !s.Oldest.IsZero() && (s.Oldest.Before(start.Add(-slack)) || s.Oldest.After(time.Now().Add(slack))) {
		f.Errorf("Oldest is %v, want it between the push at %v and now, or zero", s.Oldest, start)
	}
}

// list returns all entries of a state, in pages of max.
func (f *fixture) list(q string, state driver.State, max int) []driver.Entry {
	f.Helper()
	var all []driver.Entry
	for cursor, pages := "", 0; ; pages++ {
		entries, next, err := f.c.(driver.Lister).List(f.ctx(), q, state, cursor, max)
		f.supported("List", err)
		if len(entries) > max {
			f.Errorf("List of at most %d returned %d", max, len(entries))
		}
		all = append(all, entries...)
		if next == "" {
			return all
		}
		if next == cursor || pages > 1000 {
			f.Fatalf("List goes in circles: page %d has cursor %q, the next %q", pages, cursor, next)
		}
		cursor = next
	}
}

func (f *fixture) idsOfEntries(entries []driver.Entry) []string {
	ids := make([]string, len(entries))
	for i, e := range entries {
		ids[i] = f.id(e.Body)
	}
	return ids
}

func listStates(f *fixture) {
	q := f.queue("list")
	start := time.Now()
	pending, delayed, reserved := f.inEveryState(q)

	entries := f.list(q, driver.Pending, 100)
	f.sameOrder(f.idsOfEntries(entries), sampleIDs(pending))
	f.checkEntries(entries, driver.Entry{State: driver.Pending}, start)

	entries = f.list(q, driver.Delayed, 100)
	f.sameSet(f.idsOfEntries(entries), sampleIDs(delayed))
	f.checkEntries(entries, driver.Entry{State: driver.Delayed, At: start.Add(f.far())}, start)

	entries = f.list(q, driver.Reserved, 100)
	f.sameSet(f.idsOfEntries(entries), f.idsOf(reserved))
	f.checkEntries(entries, driver.Entry{State: driver.Reserved, Attempts: 1, At: start.Add(f.traits.Lease)}, start)
}

// checkEntries compares entries, stored just after start, with what they should
// say. Times may differ by the resolution and by what went by since start.
func (f *fixture) checkEntries(entries []driver.Entry, want driver.Entry, start time.Time) {
	f.Helper()
	slack := f.traits.Resolution + clockSlack
	since := time.Since(start)
	near := func(what string, got, want time.Time) {
		f.Helper()
		if got.Before(want.Add(-slack)) || got.After(want.Add(since+slack)) {
			f.Errorf("%s of a %s job is %v, want about %v", what, entries[0].State, got, want)
		}
	}
	for _, e := range entries {
		if e.State != want.State || e.Attempts != want.Attempts || e.Expired {
			f.Errorf("entry is %q with %d attempts, expired %v; want %q with %d, not expired", e.State, e.Attempts, e.Expired, want.State, want.Attempts)
		}
		if e.State == driver.Pending && !e.At.IsZero() {
			f.Errorf("a pending job has the time %v, want none", e.At)
		}
		if e.State == driver.Delayed || e.State == driver.Reserved && f.traits.Lease > 0 {
			near("At", e.At, want.At)
		}
		if !e.Created.IsZero() {
			near("Created", e.Created, start)
		}
		if err := f.checkBody(e.Body, e.Attempts); err != nil {
			f.Error(err)
		}
	}
}

func listPages(f *fixture) {
	q := f.queue("pages")
	pending, delayed := f.push(f.c, q, 7, 0), f.push(f.c, q, 6, f.far())
	for _, max := range []int{1, 3, 6, 7, 100} {
		f.sameOrder(f.idsOfEntries(f.list(q, driver.Pending, max)), sampleIDs(pending))
		f.sameSet(f.idsOfEntries(f.list(q, driver.Delayed, max)), sampleIDs(delayed))
		if n := len(f.list(q, driver.Reserved, max)); n != 0 {
			f.Errorf("List shows %d reserved jobs, want none", n)
		}
	}
}

func listOnlyLooks(f *fixture) {
	q := f.queue("look")
	ss := f.push(f.c, q, 2, 0)
	for _, e := range f.list(q, driver.Pending, 10) {
		scribble(e.Body)
	}
	rs := f.reserveN(f.c, q, 2)
	f.sameOrder(f.idsOf(rs), sampleIDs(ss))
	for _, r := range rs {
		if r.Attempts != 1 {
			f.Errorf("a job that was listed is delivered as attempt %d", r.Attempts)
		}
	}
}

func listExpired(f *fixture) {
	q := f.queue("expired")
	f.push(f.c, q, 1, 0)
	rs := f.reserveN(f.c, q, 1)
	f.leasePasses()
	entries := f.list(q, driver.Reserved, 10)
	f.sameSet(f.idsOfEntries(entries), f.idsOf(rs))
	for _, e := range entries {
		if !e.Expired || e.Attempts != 1 {
			f.Errorf("a reservation that ran out is listed with expired %v and %d attempts, want true and 1", e.Expired, e.Attempts)
		}
	}
}

func queuesNamed(f *fixture) {
	qs := []string{f.queue("pending"), f.queue("delayed"), f.queue("reserved"), f.queue("emptied"), f.queue("never")}
	f.push(f.c, qs[0], 1, 0)
	f.push(f.c, qs[1], 1, f.far())
	f.push(f.c, qs[2], 1, 0)
	f.reserveN(f.c, qs[2], 1)
	f.push(f.c, qs[3], 1, 0)
	f.must("Delete", f.c.Delete(f.ctx(), f.reserveN(f.c, qs[3], 1)))

	names, err := f.c.(driver.QueueLister).Queues(f.ctx())
	f.supported("Queues", err)
	for i, q := range qs {
		if got, want := slices.Contains(names, q), i < 3; got != want {
			f.Errorf("Queues names %s: %v, want %v", q, got, want)
		}
	}
	if !slices.IsSorted(names) || len(slices.Compact(slices.Clone(names))) != len(names) {
		f.Errorf("Queues returned %q, want each name once and sorted", names)
	}
}

func clearDrops(f *fixture) {
	q, spared := f.queue("clear"), f.queue("spared")
	f.inEveryState(q)
	kept := f.push(f.c, spared, 1, 0)
	n, err := f.c.(driver.Clearer).Clear(f.ctx(), q)
	f.supported("Clear", err)
	if n != 6 {
		f.Errorf("Clear dropped %d jobs, want 6", n)
	}
	f.sized0(q)
	f.none(f.other(), q, "it was cleared")
	f.sameSet(f.idsOf(f.reserveN(f.c, spared, 1)), sampleIDs(kept))
	after := f.push(f.c, q, 1, 0)
	f.sameSet(f.idsOf(f.reserveN(f.c, q, 1)), sampleIDs(after))
}

func clearedIsLost(f *fixture) {
	for _, v := range f.verbs() {
		q := f.queue("clear")
		_, _, rs := f.inEveryState(q)
		_, err := f.c.(driver.Clearer).Clear(f.ctx(), q)
		f.supported("Clear", err)
		f.lost(v.name+" after Clear", v.call(f.c, rs...), 1)
		f.none(f.c, q, "cleared before "+v.name)
		f.sized0(q)
	}
}

func recordCases() []testCase {
	return []testCase{
		{name: "records of workers are seen by all who share the queues", needs: []capability{registers}, run: recordsSeen},
		{name: "a record that isn't renewed runs out", needs: []capability{registers}, slow: true, run: recordRunsOut},
	}
}

// registered returns the bodies of the records that the case has made, by id.
func (f *fixture) registered(c driver.Conn, ids ...string) map[string]string {
	f.Helper()
	rs, err := c.(driver.Registrar).Registered(f.ctx())
	f.supported("Registered", err)
	found := map[string]string{}
	for _, r := range rs {
		if _, twice := found[r.ID]; twice {
			f.Errorf("the record %s is listed twice", r.ID)
		}
		found[r.ID] = string(r.Body)
	}
	mine := map[string]string{}
	for _, id := range ids {
		if body, ok := found[id]; ok {
			mine[id] = body
		}
	}
	return mine
}

func (f *fixture) register(c driver.Conn, id, body string, ttl time.Duration) {
	f.Helper()
	err := c.(driver.Registrar).Register(f.ctx(), driver.Record{ID: id, Body: []byte(body)}, ttl)
	f.supported("Register", err)
}

func recordsSeen(f *fixture) {
	a, b := rand.Text(), rand.Text()
	text := "{\"host\": \"工厂 1\",\n\"queues\": [\"it's\", \"\\\\\"]}" + strings.Repeat("x", 4000)
	f.register(f.c, a, "{}", time.Minute)
	f.register(f.other(), b, text, time.Minute)
	f.register(f.c, a, text+a, time.Hour)
	for _, c := range []driver.Conn{f.c, f.other()} {
		got := f.registered(c, a, b)
		if len(got) != 2 || got[a] != text+a || got[b] != text {
			f.Errorf("the records are %q, want those of both workers as they were last registered", got)
		}
	}
	f.must("Unregister", f.other().(driver.Registrar).Unregister(f.ctx(), a))
	f.must("Unregister of nothing", f.c.(driver.Registrar).Unregister(f.ctx(), a))
	if got := f.registered(f.c, a, b); len(got) != 1 || got[b] != text {
		f.Errorf("the records are %q after one of two was removed", got)
	}
	f.must("Unregister", f.c.(driver.Registrar).Unregister(f.ctx(), b))
}

func recordRunsOut(f *fixture) {
	id, renewed := rand.Text(), rand.Text()
	began := time.Now()
	f.register(f.c, id, "{}", 2*time.Second)
	f.register(f.c, renewed, "{}", time.Second)
	f.register(f.c, renewed, "{}", time.Minute)
	for deadline := began.Add(patience); ; time.Sleep(50 * time.Millisecond) {
		asked := time.Now()
		got := f.registered(f.other(), id, renewed)
		if _, there := got[renewed]; !there {
			f.Fatal("a record that was renewed is gone")
		}
		if _, there := got[id]; !there {
			if gone := time.Since(began); gone < 2*time.Second-f.traits.Resolution {
				f.Errorf("a record kept for 2 s was gone after %v", gone)
			}
			break
		}
		if asked.After(deadline) {
			f.Fatalf("a record kept for 2 s was there %v later", asked.Sub(began))
		}
	}
	f.must("Unregister", f.c.(driver.Registrar).Unregister(f.ctx(), renewed))
}
