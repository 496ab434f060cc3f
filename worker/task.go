package worker

import (
	"context"
	"errors"
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
	runtime time.Duration // of a job that is done
	// later says that the job's place is freed when its end is stored, which
	// its slot doesn't wait for. The runner's own.
	later bool

	// The keeper's: guarded by keeper.mu.
	slot    int       // index in keeper.tasks; -1 when not held
	renewAt time.Time // zero: not any more
	guardAt time.Time // when the lease can no longer be trusted; zero: it isn't
	dueAt   time.Time // when the timeout ends; zero: never, or over
	stuckAt time.Time // when a cancelled handler counts as stuck

	mu     sync.Mutex
	cancel context.CancelCauseFunc // nil until somebody may wait for the handler's context
	cause  error                   // the first reason to cancel
	done   bool                    // the handler has returned, or will never be called
	told   bool                    // the timeout was told
	// abandoned is set when the handler was given up and its job failed:
	// whatever it returns means nothing.
	abandoned bool
	// left is set when nobody waits for the handler any more: its runner has no
	// place among the runners, but what it returns still counts.
	left bool

	counted sync.Once
	thrown  int // exceptions of the job, this run's included; set by counted
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

// ended returns why the handler is to end, nil if it isn't.
func (t *task) ended() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.cause
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

// returned ends the time in which the handler can be cancelled. It tells
// whether it was, whether it had been given up, and whether its runner had.
func (t *task) returned() (abandoned, left bool, cause error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.cancel != nil {
		t.cancel(nil)
	}
	t.done = true
	return t.abandoned, t.left, t.cause
}

// lives says whether the handler has yet to return.
func (t *task) lives() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return !t.done
}

// abandon gives the handler up, unless it has returned meanwhile.
func (t *task) abandon() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.done {
		return false
	}
	t.abandoned = true
	return true
}

// leave gives the runner of the handler up, unless that has returned meanwhile.
func (t *task) leave() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.done {
		return false
	}
	t.left = true
	return true
}

// timedOut says, once, that the cause is the timeout.
func (t *task) timedOut() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.told || !errors.Is(t.cause, ErrTimeout) {
		return false
	}
	t.told = true
	return true
}

// identity is what counters of the job are kept under: its uuid, or, where its
// producer gave none, what its store calls it, which may change when it is
// released.
func (t *task) identity() string {
	return or(t.job.UUID, t.job.Connection+":"+t.job.Queue+":"+t.job.ID)
}

// jobContext is the context of a run. A handler that doesn't look at it, as
// quick ones don't, pays nothing for it: the standard library's context, which
// is what ends, is made when somebody first asks for it.
type jobContext struct {
	task     *task
	life     context.Context
	deadline time.Time       // zero: none. The keeper is what ends the context.
	inner    context.Context // nil until asked for; guarded by task.mu
}

// Job lets [spool.JobFrom] find the job.
func (c *jobContext) Job() *spool.Job { return c.task.job }

// Deadline implements context.Context.
func (c *jobContext) Deadline() (time.Time, bool) { return c.deadline, !c.deadline.IsZero() }

// Done implements context.Context.
func (c *jobContext) Done() <-chan struct{} { return c.real().Done() }

// Value implements context.Context.
func (c *jobContext) Value(key any) any { return c.real().Value(key) }

// Err implements context.Context: a timeout reads as one.
func (c *jobContext) Err() error {
	t := c.task
	t.mu.Lock()
	inner, cause, done := c.inner, t.cause, t.done
	t.mu.Unlock()
	var err error
	switch {
	case inner != nil:
		err, cause = inner.Err(), context.Cause(inner)
	case cause != nil, done:
		err = context.Canceled
	default:
		err = c.life.Err()
	}
	if err != nil && errors.Is(cause, ErrTimeout) {
		return context.DeadlineExceeded
	}
	return err
}

// real returns the context that can be waited for.
func (c *jobContext) real() context.Context {
	t := c.task
	t.mu.Lock()
	defer t.mu.Unlock()
	if c.inner == nil {
		ctx, cancel := context.WithCancelCause(c.life)
		c.inner, t.cancel = spool.WithJob(ctx, t.job), cancel
		if t.cause != nil || t.done {
			cancel(t.cause)
		}
	}
	return c.inner
}
