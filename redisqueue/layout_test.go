package redisqueue

import (
	"crypto/rand"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/internal/testserver"
)

// countedAtRelease is a layout of the other kind, as older think-queue stores
// jobs: attempts begin at 1 and rise when a job is released or expires, the
// reserved member is the payload as it was, there is no notify list, and the
// keys are in braces. It shows that a layout is nothing but data.
func countedAtRelease() *Layout {
	const migrate = `
local function bring(from, raised)
  local due = redis.call('ZRANGEBYSCORE', from, '-inf', now, 'LIMIT', 0, 1000)
  for _, job in ipairs(due) do
    redis.call('ZREM', from, job)
    redis.call('RPUSH', KEYS[1], raised and (raise(job)) or job)
  end
  return #due
end
`
	l := Laravel()
	l.Name, l.Before, l.After, l.Notify = "counted at release", "{queues:", "}", ""
	l.Scripts.Push = clockLua + `
for i = 1, #ARGV, 2 do
  if tonumber(ARGV[i]) > 0 then redis.call('ZADD', KEYS[2], after(ARGV[i]), ARGV[i + 1])
  else redis.call('RPUSH', KEYS[1], ARGV[i + 1]) end
end
return 0`
	l.Scripts.Reserve = attemptsLua + clockLua + heldLua + migrate + `
bring(KEYS[2], false)
if ARGV[4] == '1' then bring(KEYS[3], true) end
local reply = {}
for i = 1, tonumber(ARGV[1]) do
  local job = redis.call('LPOP', KEYS[1])
  if not job then break end
  redis.call('ZADD', KEYS[3], lease(ARGV[2], ARGV[6]), job)
  reply[2 * i - 1], reply[2 * i] = job, cjson.decode(job).attempts .. ' 1 0 '
end
return reply`
	l.Scripts.Release = attemptsLua + clockLua + `
local lost = {}
for i = 2, #ARGV, 2 do
  if redis.call('ZREM', KEYS[1], ARGV[i]) == 1 then redis.call('ZADD', KEYS[2], after(ARGV[1]), (raise(ARGV[i])))
  else lost[#lost + 1] = i / 2 - 1 end
end
return lost`
	l.Scripts.Rescue = attemptsLua + clockLua + migrate + `return bring(KEYS[3], true)`
	return &l
}

func TestAnotherLayoutIsOnlyData(t *testing.T) {
	client := open(t, testserver.Redis(t))
	c := connect(t, client, Options{Layout: countedAtRelease()})
	key := c.opts.Prefix + "{queues:q}"
	push(t, c, "q", messages(`{"id":1,"attempts":1}`)...)
	push(t, c, "q", driver.Message{Body: []byte(`{"id":2,"attempts":1}`)}, driver.Message{Body: []byte(`{"id":3,"attempts":1}`), Delay: time.Hour})

	rs := reserve(t, c, "q", 10)
	if len(rs) != 2 || rs[0].Attempts != 1 || string(rs[0].Body) != `{"id":1,"attempts":1}` {
		t.Fatalf("reserved %d jobs", len(rs))
	}
	if err := c.Extend(t.Context(), rs); err != nil {
		t.Fatal(err)
	}
	if err := c.Release(t.Context(), rs[:1], 0); err != nil {
		t.Fatal(err)
	}
	if err := c.Return(t.Context(), rs[1:], 0); err != nil {
		t.Fatal(err)
	}
	if err := c.Wait(t.Context(), []string{"q"}, time.Minute); err != nil {
		t.Fatal(err)
	}
	attempts := map[string]int{}
	for _, r := range reserve(t, c, "q", 10) {
		attempts[string(r.Body)] = r.Attempts
	}
	if diff := cmp.Diff(map[string]int{`{"id":1,"attempts":2}`: 2, `{"id":2,"attempts":1}`: 1}, attempts); diff != "" {
		t.Errorf("after a release and a return (-want +got):\n%s", diff)
	}

	st := stored{Reserved: map[string]int64{`{"id":4,"attempts":1}`: -5, `{"id":5,"attempts":1}`: -4}}
	st.write(t, client, key)
	if n, err := c.Rescue(t.Context(), "q", 10); n != 2 || err != nil {
		t.Errorf("rescued %d, %v", n, err)
	}
	if got, err := c.Queues(t.Context()); err != nil || len(got) != 1 || got[0] != "q" {
		t.Errorf("queues are %q, %v", got, err)
	}
	rs = reserve(t, c, "q", 10)
	if len(rs) != 2 || rs[0].Attempts != 2 {
		t.Fatalf("%d jobs came back, want 2 on their second attempt", len(rs))
	}
	if err := c.Delete(t.Context(), rs); err != nil {
		t.Error(err)
	}
	if n, err := c.Clear(t.Context(), "q"); n != 0 || err != nil {
		t.Errorf("cleared %d, %v; want nothing left", n, err)
	}
}

// Layouts with the same keys of queues see each other's workers, and others
// don't; nothing stays behind when the last record has gone.
func TestRecordsAreSharedAsKeysAre(t *testing.T) {
	addr := testserver.Redis(t)
	prefix := "records_" + rand.Text() + ":"
	client := open(t, addr)
	conns := map[string]*Conn{}
	for _, l := range []Layout{Laravel(), ThinkQueue1(), ThinkQueue3Legacy(), ThinkQueue3()} {
		c, err := New(client, &Options{Prefix: prefix, Layout: &l})
		if err != nil {
			t.Fatal(err)
		}
		conns[l.Name] = c
		if err := c.Register(t.Context(), driver.Record{ID: l.Name, Body: []byte("{}")}, time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]int{"laravel": 3, "tq1": 3, "tq3-legacy": 3, "tq3": 1} {
		if rs, err := conns[name].Registered(t.Context()); err != nil || len(rs) != want {
			t.Errorf("a worker of %s sees %d records (%v), want %d", name, len(rs), err, want)
		}
		if queues, err := conns[name].Queues(t.Context()); err != nil || len(queues) > 0 {
			t.Errorf("records are taken for queues %q, %v", queues, err)
		}
	}
	if ttl, err := client.Do(t.Context(), client.B().Ttl().Key(prefix+"spool:workers").Build()).AsInt64(); err != nil || ttl < 1 || ttl > 61 {
		t.Errorf("the records go after %d s (%v) when nobody renews one", ttl, err)
	}
	own := Laravel()
	own.Workers = ""
	c, err := New(client, &Options{Prefix: prefix, Layout: &own})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Registered(t.Context()); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("a layout without records: %v", err)
	}
}
