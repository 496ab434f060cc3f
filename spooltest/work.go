package spooltest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/worker"
)

// WorkOptions are the options of [Work].
type WorkOptions struct {
	// Connections are those to be worked, in this order; all of the client's, but
	// those that run jobs in their dispatch.
	Connections []string
	// Queues are those to be worked, the first first; all, by name.
	Queues []string
	// For is how far ahead to work: jobs that become due later stay where they
	// are. 0 means until nothing is left; less than 0 means what is due now.
	For time.Duration
	// MaxRuns is after how many attempts the test ends, as jobs seem to go round
	// in circles; 10,000.
	MaxRuns int
	// Policy is for jobs that don't say themselves, as the flags of a worker; its
	// defaults are Tries 1, Timeout 60 s.
	Policy spool.Policy
}

// patience is how long Work waits for a job outside of testing/synctest.
const patience = time.Second

// Work works what is on the queues of a client until nothing is left: retries,
// delayed jobs, and what they dispatch in turn. It returns every attempt in the
// order in which they ended. Jobs run one at a time: connection by connection,
// queue by queue, as pushed.
//
// Delays are waited for, which takes no time inside of synctest.Test: there the
// clock goes to when the next job is due. Outside, Work ends the test if that is
// more than a second away. A job that mux has no handler for is an error of the
// test. The connections must be able to list their jobs, as those of a [Fake] and
// of package memqueue are. opts may be nil.
func Work(t testing.TB, client *spool.Client, mux *spool.Mux, opts *WorkOptions) []Result {
	t.Helper()
	w := &work{t: t, client: client, mux: mux}
	if opts != nil {
		w.o = *opts
	}
	if w.o.MaxRuns <= 0 {
		w.o.MaxRuns = 10_000
	}
	ctx, begun := t.Context(), time.Now()
	w.conns = w.connections(ctx)
	pushed := &pushed{manager: client.Manager()}
	spool.Listen(client.Manager().Events(), pushed.add)
	c := &collector{t: t, pushes: pushed.all}
	c.listen(client.Manager().Events())
	for {
		before := c.len()
		due := time.Time{}
		for _, conn := range w.conns {
			due = earlier(due, w.round(ctx, conn, c))
		}
		if c.len() > before {
			continue
		}
		if due.IsZero() || w.o.For < 0 || w.o.For > 0 && due.After(begun.Add(w.o.For)) {
			break
		}
		w.wait(ctx, due)
	}
	pushed.end()
	results := c.take()
	w.unknown(results)
	return results
}

// work is a call of Work.
type work struct {
	t      testing.TB
	client *spool.Client
	mux    *spool.Mux
	o      WorkOptions
	conns  []*spool.Connection
}

func (w *work) connections(ctx context.Context) []*spool.Connection {
	w.t.Helper()
	m := w.client.Manager()
	names := w.o.Connections
	if names == nil {
		names = m.Names()
	}
	var conns []*spool.Connection
	for _, name := range names {
		conn, err := m.Connection(ctx, name)
		if err != nil {
			w.t.Fatalf("spooltest: %v", err)
		}
		// A failover is the first of its connections.
		if !slices.Contains(conns, conn) && (w.o.Connections != nil || !conn.Driver().Traits().Instant) {
			conns = append(conns, conn)
		}
	}
	return conns
}

// round works what is due on a connection, and returns when the next job is; zero
// if there is none.
func (w *work) round(ctx context.Context, conn *spool.Connection, c *collector) time.Time {
	w.t.Helper()
	queues := w.o.Queues
	if queues == nil {
		var err error
		if queues, err = conn.Queues(ctx); err != nil {
			w.t.Fatalf("the queues to be worked are not known: %v", err)
		}
	}
	if len(queues) == 0 {
		return time.Time{}
	}
	wo := options(w.t, conn, w.o.Policy, queues)
	wo.StopWhenEmpty = true
	wo.MaxJobs = max(w.o.MaxRuns-c.len(), 1)
	if _, err := worker.New(conn, w.mux, wo).Run(ctx); err != nil {
		w.t.Fatalf("spooltest: %v", err)
	}
	due := w.due(ctx, conn, queues)
	if n := c.len(); n >= w.o.MaxRuns && !due.IsZero() {
		last := c.take()[n-1]
		w.t.Fatalf("after %d attempts there is still a job to run; the last attempt, of %s: %v", n, last.Job.Name, last)
	}
	return due
}

// due returns when the next job is; zero if there is none.
func (w *work) due(ctx context.Context, conn *spool.Connection, queues []string) (due time.Time) {
	w.t.Helper()
	for _, q := range queues {
		for _, state := range []driver.State{driver.Pending, driver.Delayed, driver.Reserved} {
			entries, _, err := conn.List(ctx, q, state, "", 100)
			if err != nil {
				w.t.Fatalf("spooltest: %v", err)
			}
			for _, e := range entries {
				if state == driver.Pending {
					return time.Now()
				}
				due = earlier(due, e.At)
			}
		}
	}
	return due
}

func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// wait waits until the next job is due.
func (w *work) wait(ctx context.Context, due time.Time) {
	w.t.Helper()
	d := time.Until(due)
	if d > patience && !inBubble() {
		w.t.Fatalf("the next job is due in %v: run the test inside of synctest.Test, where the clock jumps there, or leave it with WorkOptions.For", d.Round(time.Second))
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		w.t.Fatalf("spooltest: %v", context.Cause(ctx))
	}
}

// inBubble says whether the clock is that of testing/synctest, which has no other
// way to ask.
func inBubble() (ok bool) {
	defer func() {
		if v := recover(); v != nil {
			ok = v == "wait already in progress" // by the test: then it is in one
		}
	}()
	synctest.Wait()
	return true
}

// unknown reports jobs without a handler, once each.
func (w *work) unknown(results []Result) {
	w.t.Helper()
	told := make(map[string]bool)
	for _, r := range results {
		if errors.Is(r.Err, worker.ErrUnknownJob) && !told[r.Job.Name] {
			told[r.Job.Name] = true
			w.t.Errorf("no handler for the job %s; there are: %s", r.Job.Name, strings.Join(w.mux.Names(), ", "))
		}
	}
}

// pushed keeps what a manager's clients dispatch.
type pushed struct {
	manager *spool.Manager

	mu     sync.Mutex
	over   bool
	pushes []Push
}

func (p *pushed) add(ctx context.Context, e spool.JobQueued) {
	conn, err := p.manager.Connection(ctx, e.Connection)
	p.mu.Lock()
	defer p.mu.Unlock()
	if err == nil && !p.over {
		p.pushes = append(p.pushes, newPush(e.Connection, e.Queue, e.Body, e.Delay, conn.Format))
	}
}

func (p *pushed) all() []Push {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.pushes[:len(p.pushes):len(p.pushes)]
}

func (p *pushed) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over = true
}
