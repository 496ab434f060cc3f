package spooltest

import (
	"cmp"
	"context"
	"errors"

	"github.com/spoolq/spool"
)

// AssertChain ends the test unless a chain of exactly these jobs, by name and
// data, was dispatched, and returns its links. A chain with a batch in it is for
// [Fake.Follow].
func (f *Fake) AssertChain(jobs ...any) []Push {
	f.t.Helper()
	want := make([]Push, len(jobs))
	for i, job := range jobs {
		want[i] = f.encode(job)
	}
	var near []Push // what follows the last one that begins alike
	for _, p := range f.Pushes() {
		if len(want) == 0 || !p.same(want[0]) {
			continue
		}
		links := append([]Push{p}, f.Follow(p)...)
		if sameAll(links, want) {
			return links
		}
		near = links
	}
	if near == nil {
		near = f.Pushes()
	}
	f.t.Fatalf("no such chain was pushed; want:\n\t%s\n%s", list(want), list(near))
	return nil
}

func sameAll(a, b []Push) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !a[i].same(b[i]) {
			return false
		}
	}
	return true
}

// Follow returns what would be dispatched behind a job if it and all that follow
// it succeed: the other links of its chain, in order, with their queues and
// delays; for a link that is a batch its members, and its callbacks. No handler
// is run, and nothing is recorded.
func (f *Fake) Follow(p Push) []Push {
	f.t.Helper()
	s := f.scratch()
	c := s.conns[cmp.Or(p.Connection, s.o.Connections[0].Name)]
	if c == nil {
		f.t.Fatalf("the fake has no connection %q", p.Connection)
	}
	conn, err := s.Client.Manager().Connection(f.context(), c.name)
	if err == nil {
		_, err = conn.PushRaw(f.context(), p.Queue, p.Body, 0)
	}
	if err != nil {
		f.t.Fatalf("spooltest: %v", err)
	}
	all := spool.NewMux()
	all.Fallback(func(name string) *spool.Handler {
		return &spool.Handler{Name: name, Run: func(context.Context, *spool.Job) error { return nil }}
	})
	Work(f.t, s.Client, all, nil)
	return s.Pushes()[1:]
}

// Batch is a batch that was dispatched.
type Batch struct {
	// BatchRecord is how it stands.
	spool.BatchRecord
	// Members are its jobs, those added later too. Of a chain in it these are the
	// links that were dispatched; see [Fake.Follow].
	Members []Push
	// Callbacks are the jobs that are to be dispatched at its events.
	Callbacks map[spool.BatchEvent][]Push
}

// Batches returns the batches that were dispatched, in order.
func (f *Fake) Batches() []Batch {
	f.t.Helper()
	var all []Batch
	for _, id := range f.batches.all() {
		r, err := f.batches.Find(f.context(), id)
		if errors.Is(err, spool.ErrBatchNotFound) {
			continue // its dispatch has failed
		}
		if err != nil {
			f.t.Fatalf("spooltest: %v", err)
		}
		b := Batch{BatchRecord: r, Callbacks: make(map[spool.BatchEvent][]Push)}
		for _, p := range f.Pushes() {
			if p.Payload != nil && p.Payload.BatchID == id && p.Payload.BatchEvent == "" {
				b.Members = append(b.Members, p)
			}
		}
		for _, c := range r.Options.Callbacks {
			conn, err := f.Client.Manager().Connection(f.context(), c.Connection)
			if err != nil {
				f.t.Fatalf("spooltest: %v", err)
			}
			b.Callbacks[c.Event] = append(b.Callbacks[c.Event], newPush(conn.Name, conn.QueueOr(c.Queue), c.Body, c.Delay, conn.Format))
		}
		all = append(all, b)
	}
	return all
}
