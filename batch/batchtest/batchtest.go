// Package batchtest is what every store of batches has to pass: a
// [spool.BatchStore] of one's own is tested by one call of [Run].
package batchtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spoolq/spool"
)

// Open returns a store that is empty. Further calls in the same test return
// stores over the same batches, as another process has them.
type Open func(t *testing.T) func() spool.BatchStore

// Run tests a store.
func Run(t *testing.T, open Open) {
	for _, c := range []struct {
		name string
		test func(t *testing.T, again func() spool.BatchStore)
	}{
		{"Create", testCreate}, {"Members", testMembers}, {"Repeats", testRepeats}, {"Retries", testRetries},
		{"FirstFailureCancels", testFirstFailure}, {"Grow", testGrow}, {"Cancel", testCancel}, {"Delete", testDelete},
		{"SeveralBatches", testSeveral}, {"ManyOfSeveral", testManyOfSeveral}, {"Contention", testContention}, {"ManyFailures", testManyFailures},
		{"Claim", testClaim}, {"Owed", testOwed}, {"List", testList}, {"Prune", testPrune},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, open(t)) })
	}
}

// record returns a batch created now.
func record(id string) spool.BatchRecord {
	return spool.BatchRecord{ID: id, Name: "import " + id, CreatedAt: time.Unix(1795174122, 0), Options: spool.BatchOptions{AllowFailures: true}}
}

func create(t *testing.T, s spool.BatchStore, r spool.BatchRecord, members int) {
	t.Helper()
	if err := s.Create(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Grow(t.Context(), r.ID, members); err != nil {
		t.Fatal(err)
	}
}

func find(t *testing.T, s spool.BatchStore, id string) spool.BatchRecord {
	t.Helper()
	r, err := s.Find(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// end records ends, written as "uuid" or "-uuid" for one that failed.
func end(t *testing.T, s spool.BatchStore, id string, uuids ...string) spool.BatchChange {
	t.Helper()
	var ends []spool.BatchEnd
	for _, uuid := range uuids {
		plain, failed := strings.CutPrefix(uuid, "-")
		ends = append(ends, spool.BatchEnd{Batch: id, UUID: plain, Failed: failed})
	}
	changes, err := s.Record(t.Context(), ends)
	if err != nil {
		t.Fatal(err)
	}
	switch len(changes) {
	case 0:
		return spool.BatchChange{}
	case 1:
		if changes[0].ID != id {
			t.Fatalf("a change of %q, want %q", changes[0].ID, id)
		}
		return changes[0]
	}
	t.Fatalf("%d changes of one batch", len(changes))
	return spool.BatchChange{}
}

// state is what a row says, briefly.
func state(r spool.BatchRecord) string {
	s := fmt.Sprintf("%d/%d failed %d %v", r.Pending, r.Total, r.Failed, r.FailedIDs)
	if !r.CancelledAt.IsZero() {
		s += " cancelled"
	}
	if !r.FinishedAt.IsZero() {
		s += " finished"
	}
	return s
}

func wantState(t *testing.T, s spool.BatchStore, id, want string) {
	t.Helper()
	if got := state(find(t, s, id)); got != want {
		t.Errorf("the batch is %q, want %q", got, want)
	}
}

func wantEvents(t *testing.T, c spool.BatchChange, want ...spool.BatchEvent) {
	t.Helper()
	if got := c.Events(); !slices.Equal(got, want) {
		t.Errorf("events %v, want %v (of %+v)", got, want, c)
	}
}

func testCreate(t *testing.T, again func() spool.BatchStore) {
	s := again()
	want := record("b1")
	want.Options = spool.BatchOptions{
		Connection: "redis", Queue: "imports", AllowFailures: true,
		Callbacks: []spool.BatchCallback{
			{Event: spool.BatchThen, UUID: "u1", Connection: "redis", Queue: "reports", Delay: 3 * time.Second, Body: []byte(`{"job":"报告","data":"\u0000\"'"}`)},
			{Event: spool.BatchProgress, UUID: "u2", Body: []byte(`{}`)},
		},
	}
	if err := s.Create(t.Context(), want); err != nil {
		t.Fatal(err)
	}
	got := find(t, again(), "b1")
	if !got.CreatedAt.Equal(want.CreatedAt) {
		t.Errorf("created at %v, want %v", got.CreatedAt, want.CreatedAt)
	}
	got.CreatedAt = want.CreatedAt
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if _, err := s.Find(t.Context(), "b2"); !errors.Is(err, spool.ErrBatchNotFound) {
		t.Errorf("another batch: %v", err)
	}
}

func testMembers(t *testing.T, again func() spool.BatchStore) {
	s := again()
	create(t, s, record("b"), 3)
	wantState(t, s, "b", "3/3 failed 0 []")
	wantEvents(t, end(t, s, "b", "m1"))
	wantState(t, s, "b", "2/3 failed 0 []")
	wantEvents(t, end(t, s, "b", "-m2"), spool.BatchCatch)
	wantState(t, s, "b", "2/3 failed 1 [m2]")
	wantEvents(t, end(t, s, "b", "m3"), spool.BatchFinally)
	wantState(t, s, "b", "1/3 failed 1 [m2]")
	wantEvents(t, end(t, s, "b", "m2"), spool.BatchThen)
	wantState(t, again(), "b", "0/3 failed 1 [] finished")
}

// testRepeats has every end come twice, together and one after the other, as it
// does when a worker dies before the end of the job is stored.
func testRepeats(t *testing.T, again func() spool.BatchStore) {
	s := again()
	create(t, s, record("b"), 3)
	end(t, s, "b", "m1", "m1")
	wantState(t, s, "b", "2/3 failed 0 []")
	wantEvents(t, end(t, again(), "b", "m1"))
	end(t, s, "b", "-m2")
	wantEvents(t, end(t, s, "b", "-m2"))
	wantState(t, s, "b", "2/3 failed 1 [m2]")
	end(t, s, "b", "-m1") // done in one worker, failed in another that had lost it
	wantState(t, s, "b", "2/3 failed 1 [m2]")
	wantEvents(t, end(t, s, "b", "m3", "m2", "-m2", "m2"), spool.BatchThen, spool.BatchFinally)
	wantState(t, s, "b", "0/3 failed 1 [] finished")
	for _, uuid := range []string{"m1", "m2", "-m3"} {
		wantEvents(t, end(t, s, "b", uuid))
	}
	wantState(t, s, "b", "0/3 failed 1 [] finished")
}

// testRetries has a member fail, be retried, fail again, and succeed at last,
// while others are still at work.
func testRetries(t *testing.T, again func() spool.BatchStore) {
	s := again()
	create(t, s, record("b"), 3)
	end(t, s, "b", "-m1")
	end(t, s, "b", "-m1")
	wantState(t, s, "b", "3/3 failed 1 [m1]")
	end(t, s, "b", "m1")
	wantState(t, s, "b", "2/3 failed 1 []")
	wantEvents(t, end(t, s, "b", "m2"))
	wantEvents(t, end(t, s, "b", "m3"), spool.BatchThen, spool.BatchFinally)
}

func testFirstFailure(t *testing.T, again func() spool.BatchStore) {
	s := again()
	r := record("b")
	r.Options.AllowFailures = false
	create(t, s, r, 3)
	c := end(t, s, "b", "m1", "-m2")
	wantEvents(t, c, spool.BatchCatch)
	if !c.After.Cancelled || c.Before.Cancelled {
		t.Errorf("not cancelled by it: %+v", c)
	}
	wantState(t, s, "b", "2/3 failed 1 [m2] cancelled finished")
	wantEvents(t, end(t, again(), "b", "m3"), spool.BatchFinally)
	wantState(t, s, "b", "1/3 failed 1 [m2] cancelled finished")
}

func testGrow(t *testing.T, again func() spool.BatchStore) {
	s := again()
	create(t, s, record("b"), 1)
	end(t, s, "b", "m1")
	wantState(t, s, "b", "0/1 failed 0 [] finished")
	if _, err := s.Grow(t.Context(), "b", 2); err != nil {
		t.Fatal(err)
	}
	wantState(t, s, "b", "2/3 failed 0 []")
	end(t, s, "b", "m1") // a late repeat isn't one of the new members
	wantState(t, s, "b", "2/3 failed 0 []")
	c, err := s.Grow(t.Context(), "b", -2)
	if err != nil {
		t.Fatal(err)
	}
	wantEvents(t, c, spool.BatchThen, spool.BatchFinally)
	wantState(t, s, "b", "0/1 failed 0 [] finished")
	if _, err := s.Grow(t.Context(), "none", 1); !errors.Is(err, spool.ErrBatchNotFound) {
		t.Errorf("another batch: %v", err)
	}
	empty := record("empty")
	if err := s.Create(t.Context(), empty); err != nil {
		t.Fatal(err)
	}
	if c, err = s.Grow(t.Context(), "empty", 0); err != nil {
		t.Fatal(err)
	}
	wantEvents(t, c, spool.BatchThen, spool.BatchFinally)
	wantState(t, s, "empty", "0/0 failed 0 [] finished")
}

func testCancel(t *testing.T, again func() spool.BatchStore) {
	s := again()
	create(t, s, record("b"), 2)
	for _, want := range []bool{true, false} {
		if done, err := again().Cancel(t.Context(), "b"); err != nil || done != want {
			t.Errorf("cancelled: %v, %v, want %v", done, err, want)
		}
	}
	wantState(t, s, "b", "2/2 failed 0 [] cancelled finished")
	if _, err := s.Cancel(t.Context(), "none"); !errors.Is(err, spool.ErrBatchNotFound) {
		t.Errorf("another batch: %v", err)
	}
	end(t, s, "b", "m1")
	wantEvents(t, end(t, s, "b", "m2"), spool.BatchThen, spool.BatchFinally)
	wantState(t, s, "b", "0/2 failed 0 [] cancelled finished")
}

func testDelete(t *testing.T, again func() spool.BatchStore) {
	s := again()
	r := record("b")
	r.Options.Callbacks = []spool.BatchCallback{{Event: spool.BatchThen, UUID: "u"}}
	create(t, s, r, 2)
	create(t, s, record("c"), 1)
	end(t, s, "b", "m1")
	for range 2 {
		if err := s.Delete(t.Context(), "b"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Find(t.Context(), "b"); !errors.Is(err, spool.ErrBatchNotFound) {
		t.Errorf("it is there: %v", err)
	}
	wantEvents(t, end(t, s, "b", "m2")) // whose batch is gone
	create(t, s, r, 2)
	end(t, s, "b", "m1") // nothing is left of the first one
	wantState(t, s, "b", "1/2 failed 0 []")
	wantState(t, s, "c", "1/1 failed 0 []")
}

func testSeveral(t *testing.T, again func() spool.BatchStore) {
	s := again()
	create(t, s, record("b"), 2)
	create(t, s, record("a"), 2)
	changes, err := s.Record(t.Context(), []spool.BatchEnd{
		{Batch: "b", UUID: "1"}, {Batch: "none", UUID: "9"}, {Batch: "a", UUID: "2", Failed: true}, {Batch: "b", UUID: "3"},
	})
	if err != nil || len(changes) != 2 {
		t.Fatalf("%d changes, %v", len(changes), err)
	}
	wantState(t, s, "b", "0/2 failed 0 [] finished")
	wantState(t, s, "a", "2/2 failed 1 [2]")
}

// testManyOfSeveral has so many members of two batches end at once that a store
// may count them in parts: of each batch there is one change all the same.
func testManyOfSeveral(t *testing.T, again func() spool.BatchStore) {
	const each = 600
	s := again()
	var ends []spool.BatchEnd
	for _, id := range []string{"a", "b"} {
		create(t, s, record(id), each)
	}
	for i := range each {
		for _, id := range []string{"a", "b"} {
			ends = append(ends, spool.BatchEnd{Batch: id, UUID: fmt.Sprint(id, i), Failed: i == 0})
		}
	}
	changes, err := s.Record(t.Context(), ends)
	if err != nil || len(changes) != 2 {
		t.Fatalf("%d changes, %v", len(changes), err)
	}
	for _, c := range changes {
		wantEvents(t, c, spool.BatchCatch, spool.BatchFinally)
		wantState(t, s, c.ID, fmt.Sprintf("1/%d failed 1 [%s0]", each, c.ID))
	}
}

// testContention has several processes count at the same time, in groups of
// different sizes, with repeats.
func testContention(t *testing.T, again func() spool.BatchStore) {
	const processes, members = 4, 400
	create(t, again(), record("a"), members)
	create(t, again(), record("b"), members)
	var wg sync.WaitGroup
	var mu sync.Mutex
	events := map[spool.BatchEvent]int{}
	for p := range processes {
		s := again()
		wg.Go(func() {
			size := 1 + 7*p
			for i := 0; i < members; i += size {
				var ends []spool.BatchEnd
				for n := i; n < min(i+size, members); n++ {
					if p == 3 || n%3 == p { // the last one repeats all
						ends = append(ends, spool.BatchEnd{Batch: "ab"[n%2 : n%2+1], UUID: fmt.Sprint(n)}, spool.BatchEnd{Batch: "ba"[n%2 : n%2+1], UUID: fmt.Sprint(n)})
					}
				}
				changes, err := s.Record(context.WithoutCancel(t.Context()), ends)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				for _, c := range changes {
					for _, e := range c.Events() {
						events[e]++
					}
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	for _, id := range []string{"a", "b"} {
		wantState(t, again(), id, fmt.Sprintf("0/%d failed 0 [] finished", members))
	}
	if diff := cmp.Diff(map[spool.BatchEvent]int{spool.BatchThen: 2, spool.BatchFinally: 2}, events); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

// testManyFailures has more failures than a column holds.
func testManyFailures(t *testing.T, again func() spool.BatchStore) {
	const members = 21_000
	s := again()
	create(t, s, record("b"), members+1)
	name := func(i int) string { return fmt.Sprintf("-0a1b2c3d-0000-4000-8000-%012d", i) }
	for i := 0; i < members; i += 1000 {
		var uuids []string
		for n := i; n < i+1000; n++ {
			uuids = append(uuids, name(n))
		}
		end(t, s, "b", uuids...)
	}
	if r := find(t, s, "b"); r.Failed != members || len(r.FailedIDs) != members || r.Counts().Ended() {
		t.Errorf("%d failed, %d ids, ended %v", r.Failed, len(r.FailedIDs), r.Counts().Ended())
	}
	wantEvents(t, end(t, s, "b", strings.TrimPrefix(name(members-1), "-")))
	wantEvents(t, end(t, s, "b", "last"), spool.BatchFinally)
	if r := find(t, s, "b"); r.Pending != members-1 || len(r.FailedIDs) != members-1 {
		t.Errorf("%d pending, %d ids", r.Pending, len(r.FailedIDs))
	}
}

func claim(t *testing.T, s spool.BatchStore, id string, events ...spool.BatchEvent) string {
	t.Helper()
	cs, err := s.Claim(t.Context(), id, events)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, c := range cs {
		names = append(names, string(c.Event)+":"+c.UUID)
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

func testClaim(t *testing.T, again func() spool.BatchStore) {
	s := again()
	r := record("b")
	r.Options.Callbacks = []spool.BatchCallback{
		{Event: spool.BatchThen, UUID: "u1"}, {Event: spool.BatchThen, UUID: "u2"},
		{Event: spool.BatchFinally, UUID: "u3"}, {Event: spool.BatchProgress, UUID: "u4"},
	}
	create(t, s, r, 1)
	if got := claim(t, s, "b", spool.BatchThen, spool.BatchCatch); got != "then:u1 then:u2" {
		t.Errorf("claimed %q", got)
	}
	if got := claim(t, again(), "b", spool.BatchThen, spool.BatchFinally); got != "finally:u3" {
		t.Errorf("another process claimed %q", got)
	}
	begin := func(uuid string, n int, want bool) {
		t.Helper()
		if got, err := again().Begin(t.Context(), "b", uuid, n); err != nil || got != want {
			t.Errorf("%s may run after claim %d: %v, %v", uuid, n, got, err)
		}
	}
	begin("u1", 2, false) // claimed once
	begin("u1", 1, true)
	begin("u1", 1, true) // once more, as its worker has died
	begin("none", 1, true)
	for _, state := range []spool.CallbackState{spool.CallbackPushed, spool.CallbackRan, spool.CallbackPushed} {
		if err := s.Mark(t.Context(), "b", "u1", state); err != nil {
			t.Fatal(err)
		}
	}
	begin("u1", 1, false)
	begin("u2", 1, true)
	if got := claim(t, s, "none", spool.BatchThen); got != "" {
		t.Errorf("of no batch: %q", got)
	}
}

func owed(t *testing.T, s spool.BatchStore, max int) []string {
	t.Helper()
	ids, err := s.Owed(t.Context(), max)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(ids)
	return ids
}

func testOwed(t *testing.T, again func() spool.BatchStore) {
	s := again()
	for _, c := range []struct {
		id    string
		event spool.BatchEvent
	}{{"a", spool.BatchThen}, {"b", spool.BatchCatch}, {"c", spool.BatchFinally}, {"d", spool.BatchThen}} {
		r := record(c.id)
		r.Options.Callbacks = []spool.BatchCallback{{Event: c.event, UUID: "u"}}
		create(t, s, r, 2)
	}
	if got := owed(t, s, 10); len(got) > 0 {
		t.Errorf("owed at first: %v", got)
	}
	end(t, s, "a", "1", "2")
	end(t, s, "b", "-1")
	end(t, s, "c", "1", "-2")
	end(t, s, "d", "1")
	if got := owed(t, again(), 10); !slices.Equal(got, []string{"a", "b", "c"}) {
		t.Errorf("owed: %v", got)
	}
	if got := owed(t, s, 2); len(got) != 2 {
		t.Errorf("two of them: %v", got)
	}
	claim(t, s, "a", spool.BatchThen)
	if err := s.Mark(t.Context(), "b", "u", spool.CallbackPushed); err != nil {
		t.Fatal(err)
	}
	if got := owed(t, again(), 10); !slices.Equal(got, []string{"c"}) {
		t.Errorf("still owed: %v", got)
	}
}

func testList(t *testing.T, again func() spool.BatchStore) {
	s := again()
	for _, id := range []string{"b1", "b3", "b2"} {
		create(t, s, record(id), 1)
	}
	page := func(before string, max int) string {
		t.Helper()
		list, err := again().List(t.Context(), before, max)
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, r := range list {
			ids = append(ids, r.ID+" "+r.Name)
		}
		return strings.Join(ids, ", ")
	}
	if got := page("", 2); got != "b3 import b3, b2 import b2" {
		t.Errorf("first page: %s", got)
	}
	if got := page("b2", 2); got != "b1 import b1" {
		t.Errorf("second page: %s", got)
	}
}

func testPrune(t *testing.T, again func() spool.BatchStore) {
	s := again()
	for _, id := range []string{"cancelled", "done", "open"} {
		create(t, s, record(id), 1)
	}
	end(t, s, "done", "1")
	if _, err := s.Cancel(t.Context(), "cancelled"); err != nil {
		t.Fatal(err)
	}
	prune := func(kind spool.BatchKind, before time.Time, want int64) {
		t.Helper()
		if n, err := again().Prune(t.Context(), kind, before); err != nil || n != want {
			t.Errorf("kind %d: %d, %v, want %d", kind, n, err, want)
		}
	}
	created := time.Unix(1795174122, 0)
	for _, kind := range []spool.BatchKind{spool.FinishedBatches, spool.UnfinishedBatches, spool.CancelledBatches} {
		prune(kind, created.Add(-time.Second), 0)
	}
	later := time.Now().Add(time.Hour)
	if later.Before(created) {
		later = created.Add(time.Hour)
	}
	prune(spool.CancelledBatches, later, 1)
	prune(spool.FinishedBatches, later, 1)
	prune(spool.UnfinishedBatches, later, 1)
	create(t, s, record("done"), 2)
	end(t, s, "done", "1") // nothing is left of the first one
	wantState(t, s, "done", "1/2 failed 0 []")
}
