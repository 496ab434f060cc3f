package drivertest

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spoolq/spool/driver"
)

// patience is how long the suite waits for what must happen but has no
// deadline in the contract.
const patience = 30 * time.Second

// A fixture is what a case works with: the harness, and the memory of what was
// pushed, so that every body that comes back is compared with what was stored.
type fixture struct {
	*testing.T
	h      Harness
	c      driver.Conn
	traits driver.Traits

	mu     sync.Mutex
	sent   map[string]sample // by id in the body
	other_ driver.Conn       // see other
}

func newFixture(t *testing.T, h Harness) *fixture {
	return &fixture{T: t, h: h, c: h.Conn, traits: h.Conn.Traits(), sent: map[string]sample{}}
}

// A sample is a message and what its body looks like after n attempts were
// counted in it, for drivers that do that; for others it is always the same.
type sample struct {
	driver.Message
	counted func(n int) []byte
}

// ctx is the context of ordinary calls: one that hangs fails its case.
func (f *fixture) ctx() context.Context {
	ctx, cancel := context.WithTimeout(f.Context(), patience)
	f.Cleanup(cancel)
	return ctx
}

// queue returns the name of a new queue.
func (f *fixture) queue(name string) string {
	f.Helper()
	name = "dt-" + strings.ToLower(rand.Text()[:8]) + "-" + name
	if f.h.Queue != nil {
		return f.h.Queue(f.T, name)
	}
	return name
}

// other returns a second connection to the store if there can be one, else the
// connection itself, which is then both holders of a job.
func (f *fixture) other() driver.Conn {
	f.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.other_ == nil {
		f.other_ = f.c
		if f.h.Second != nil {
			f.other_ = f.h.Second(f.T)
		}
	}
	return f.other_
}

// sample makes a message of its own identity that carries data, which must be
// valid JSON. The layout serves drivers that count attempts in the body.
func (f *fixture) sample(data string) sample {
	return f.shaped(func(id string, n int) string {
		return fmt.Sprintf(`{"id":"%s","data":%s,"attempts":%d}`, id, data, n)
	})
}

// shaped makes a message whose body is that of shape, called with its id and
// the attempts counted.
func (f *fixture) shaped(shape func(id string, n int) string) sample {
	id := rand.Text()
	fresh := 0
	if f.h.CountsNext {
		fresh = 1
	}
	s := sample{
		Message: driver.Message{ID: id, Body: []byte(shape(id, fresh))},
		counted: func(n int) []byte { return []byte(shape(id, n)) },
	}
	f.mu.Lock()
	f.sent[id] = s
	f.mu.Unlock()
	return s
}

// push stores n new messages with one call and returns them.
func (f *fixture) push(c driver.Conn, queue string, n int, delay time.Duration) []sample {
	f.Helper()
	ss := make([]sample, n)
	for i := range ss {
		ss[i] = f.sample(fmt.Sprintf(`{"n":%d}`, i))
		ss[i].Delay = delay
	}
	f.pushSamples(c, queue, ss...)
	return ss
}

// far is a delay that no case waits for.
func (f *fixture) far() time.Duration {
	if d := f.traits.MaxDelay; d > 0 && d < time.Hour {
		return d
	}
	return time.Hour
}

func (f *fixture) pushSamples(c driver.Conn, queue string, ss ...sample) []string {
	f.Helper()
	ids, err := c.Push(f.ctx(), queue, messages(ss))
	if err != nil {
		f.Fatalf("Push of %d messages: %v", len(ss), err)
	}
	if len(ids) != len(ss) {
		f.Fatalf("Push of %d messages returned %d ids and no error", len(ss), len(ids))
	}
	return ids
}

func messages(ss []sample) []driver.Message {
	ms := make([]driver.Message, len(ss))
	for i, s := range ss {
		ms[i] = s.Message
	}
	return ms
}

// reserve calls Reserve and checks what it returned against the contract.
func (f *fixture) reserve(c driver.Conn, queue string, max int) []driver.Reservation {
	f.Helper()
	rs, err := c.Reserve(f.ctx(), queue, max)
	if err != nil {
		f.Fatalf("Reserve: %v", err)
	}
	if len(rs) > max {
		f.Errorf("Reserve of at most %d returned %d", max, len(rs))
	}
	for _, r := range rs {
		if err := f.checkReservation(r, queue); err != nil {
			f.Error(err)
		}
	}
	return rs
}

// checkReservation compares a reservation with what was pushed.
func (f *fixture) checkReservation(r driver.Reservation, queue string) error {
	if r.Queue != queue {
		return fmt.Errorf("a reservation from %q says that it is from %q", queue, r.Queue)
	}
	if r.Attempts < 1 {
		return fmt.Errorf("a reservation has %d attempts; the delivery itself counts", r.Attempts)
	}
	return f.checkBody(r.Body, r.Attempts)
}

// checkBody compares a body with what was pushed, byte by byte. A driver that
// counts in the body may show it with the number before or after the delivery.
func (f *fixture) checkBody(body []byte, attempts int) error {
	s, ok := f.pushed(body)
	if !ok {
		return fmt.Errorf("a body came back that was never pushed, or was deleted: %.200q", body)
	}
	want := s.Body
	if f.traits.CountsInBody {
		want = s.counted(attempts)
		other := attempts - 1 // before the delivery
		if f.h.CountsNext {
			other = attempts + 1 // before the next one
		}
		if other >= 0 && bytes.Equal(body, s.counted(other)) {
			return nil
		}
	}
	if !bytes.Equal(body, want) {
		return fmt.Errorf("a body came back changed after %d attempts: got %.300q, want %.300q", attempts, body, want)
	}
	return nil
}

// pushed returns the sample with the id that stands in body.
func (f *fixture) pushed(body []byte) (sample, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for rest := body; ; {
		_, after, found := bytes.Cut(rest, []byte(`"id":`))
		if !found {
			return sample{}, false
		}
		id, _, _ := bytes.Cut(bytes.TrimLeft(after, ` "`), []byte(`"`))
		if s, ok := f.sent[string(id)]; ok {
			return s, true
		}
		rest = after
	}
}

// forget drops a message that was deleted, in runs of many.
func (f *fixture) forget(id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.sent, id)
}

// id returns the id that the suite gave to a job, from its body.
func (f *fixture) id(body []byte) string {
	s, _ := f.pushed(body)
	return s.ID
}

func (f *fixture) idsOf(rs []driver.Reservation) []string {
	ids := make([]string, len(rs))
	for i, r := range rs {
		ids[i] = f.id(r.Body)
	}
	return ids
}

func sampleIDs(ss []sample) []string {
	ids := make([]string, len(ss))
	for i, s := range ss {
		ids[i] = s.ID
	}
	return ids
}

// reserveN reserves exactly n jobs in as many calls as it takes, and fails the
// case if there are fewer.
func (f *fixture) reserveN(c driver.Conn, queue string, n int) []driver.Reservation {
	f.Helper()
	var all []driver.Reservation
	for len(all) < n {
		rs := f.reserve(c, queue, n-len(all))
		if len(rs) == 0 {
			f.Fatalf("%d jobs could be reserved, want %d", len(all), n)
		}
		all = append(all, rs...)
	}
	return all
}

// one reserves the one job that must be there, with this many attempts.
func (f *fixture) one(c driver.Conn, queue string, attempts int) driver.Reservation {
	f.Helper()
	r := f.reserveN(c, queue, 1)[0]
	if r.Attempts != attempts {
		f.Errorf("the delivery has %d attempts, want %d", r.Attempts, attempts)
	}
	return r
}

// none fails the case if a job can be reserved.
func (f *fixture) none(c driver.Conn, queue, why string) {
	f.Helper()
	if rs := f.reserve(c, queue, 10); len(rs) > 0 {
		f.Fatalf("%d jobs could be reserved, want none: %s", len(rs), why)
	}
}

// quote returns s as a JSON string.
func quote(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err) // strings always encode
	}
	return string(b)
}

// poll calls ready until it is true, and fails the case after patience.
func (f *fixture) poll(what string, ready func() bool) {
	f.Helper()
	for deadline := time.Now().Add(patience); !ready(); {
		if time.Now().After(deadline) {
			f.Fatalf("%s: not after %v", what, patience)
		}
		time.Sleep(40 * time.Millisecond)
	}
}
