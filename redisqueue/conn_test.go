package redisqueue

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/internal/testserver"
)

func TestNewRefusesWhatCannotWork(t *testing.T) {
	if _, err := New(nil, nil); err == nil {
		t.Error("a connection without a client")
	}
	client := open(t, testserver.Redis(t))
	if _, err := New(client, &Options{RetryAfter: 2 * time.Second}); err == nil || !strings.Contains(err.Error(), "retry_after") {
		t.Errorf("a lease of 2 s: error %v, want one that names retry_after", err)
	}
	c, err := New(client, nil)
	if err != nil {
		t.Fatal(err)
	}
	if tr := c.Traits(); tr.Lease != 90*time.Second || tr.Renew >= tr.Lease {
		t.Errorf("default traits are %+v", tr)
	}
}

func TestPushRefusesWhatPHPWouldLose(t *testing.T) {
	client := open(t, testserver.Redis(t))
	c := connect(t, client, Options{})
	nest := func(n int) string {
		return `{"attempts":0,"data":` + strings.Repeat(`{"[":`, n-1) + `"[[[{{{\"[["` + strings.Repeat("}", n-1) + `}`
	}
	wide := `{"attempts":0,"data":[` + strings.Repeat(`{"a":[]},`, 5000) + `"` + strings.Repeat("[", 5000) + `"]}`
	push(t, c, "q", messages(nest(1000), wide)...)

	_, err := c.Push(t.Context(), "q", messages(`{}`, nest(1001)))
	var limit *driver.LimitError
	if !errors.As(err, &limit) || limit.Index != 1 || limit.Have != 1001 || limit.Max != 1000 {
		t.Fatalf("pushing 1,001 levels: %v, want a LimitError about message 1", err)
	}
	if n := size(t, c, "q").Total(); n != 2 {
		t.Errorf("there are %d jobs, want the 2 that were accepted", n)
	}
	// What was accepted goes through PHP's decoder.
	for _, r := range reserve(t, c, "q", 10) {
		if err := client.Do(t.Context(), client.B().Eval().Script(`cjson.decode(ARGV[1])`).Numkeys(0).Arg(string(r.Body)).Build()).Error(); err != nil && !rueidis.IsRedisNil(err) {
			t.Errorf("PHP couldn't decode a payload: %v", err)
		}
	}
}

func TestLargestBody(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("pushes 64 MB")
	}
	c := connect(t, open(t, testserver.NewRedis(t).Addr), Options{})
	body := make([]byte, MaxBody+1)
	for i := range body {
		body[i] = 'x'
	}
	copy(body, `{"data":"`)
	var limit *driver.LimitError
	if _, err := c.Push(t.Context(), "q", []driver.Message{{Body: []byte(`{}`)}, {Body: body}}); !errors.As(err, &limit) || limit.Index != 1 {
		t.Fatalf("one byte too many: %v, want a LimitError about message 1", err)
	}
	if n := size(t, c, "q").Total(); n != 0 {
		t.Fatalf("there are %d jobs after a refused push", n)
	}
	body = body[:MaxBody]
	copy(body[MaxBody-len(`","attempts":0}`):], `","attempts":0}`)
	push(t, c, "q", driver.Message{Body: body})
	rs := reserve(t, c, "q", 1)
	if len(rs) != 1 || !bytes.Equal(rs[0].Body, body) {
		t.Fatal("the largest body didn't come back as it was")
	}
	if err := c.Delete(t.Context(), rs); err != nil {
		t.Fatal(err)
	}
}

func TestPayloadsThatAreNoJobsAreHandedOut(t *testing.T) {
	client := open(t, testserver.Redis(t))
	c := connect(t, client, Options{})
	bodies := []string{"hello", "", `[1,2]`, `"text"`, "\xff\x00\xfe", `{"a":1`, `null`}
	push(t, c, "q", messages(bodies...)...)
	rs := reserve(t, c, "q", 100)
	if len(rs) != len(bodies) {
		t.Fatalf("%d of %d were reserved", len(rs), len(bodies))
	}
	for i, r := range rs {
		if string(r.Body) != bodies[i] || r.Attempts != 1 {
			t.Errorf("got %q, attempt %d; want %q, attempt 1", r.Body, r.Attempts, bodies[i])
		}
	}
	if err := c.Return(t.Context(), rs[:3], 0); err != nil {
		t.Error("Return:", err)
	}
	if err := c.Release(t.Context(), rs[3:5], 0); err != nil {
		t.Error("Release:", err)
	}
	if err := c.Delete(t.Context(), rs[5:]); err != nil {
		t.Error("Delete:", err)
	}
	back := reserve(t, c, "q", 100)
	if len(back) != 5 {
		t.Errorf("%d came back, want 5", len(back))
	}
}

func TestReturnRestoresEveryByte(t *testing.T) {
	client := open(t, testserver.Redis(t))
	c := connect(t, client, Options{})
	bodies := []string{
		`{"id":"1","attempts":0}`, `{"id":"2","attempts":9}`, `{"id":"3"}`, `{"id":"4","attempts":3.50}`,
		`{"id":"5","attempts":"2","x":[]}`, `{"id":"6","attempts":null,"big":12345678901234567890}`, `{"attempts":99,"id":"7","x":{}}`,
	}
	push(t, c, "q", messages(bodies...)...)
	for round := range 3 {
		rs := reserve(t, c, "q", 100)
		if err := c.Return(t.Context(), rs, 0); err != nil {
			t.Fatal(err)
		}
		got := read(t, client, c.opts.Prefix+"queues:q").Delayed
		for _, b := range bodies {
			if _, ok := got[b]; !ok || len(got) != len(bodies) {
				t.Fatalf("round %d: the delayed set holds %v, want the bodies as pushed", round, got)
			}
		}
	}
}

// A failing script may not take jobs with it.
func TestKeysOfTheWrongTypeLoseNothing(t *testing.T) {
	client := open(t, testserver.Redis(t))
	set := func(key string) {
		t.Helper()
		if err := client.Do(t.Context(), client.B().Set().Key(key).Value("x").Build()).Error(); err != nil {
			t.Fatal(err)
		}
	}
	for _, bad := range []string{":reserved", ":delayed", ":notify", ""} {
		t.Run("queue"+bad, func(t *testing.T) {
			c := connect(t, client, Options{})
			key := c.opts.Prefix + "queues:q"
			st := stored{Ready: []string{`{"attempts":0}`}, Notify: []string{"1"},
				Delayed: map[string]int64{`{"id":1,"attempts":0}`: -5}, Reserved: map[string]int64{`{"id":2,"attempts":1}`: -5}}
			st.write(t, client, key)
			set(key + bad)
			if rs, err := c.Reserve(t.Context(), "q", 10); err == nil {
				t.Fatalf("Reserve found %d jobs, want an error", len(rs))
			}
			mixed := []driver.Message{{Body: []byte("{}")}, {Body: []byte("{}"), Delay: time.Minute}}
			if _, err := c.Push(t.Context(), "q", mixed); err == nil && bad != ":reserved" {
				t.Fatal("a mixed push succeeded, want an error")
			}
			if err := client.Do(t.Context(), client.B().Del().Key(key+bad).Build()).Error(); err != nil {
				t.Fatal(err)
			}
			left := read(t, client, key)
			want := 3
			switch bad {
			case "", ":delayed":
				want-- // the one that we overwrote ourselves
			case ":reserved":
				want++ // minus that one, plus the two that were pushed
			}
			if n := len(left.Ready) + len(left.Delayed) + len(left.Reserved); n != want {
				t.Errorf("%d jobs are left, want %d: %+v", n, want, left)
			}
		})
	}
}

func TestScriptsAreSentAgainWhenTheServerForgotThem(t *testing.T) {
	client := open(t, testserver.NewRedis(t).Addr)
	c := connect(t, client, Options{})
	forget := func() {
		t.Helper()
		if err := client.Do(t.Context(), client.B().ScriptFlush().Build()).Error(); err != nil {
			t.Fatal(err)
		}
	}
	forget()
	push(t, c, "q", driver.Message{Body: []byte(`{"attempts":0}`)}, driver.Message{Body: []byte(`{"n":1,"attempts":0}`), Delay: time.Minute})
	forget()
	rs := reserve(t, c, "q", 5)
	for _, verb := range []func() error{
		func() error { return c.Extend(t.Context(), rs) },
		func() error { return c.Return(t.Context(), rs, 0) },
		func() error { rs = reserve(t, c, "q", 5); return c.Release(t.Context(), rs, 0) },
		func() error { rs = reserve(t, c, "q", 5); return c.Delete(t.Context(), rs) },
		func() error { _, err := c.Rescue(t.Context(), "q", 5); return err },
		func() error { return c.Wait(t.Context(), []string{"q"}, time.Millisecond) },
	} {
		forget()
		if err := verb(); err != nil {
			t.Fatal(err)
		}
	}
	if n := size(t, c, "q"); n.Delayed != 1 || n.Total() != 1 {
		t.Errorf("what is left is %+v, want the delayed job", n)
	}
}

func TestDueJobsMoveInBoundedSteps(t *testing.T) {
	client := open(t, testserver.Redis(t))
	c := connect(t, client, Options{})
	key := c.opts.Prefix + "queues:q"
	fill := func(set string, n int) {
		t.Helper()
		cmd := client.B().Zadd().Key(key + set).ScoreMember()
		for i := range n {
			cmd = cmd.ScoreMember(float64(1000+i), fmt.Sprintf(`{"id":"%s%d","attempts":0}`, set, i))
		}
		if err := client.Do(t.Context(), cmd.Build()).Error(); err != nil {
			t.Fatal(err)
		}
	}
	fill(":delayed", 2500)
	fill(":reserved", 2500)
	if rs := reserve(t, c, "q", 1); len(rs) != 1 || !strings.Contains(string(rs[0].Body), `":delayed0"`) {
		t.Fatalf("%d jobs, want the one that is due longest", len(rs))
	}
	if s := size(t, c, "q"); s.Delayed != 1500 || s.Reserved != 1501 || s.Pending != 1999 {
		t.Errorf("after one call: %+v, want 1,000 moved from each set", s)
	}
	if n := len(read(t, client, key).Notify); n != 1999 {
		t.Errorf("%d notify elements for 1,999 jobs", n)
	}
	seen := 1
	for range 10 {
		seen += len(reserve(t, c, "q", 2000))
	}
	if seen != 5000 {
		t.Errorf("%d jobs were reserved, want 5,000", seen)
	}

	few := connect(t, client, Options{MigrationBatch: 7})
	key = few.opts.Prefix + "queues:q"
	fill(":delayed", 20)
	fill(":reserved", 20)
	if rs := reserve(t, few, "q", 100); len(rs) != 14 {
		t.Errorf("with a migration batch of 7, %d were reserved, want 7 of each", len(rs))
	}
}

func TestReserveStopsAtItsBudget(t *testing.T) {
	c := connect(t, open(t, testserver.Redis(t)), Options{})
	big := func(i int) string {
		return fmt.Sprintf(`{"id":%d,"data":"%s","attempts":0}`, i, strings.Repeat("x", 5<<20))
	}
	for i := range 12 {
		push(t, c, "q", messages(big(i))...)
	}
	seen := 0
	for seen < 12 {
		rs := reserve(t, c, "q", 100)
		// It looks at 8 jobs before it knows how large they are.
		if len(rs) == 0 || len(rs) > 8 {
			t.Fatalf("%d jobs of 5 MB in one call", len(rs))
		}
		for _, r := range rs {
			if want := fmt.Sprintf(`{"id":%d,`, seen); !strings.HasPrefix(string(r.Body[:20]), want) {
				t.Fatalf("job %.20s, want %s", r.Body, want)
			}
			seen++
		}
		if err := c.Delete(t.Context(), rs); err != nil {
			t.Fatal(err)
		}
	}
}

func TestQueueNames(t *testing.T) {
	client := open(t, testserver.Redis(t))
	c := connect(t, client, Options{Prefix: "we[ir]d*\\?" + fmt.Sprint(time.Now().UnixNano()) + ":"})
	other := connect(t, client, Options{})
	push(t, other, "elsewhere", messages(`{}`)...)
	names := []string{"default", "a:b", "a:b:c", "x:delayed", "y:reserved", "z:notify", "{tag}", "中文", "with space"}
	slices.Sort(names)
	for _, name := range names {
		push(t, c, name, messages(`{"attempts":0}`)...)
	}
	push(t, c, "only-delayed", driver.Message{Body: []byte(`{"attempts":0}`), Delay: time.Hour})
	push(t, c, "only:reserved", driver.Message{Body: []byte(`{"attempts":0,"b":1}`)})
	reserve(t, c, "only:reserved", 1)
	push(t, c, "was-there", messages(`{"attempts":0}`)...)
	if err := c.Delete(t.Context(), reserve(t, c, "was-there", 1)); err != nil {
		t.Fatal(err)
	}
	want := append(slices.Clone(names), "only-delayed", "only:reserved")
	slices.Sort(want)
	got, err := c.Queues(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, want) {
		t.Errorf("queues are\n%q, want\n%q", got, want)
	}
	for _, name := range names {
		if rs := reserve(t, c, name, 5); len(rs) != 1 {
			t.Errorf("%q has %d jobs, want 1", name, len(rs))
		}
	}
}

func TestListReadsWhatIsThere(t *testing.T) {
	c := connect(t, open(t, testserver.Redis(t)), Options{})
	push(t, c, "q", messages(`{"createdAt":1795174122,"attempts":3}`, `{"attempts":"x","createdAt":"yesterday"}`, `not json`)...)
	entries, next, err := c.List(t.Context(), "q", driver.Pending, "", 10)
	if err != nil || next != "" || len(entries) != 3 {
		t.Fatalf("List: %d entries, cursor %q, %v", len(entries), next, err)
	}
	if e := entries[0]; e.Attempts != 3 || e.Created.Unix() != 1795174122 {
		t.Errorf("the first is %+v", e)
	}
	for _, e := range entries[1:] {
		if e.Attempts != 0 || !e.Created.IsZero() {
			t.Errorf("of %q, the listing knows %+v", e.Body, e)
		}
	}
	if s := size(t, c, "q"); s.Oldest.Unix() != 1795174122 {
		t.Errorf("the oldest is from %v", s.Oldest)
	}
	if _, _, err := c.List(t.Context(), "q", driver.Pending, "x", 1); err == nil {
		t.Error("a cursor of somebody else was accepted")
	}
	if _, _, err := c.List(t.Context(), "q", "gone", "", 1); err == nil {
		t.Error("a state that there isn't was accepted")
	}
}

func TestBlockForBoundsWait(t *testing.T) {
	c := connect(t, open(t, testserver.Redis(t)), Options{BlockFor: 50 * time.Millisecond})
	start := time.Now()
	if err := c.Wait(t.Context(), []string{"q"}, time.Minute); err != nil {
		t.Fatal(err)
	}
	if d := time.Since(start); d < 40*time.Millisecond || d > 5*time.Second {
		t.Errorf("Wait took %v, want 50 ms", d)
	}
}

func TestWaitTakesOneToken(t *testing.T) {
	client := open(t, testserver.NewRedis(t).Addr)
	c := connect(t, client, Options{})
	woken := make(chan error)
	go func() { woken <- c.Wait(context.Background(), []string{"a", "b"}, 30*time.Second) }()
	blocked(t, client)
	push(t, c, "b", messages(`{"attempts":0}`, `{"n":2,"attempts":0}`)...)
	if err := <-woken; err != nil {
		t.Fatal(err)
	}
	if n := len(read(t, client, c.opts.Prefix+"queues:b").Notify); n != 1 {
		t.Errorf("%d notify elements are left of 2", n)
	}
}

// blocked waits until a client of the server blocks on a list.
func blocked(t *testing.T, client rueidis.Client) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		list, err := client.Do(context.Background(), client.B().Info().Section("clients").Build()).ToString()
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(list, "blocked_clients:0") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("nobody blocks")
		}
	}
}

func size(t testing.TB, c *Conn, queue string) driver.Size {
	t.Helper()
	s, err := c.Size(context.Background(), queue)
	if err != nil {
		t.Fatal("Size:", err)
	}
	return s
}

func TestCloseMayCloseTheClient(t *testing.T) {
	client := open(t, testserver.NewRedis(t).Addr)
	c, err := New(client, &Options{CloseClient: true})
	if err != nil {
		t.Fatal(err)
	}
	waiting := make(chan error, 1)
	go func() { waiting <- c.Wait(context.Background(), []string{"q"}, time.Minute) }()
	blocked(t, client)
	start := time.Now()
	if err := errors.Join(c.Close(), c.Close()); err != nil {
		t.Fatal(err)
	}
	if err := <-waiting; !errors.Is(err, driver.ErrClosed) {
		t.Errorf("Wait returned %v, want ErrClosed", err)
	}
	if d := time.Since(start); d > time.Second {
		t.Errorf("closing took %v", d)
	}
	if err := client.Do(context.Background(), client.B().Ping().Build()).Error(); !errors.Is(err, rueidis.ErrClosing) {
		t.Errorf("the client answers with %v, want that it is closed", err)
	}
}
