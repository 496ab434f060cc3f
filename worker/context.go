package worker

import (
	"context"
	"errors"
	"time"

	"github.com/spoolq/spool"
)

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
