package sqsqueue

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/internal/testserver"
)

// pushGrouped pushes bodies whose group is what stands before the colon.
func pushGrouped(t testing.TB, c *Conn, queue string, bodies ...string) {
	t.Helper()
	ms := messages(bodies...)
	for i, body := range bodies {
		ms[i].Group, _, _ = strings.Cut(body, ":")
	}
	if _, err := c.Push(t.Context(), queue, ms); err != nil {
		t.Fatal("Push:", err)
	}
}

// Of each group one job at a time is handed out, in order, to whomever.
func TestFIFOHandsOutOneJobOfAGroup(t *testing.T) {
	endpoint := testserver.SQS(t)
	c, other := connect(t, endpoint, nil), connect(t, endpoint, nil)
	q := name(".fifo")
	create(t, c, q)
	var all []string
	for i := range 10 {
		all = append(all, fmt.Sprintf("a:%d", i))
	}
	pushGrouped(t, c, q, append(all, "b:0", "b:1", "c:0")...)
	first := reserve(t, c, q, 10)
	if got := bodies(first); !slices.Equal(sorted(got), []string{"a:0", "b:0", "c:0"}) {
		t.Fatalf("reserved together were %q, want the first of each group", got)
	}
	if rs := reserve(t, other, q, 10); len(rs) != 0 {
		t.Fatalf("another got %q while the first of each group are held", bodies(rs))
	}
	must(t, c.Delete(t.Context(), first))
	second := reserve(t, other, q, 10)
	if got := bodies(second); !slices.Equal(sorted(got), []string{"a:1", "b:1"}) {
		t.Fatalf("then came %q, want the second of each group", got)
	}
	for _, r := range second {
		if r.Attempts != 1 {
			t.Errorf("job %s is delivered as attempt %d: it was held back at a cost", r.Body, r.Attempts)
		}
	}
}

func sorted(s []string) []string { return slices.Sorted(slices.Values(s)) }

// When a job fails, the rest of its group waits for it; other groups don't.
func TestFIFOGroupWaitsForAFailedJob(t *testing.T) {
	c := connect(t, testserver.SQS(t), nil)
	q := name(".fifo")
	create(t, c, q)
	pushGrouped(t, c, q, "a:0", "a:1", "b:0", "b:1")
	rs := reserve(t, c, q, 10)
	at := slices.IndexFunc(rs, func(r driver.Reservation) bool { return string(r.Body) == "a:0" })
	if at < 0 || len(rs) != 2 {
		t.Fatalf("reserved %q", bodies(rs))
	}
	failed := rs[at]
	released := time.Now()
	must(t, c.Release(t.Context(), []driver.Reservation{failed}, 2*time.Second))
	must(t, c.Delete(t.Context(), slices.Delete(slices.Clone(rs), at, at+1)))
	if got := bodies(reserve(t, c, q, 10)); !slices.Equal(got, []string{"b:1"}) {
		t.Fatalf("while a:0 waits for its retry came %q, want b:1 alone", got)
	}
	var again []driver.Reservation
	eventually(t, "a:0 comes again", func() bool {
		again = reserve(t, c, q, 10)
		return len(again) > 0 && string(again[0].Body)[0] == 'a'
	})
	if got := bodies(again); !slices.Equal(got, []string{"a:0"}) || again[0].Attempts != 2 {
		t.Fatalf("then came %q as attempt %d, want a:0 as attempt 2", got, again[0].Attempts)
	}
	if waited := time.Since(released); waited < 2*time.Second {
		t.Errorf("a:0 came again after %v", waited)
	}
	must(t, c.Delete(t.Context(), again))
	if got := bodies(reserve(t, c, q, 10)); !slices.Contains(got, "a:1") {
		t.Errorf("behind a:0 came %q, want a:1", got)
	}
}

// Many workers that fail at random run each group in order.
func TestFIFOOrderUnderFailures(t *testing.T) {
	endpoint := testserver.SQS(t)
	const groups, jobs = 6, 8
	producer := connect(t, endpoint, nil)
	q := name(".fifo")
	create(t, producer, q)
	for i := range jobs {
		var batch []string
		for g := range groups {
			batch = append(batch, fmt.Sprintf("%c:%d", 'a'+g, i))
		}
		pushGrouped(t, producer, q, batch...)
	}
	var mu sync.Mutex
	done, busy := map[string]int{}, map[string]bool{}
	total := 0
	run := func(c *Conn, r driver.Reservation) {
		group, n, _ := strings.Cut(string(r.Body), ":")
		mu.Lock()
		if want := strconv.Itoa(done[group]); n != want || busy[group] {
			t.Errorf("group %s runs job %s (another of it is running: %v), want job %s", group, n, busy[group], want)
		}
		busy[group] = true
		mu.Unlock()
		time.Sleep(time.Millisecond) // lets others get in the way
		fails := rand.IntN(4) == 0
		mu.Lock()
		busy[group] = false
		if !fails {
			done[group]++
			total++
		}
		mu.Unlock()
		var err error
		if fails {
			err = c.Release(t.Context(), []driver.Reservation{r}, 0)
		} else {
			err = c.Delete(t.Context(), []driver.Reservation{r})
		}
		if err != nil {
			t.Error(err)
		}
	}
	over := func() bool {
		mu.Lock()
		defer mu.Unlock()
		return total >= groups*jobs || t.Failed()
	}
	var work sync.WaitGroup
	for range 2 {
		c := connect(t, endpoint, func(o *Options) { o.RetryAfter = time.Minute })
		for range 3 {
			work.Go(func() {
				for deadline := time.Now().Add(time.Minute); !over() && time.Now().Before(deadline); {
					rs, err := c.Reserve(t.Context(), q, 4)
					if err != nil {
						t.Error(err)
						return
					}
					for _, r := range rs {
						run(c, r)
					}
				}
			})
		}
	}
	work.Wait()
	if total != groups*jobs {
		t.Errorf("%d jobs were run, want %d", total, groups*jobs)
	}
}

func TestFIFOWithoutAGroupIsOneGroup(t *testing.T) {
	c := connect(t, testserver.SQS(t), nil)
	q := name(".fifo")
	url := create(t, c, q)
	calls := alter(c)
	push(t, c, q, "1", "2")
	push(t, c, url, "3")
	for _, in := range calls.sends {
		for _, e := range in.Entries {
			if e.MessageGroupId == nil || *e.MessageGroupId != q {
				t.Errorf("the group is %v, want the queue's name", e.MessageGroupId)
			}
		}
	}
	for _, want := range []string{"1", "2", "3"} {
		rs := reserve(t, c, q, 10)
		if got := bodies(rs); !slices.Equal(got, []string{want}) {
			t.Fatalf("reserved were %q, want %q", got, want)
		}
		must(t, c.Delete(t.Context(), rs))
	}
}

func TestDeduplication(t *testing.T) {
	endpoint := testserver.SQS(t)
	plain := connect(t, endpoint, nil)
	q := name(".fifo")
	create(t, plain, q)
	count := func() int {
		t.Helper()
		n := 0
		for {
			rs := reserve(t, plain, q, 1)
			if len(rs) == 0 {
				return n
			}
			must(t, plain.Delete(t.Context(), rs))
			n++
		}
	}
	push(t, plain, q, "same", "same")
	push(t, plain, q, "same")
	if n := count(); n != 3 {
		t.Errorf("of 3 equal messages %d were delivered: without a rule none must be dropped", n)
	}
	named := messages("once", "once", "once", "twice")
	for i := range named {
		named[i].Deduplication = "id-" + string(named[i].Body)
	}
	ids, err := plain.Push(t.Context(), q, named[:2])
	must(t, err)
	more, err := plain.Push(t.Context(), q, named[2:])
	must(t, err)
	ids = append(ids, more...)
	if ids[0] != ids[1] || ids[0] != ids[2] || ids[0] == ids[3] {
		t.Errorf("the ids of three equal messages and another are %q", ids)
	}
	if n := count(); n != 2 {
		t.Errorf("%d messages were delivered, want 2", n)
	}
	none := connect(t, endpoint, func(o *Options) { o.ContentDeduplication = true })
	if _, err := none.Push(t.Context(), q, messages("a")); err == nil {
		t.Error("a queue without content-based deduplication took a message without id")
	}
	content := name(".fifo")
	create(t, none, content, "ContentBasedDeduplication", "true")
	if ids := push(t, none, content, "x", "x", "y"); ids[0] != ids[1] || ids[0] == ids[2] {
		t.Errorf("content-based deduplication gave the ids %q to x, x and y", ids)
	}
}

func TestNoDelayOnFIFO(t *testing.T) {
	c := connect(t, testserver.SQS(t), nil)
	q := name(".fifo")
	create(t, c, q)
	ms := messages("1", "2", "3")
	ms[1].Delay = time.Second
	ids, err := c.Push(t.Context(), q, ms)
	var limit *driver.LimitError
	if !errors.As(err, &limit) || limit.Index != 1 || limit.What != "delay" || limit.Max != 0 || len(ids) != 0 {
		t.Errorf("a delayed push returned %q and %v", ids, err)
	}
	if err != nil && !strings.Contains(err.Error(), "FIFO") {
		t.Errorf("the error doesn't say why: %v", err)
	}
	if rs := reserve(t, c, q, 10); len(rs) != 0 {
		t.Errorf("%q were stored", bodies(rs))
	}
}

// FIFO queues fence: a receipt ends with its lease.
func TestFIFOLateHolder(t *testing.T) {
	endpoint := testserver.SQS(t)
	c, other := connect(t, endpoint, nil), connect(t, endpoint, nil)
	q := name(".fifo")
	create(t, c, q)
	push(t, c, q, "a", "b")
	old := reserve(t, c, q, 1)
	var now []driver.Reservation
	eventually(t, "the job comes back", func() bool { now = reserve(t, other, q, 10); return len(now) > 0 })
	if string(now[0].Body) != "a" || now[0].Attempts != 2 || len(now) != 1 {
		t.Fatalf("after its lease came %q as attempt %d, want a again", bodies(now), now[0].Attempts)
	}
	for verb, err := range map[string]error{
		"Extend": c.Extend(t.Context(), old), "Release": c.Release(t.Context(), old, 0),
	} {
		if !errors.Is(driver.ItemError(err, 0), driver.ErrLost) {
			t.Errorf("%s by a late holder: %v", verb, err)
		}
	}
	must(t, other.Extend(t.Context(), now))
	must(t, other.Delete(t.Context(), now))
	if got := bodies(reserve(t, other, q, 10)); !slices.Equal(got, []string{"b"}) {
		t.Errorf("behind it came %q", got)
	}
}

// On a standard queue the group is the tenant of a fair queue, and no
// deduplication id may be sent.
func TestFairQueueGroups(t *testing.T) {
	endpoint := testserver.SQS(t)
	c, without := connect(t, endpoint, func(o *Options) { o.MessageGroup = "everybody" }), connect(t, endpoint, nil)
	q := name("")
	create(t, c, q)
	calls, plain := alter(c), alter(without)
	pushGrouped(t, c, q, "tenant1:a", "tenant2:b", ":b")
	push(t, without, q, "tenant1:c")
	for i, want := range []string{"tenant1", "tenant2", "everybody"} {
		e := calls.sends[0].Entries[i]
		if e.MessageGroupId == nil || *e.MessageGroupId != want || e.MessageDeduplicationId != nil {
			t.Errorf("message %d has the group %v and the deduplication id %v, want %q and none", i, e.MessageGroupId, e.MessageDeduplicationId, want)
		}
	}
	if e := plain.sends[0].Entries[0]; e.MessageGroupId != nil {
		t.Errorf("without one the group is %q, want none", *e.MessageGroupId)
	}
	if n := len(reserve(t, c, q, 10)); n != 4 {
		t.Errorf("%d jobs were reserved, want 4: groups of a standard queue run together", n)
	}
}
