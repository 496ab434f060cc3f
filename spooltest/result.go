package spooltest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/spoolq/spool"
)

// Outcome is how an attempt of a job has ended.
type Outcome string

// The outcomes.
const (
	Done      Outcome = "done"       // its handler, or middleware, returned nil
	Deleted   Outcome = "deleted"    // by Job.Delete, or a listener, whatever was returned
	Released  Outcome = "released"   // by Release: runs again after Delay
	Retried   Outcome = "retried"    // it has raised Err, and has attempts left: runs again after Delay
	Failed    Outcome = "failed"     // for good: by Fail, or it has raised Err and has no attempt left
	GivenBack Outcome = "given back" // by GiveBack: comes again after Delay, and the attempt doesn't count
	Lost      Outcome = "lost"       // another worker has taken it meanwhile
)

// Result is how an attempt of a job has ended.
type Result struct {
	Outcome Outcome
	// Delay is when it comes back, where it does.
	Delay time.Duration
	// Err is why it was retried or failed, or perhaps given back; a panic is a
	// *worker.PanicError.
	Err error
	// Job is the job as its handler saw it.
	Job *spool.Job
	// Dispatched is what was dispatched meanwhile: by the handler, if it used the
	// client of the fake, and what follows the end of the job.
	Dispatched []Push

	t testing.TB
}

// String says how it has ended: "released after 30s", "failed: no such order".
func (r Result) String() string {
	s := string(r.Outcome)
	switch r.Outcome {
	case Released, Retried, GivenBack:
		s += fmt.Sprintf(" after %v", r.Delay)
	}
	if r.Err != nil {
		s += ": " + r.Err.Error()
	}
	return s
}

// Assert reports an error unless the attempt has ended so. It returns r.
func (r Result) Assert(want Outcome) Result {
	r.t.Helper()
	if r.Outcome != want {
		r.t.Errorf("attempt %d of %s: %v, want %s", r.Job.Attempt, r.Job.Name, r, want)
	}
	return r
}

// collector makes results of the events of a worker.
type collector struct {
	t      testing.TB
	pushes func() []Push // what was dispatched so far

	mu      sync.Mutex
	over    bool // it listens no more
	since   int  // pushes there were when the job began
	results []Result
}

func (c *collector) listen(events *spool.Events) {
	spool.Listen(events, func(_ context.Context, e spool.JobPopped) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.since = len(c.pushes())
	})
	spool.Listen(events, func(_ context.Context, e spool.JobProcessed) {
		switch o, _ := e.Job.Outcome(); {
		case e.Result == "released": // JobReleased tells more
		case o.Kind == spool.Deleted:
			c.add(Result{Outcome: Deleted, Job: e.Job})
		default:
			c.add(Result{Outcome: Done, Job: e.Job})
		}
	})
	spool.Listen(events, func(_ context.Context, e spool.JobReleased) {
		r := Result{Outcome: Released, Delay: e.Delay, Err: e.Err, Job: e.Job}
		switch {
		case e.Returned:
			r.Outcome = GivenBack
		case e.Err != nil:
			r.Outcome = Retried
		}
		c.add(r)
	})
	spool.Listen(events, func(_ context.Context, e spool.JobFailed) {
		c.add(Result{Outcome: Failed, Err: e.Err, Job: e.Job})
	})
	spool.Listen(events, func(_ context.Context, e spool.JobLost) {
		c.add(Result{Outcome: Lost, Job: e.Job})
	})
}

func (c *collector) add(r Result) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return
	}
	r.t = c.t
	all := c.pushes()
	if len(all) > c.since {
		r.Dispatched = all[c.since:]
	}
	c.since = len(all)
	c.results = append(c.results, r)
}

// len returns how many results there are.
func (c *collector) len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.results)
}

// take ends the collection.
func (c *collector) take() []Result {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	return c.results
}
