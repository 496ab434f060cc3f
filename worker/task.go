package worker

import (
	"context"
	"sync"
	"time"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/driver"
)

// task is a job in hand, from its reservation until its end is stored.
type task struct {
	res     driver.Reservation
	job     *spool.Job // own, or nil until the body was decoded
	own     spool.Job
	ctx     jobContext // of the handler
	handler *spool.Handler
	policy  spool.Policy
	started time.Time

	// The keeper's: guarded by keeper.mu.
	slot     int       // index in keeper.tasks; -1 when not held
	leaseEnd time.Time // when the lease ends, as far as confirmed
	renewAt  time.Time
	guardAt  time.Time // when the lease can no longer be trusted
	dueAt    time.Time // when the timeout ends; zero: never, or over
	stuckAt  time.Time // when a cancelled handler counts as stuck

	mu     sync.Mutex
	cancel context.CancelCauseFunc // nil until somebody may wait for the handler's context
	cause  error                   // the first reason to cancel
	done   bool                    // the handler has returned
	// abandoned is set when the handler was given up: its slot was replaced
	// and its job settled, so whatever it returns means nothing.
	abandoned bool
}

// end cancels the handler with a cause; the first one counts. It says whether
// this call was it: not if the handler has returned.
func (t *task) end(cause error) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.cause != nil || t.done {
		return false
	}
	t.cause = cause
	if t.cancel != nil {
		t.cancel(cause)
	}
	return true
}

// adopt gives the task its decoded job.
func (t *task) adopt(job *spool.Job) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.job = job
}

// name returns what the job is called, at any time.
func (t *task) name() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.job == nil {
		return t.res.ID
	}
	return t.job.DisplayName()
}

// returned ends the time in which the handler can be cancelled, and tells
// whether it was and whether it had been given up.
func (t *task) returned() (cause error, abandoned bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.cancel != nil {
		t.cancel(nil)
	}
	t.done = true
	return t.cause, t.abandoned
}

// abandon gives the handler up, unless it has returned meanwhile.
func (t *task) abandon() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.done || t.abandoned {
		return false
	}
	t.abandoned = true
	return true
}

// identity is what counters of the job are kept under: its uuid, or, where its
// producer gave none, what its store calls it, which may change when it is
// released.
func (t *task) identity() string {
	return or(t.job.UUID, t.job.Connection+":"+t.job.Queue+":"+t.job.ID)
}
