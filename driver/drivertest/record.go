package drivertest

import (
	"crypto/rand"
	"strings"
	"time"

	"github.com/spoolq/spool/driver"
)

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
