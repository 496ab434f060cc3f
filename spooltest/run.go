package spooltest

import (
	"cmp"
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/failed"
	"github.com/spoolq/spool/memqueue"
	"github.com/spoolq/spool/worker"
)

// RunOptions are the options of [Run].
type RunOptions struct {
	// Fake is where the run dispatches links of chains and callbacks of batches,
	// and whose locks and batches it has: that whose Client the handler uses. nil
	// means one of its own.
	Fake *Fake
	// Attempt is which attempt it is; 1.
	Attempt int
	// Policy is for jobs that don't say themselves, as the flags of a worker; its
	// defaults are Tries 1, Timeout 60 s.
	Policy spool.Policy
}

// Run runs one attempt of a job as a worker does, with middleware, policy,
// followers and events, and returns how it ended. job is as for [spool.Dispatch]
// or of [spool.WithName], or a [Push]: one that a Fake has recorded, or a Body
// from elsewhere. It isn't recorded as dispatched, and not tried again. Run ends
// the test if mux has no handler for it. opts may be nil.
func Run(t testing.TB, mux *spool.Mux, job any, opts *RunOptions) Result {
	t.Helper()
	var o RunOptions
	if opts != nil {
		o = *opts
	}
	if o.Fake == nil {
		o.Fake = NewFake(t, nil)
	}
	f := o.Fake
	p, ok := job.(Push)
	if !ok {
		p = f.encode(job)
	}
	ctx := t.Context()
	known := f.conns[cmp.Or(p.Connection, f.Client.Manager().Default())]
	if known == nil {
		t.Fatalf("the fake has no connection %q", p.Connection)
	}
	payload, err := known.format.Decode(p.Body)
	if err != nil {
		t.Fatalf("the body is no job: %v", err)
	}
	if mux.For(known.format).Lookup(payload.Name) == nil {
		t.Fatalf("no handler for the job %s; there are: %s", payload.Name, strings.Join(mux.Names(), ", "))
	}
	one := &single{Conn: memqueue.New(nil), conn: known, before: max(o.Attempt, 1) - 1}
	m := f.newClient(func(c *conn) driver.Conn {
		if c == known {
			return one
		}
		return c
	}).Manager()
	conn, err := m.Connection(ctx, known.name)
	if err != nil {
		t.Fatalf("spooltest: %v", err)
	}
	queue := conn.QueueOr(p.Queue)
	if _, err := one.Conn.Push(ctx, queue, []driver.Message{{Body: p.Body}}); err != nil {
		t.Fatalf("spooltest: %v", err)
	}
	c := &collector{t: t, pushes: f.sofar}
	c.listen(m.Events())
	wo := options(t, conn, o.Policy, []string{queue})
	wo.Once = true
	if _, err := worker.New(conn, mux, wo).Run(ctx); err != nil {
		t.Fatalf("spooltest: %v", err)
	}
	results := c.take()
	if len(results) == 0 {
		t.Fatalf("%s was given up: its handler has ignored the end of its context", payload.Name)
	}
	return results[0]
}

// single is a connection with one job, which has been attempted before. What is
// pushed to it goes elsewhere.
type single struct {
	*memqueue.Conn
	conn   *conn
	before int
}

// Push implements [driver.Conn].
func (s *single) Push(ctx context.Context, queue string, ms []driver.Message) ([]string, error) {
	return s.conn.Push(ctx, queue, ms)
}

// Reserve implements [driver.Conn].
func (s *single) Reserve(ctx context.Context, queue string, max int) ([]driver.Reservation, error) {
	rs, err := s.Conn.Reserve(ctx, queue, max)
	for i := range rs {
		rs[i].Attempts += s.before
	}
	return rs, err
}

// options returns those of a worker that runs jobs one after the other.
func options(t testing.TB, conn *spool.Connection, p spool.Policy, queues []string) *worker.Options {
	return &worker.Options{
		Name: "spooltest", Queues: queues, Concurrency: 1, Policy: p, FailUnknown: true, Force: true, Failed: failed.Null{},
		Grace: -1, Signals: conn.Signals(),
		Logger: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})),
	}
}
