package worker

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/spoolq/spool"
)

// work is a slot: it runs one job after the other until there are no more.
func (w *Worker) work(life context.Context) {
	var t *task // in hand
	defer func() {
		if t != nil { // the handler has ended this goroutine
			go w.exited(life, t)
		}
	}()
	own := make(chan struct{}, 1)
	for t = w.line.take(own); t != nil; t = w.line.take(own) {
		left := w.process(life, t)
		later := t.later // not in one statement: Go might read it before the call
		t = nil
		if left {
			return // it has no place in runners any more
		}
		if !later {
			w.rest()
		}
	}
	w.runners.Done()
}

// rest frees the slot, after the pause that is due.
func (w *Worker) rest() {
	if w.o.Rest > 0 {
		select {
		case <-time.After(w.o.Rest):
		case <-w.ended:
		}
	}
	w.vacate(1)
}

// exited takes over from a runner whose goroutine was ended by the job's
// handler, or by a listener: the job's slot, and its place in runners.
func (w *Worker) exited(life context.Context, t *task) {
	switch {
	case t.lives():
		if left := w.judge(life, t, nil, ErrExited); left {
			return
		}
	case !t.later:
		w.keep.drop(t) // whoever listened to its end; what isn't stored comes back
	}
	if !t.later {
		w.rest()
	}
	w.work(life)
}

// decode reads a body. A decoder that panics must not do so again and again:
// its body is no job.
func (w *Worker) decode(body []byte) (p *spool.Payload, err error) {
	defer func() {
		if v := recover(); v != nil {
			p, err = nil, fmt.Errorf("decoding: %w", &PanicError{Value: v, Stack: debug.Stack()})
		}
	}()
	return w.conn.Format.Decode(body)
}

// process takes one reserved job to its end.
func (w *Worker) process(life context.Context, t *task) (left bool) {
	p, err := w.decode(t.res.Body)
	t.started = time.Now()
	t.own = spool.Job{
		ID: t.res.ID, Queue: t.res.Queue, Connection: w.conn.Name,
		Attempt: max(t.res.Attempts, 1), Body: t.res.Body, Payload: p, Format: w.conn.Format, Locks: w.o.Locks, Signals: or(w.conn.Signals(), w.o.Signals),
	}
	t.adopt(&t.own)
	if p != nil {
		t.job.UUID, t.job.Name = p.UUID, p.Name
		t.job.ID = or(t.job.ID, p.ID)
		t.job.Attempt = w.attempt(life, t.res.Attempts, t.job)
	}
	if err != nil {
		_, _, _ = t.returned()
		t.job.Name = or(t.job.Name, "(not a job)")
		w.unreadable(life, t, err)
		return false
	}
	events := w.conn.Events()
	spool.Emit(life, events, spool.JobPopped{Job: t.job})
	if t.handler, err = w.handlerOf(p.Name); t.handler == nil {
		if !w.o.FailUnknown || errors.Is(err, ErrNotTaken) {
			_, _, _ = t.returned()
			w.unhandled(life, t, err)
			return false
		}
		t.handler = &spool.Handler{Name: p.Name, Run: func(context.Context, *spool.Job) error {
			return fmt.Errorf("%w: %q", ErrUnknownJob, p.Name)
		}}
	}
	t.job.Handler = t.handler
	t.policy = p.Policy.Or(t.handler.Policy).Or(w.o.Policy)
	spool.Emit(life, events, spool.JobProcessing{Job: t.job})
	if exhausted(t.policy, t.job.Attempt, t.started) {
		_, _, _ = t.returned()
		err := fmt.Errorf("%s has been %w", t.job.DisplayName(), ErrMaxAttempts)
		w.fail(life, t, err, nil, 0)
		return false
	}
	return w.run(life, t)
}

// run runs the handler and judges how it ended.
func (w *Worker) run(life context.Context, t *task) (left bool) {
	timeout := *t.policy.Timeout
	trusted, cause := w.keep.running(t, timeout), t.ended()
	if !trusted || cause != nil { // before it began
		_, _, _ = t.returned()
		w.keep.ended(t)
		w.conclude(life, t, verdict{action: giveBack, err: or(cause, ErrLeaseLost)}, nil, 0)
		return false
	}
	t.ctx.task, t.ctx.life = t, life
	if timeout > 0 {
		t.ctx.deadline = t.started.Add(timeout)
	}
	if o, _ := t.job.Outcome(); o.Kind != spool.Undecided { // a listener of JobProcessing has decided
		return w.judge(life, t, nil, nil)
	}
	stack, err := call(&t.ctx, t)
	return w.judge(life, t, stack, err)
}

// judge decides how a run has ended, and carries that out. It says whether the
// runner has been given up meanwhile.
func (w *Worker) judge(life context.Context, t *task, stack []byte, err error) (left bool) {
	runtime := time.Since(t.started)
	abandoned, left, cause := t.returned()
	if abandoned {
		return true
	}
	w.keep.ended(t)
	w.tellTimeout(life, t)

	if o, _ := t.job.Outcome(); errors.Is(err, spool.ErrNotHere) && o.Kind == spool.Undecided {
		w.unhandled(life, t, err) // its handler couldn't read it
		return left
	}
	e := ending{err: err, cause: cause}
	var ignored []spool.Outcome
	if e.outcome, ignored = t.job.Outcome(); e.outcome.Kind == spool.Undecided {
		e.outcome = spool.OutcomeOf(err)
	}
	for _, o := range ignored {
		w.o.Logger.Warn("job had been ended before: the later end has no effect", "job", t.job.DisplayName(), "uuid", t.job.UUID, "kind", int(o.Kind))
	}
	if spool.OutcomeOf(err).Kind != spool.Undecided {
		e.err = nil // a decision, not an exception
	}
	e.exceptions = w.exceptions(life, t, e)
	if e.err != nil {
		if errors.Is(cause, ErrTimeout) {
			e.err = fmt.Errorf("%s has %w after %v: %w", t.job.DisplayName(), ErrTimeout, *t.policy.Timeout, e.err)
		}
		spool.Emit(life, w.conn.Events(), spool.JobExceptionOccurred{Job: t.job, Err: e.err, Stack: stack, Runtime: runtime})
	}
	v := decide(t.policy, t.job.Attempt, time.Now(), e)
	if v.action == remove {
		switch err, ok := w.follow(life, t, nil, runtime); {
		case !ok:
			return left
		case err != nil:
			v = verdict{action: fail, err: err}
		}
	}
	if v.action == remove && !left && w.o.Rest == 0 {
		w.remove(life, t, runtime)
		return false
	}
	w.conclude(life, t, v, stack, runtime)
	return left
}

// PanicError is a panic of a handler, as an exception.
type PanicError struct {
	Value any
	Stack []byte
}

func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

// call runs the handler; a panic is an exception that keeps its stack.
func call(ctx context.Context, t *task) (stack []byte, err error) {
	defer func() {
		if v := recover(); v != nil {
			stack = debug.Stack()
			err = &PanicError{Value: v, Stack: stack}
		}
	}()
	return nil, t.handler.Run(ctx, t.job)
}

// exceptions counts this exception of a job that may have only so many.
func (w *Worker) exceptions(ctx context.Context, t *task, e ending) int {
	if e.err == nil || t.policy.MaxExceptions == 0 || errors.Is(e.cause, ErrStopping) || errors.Is(e.cause, ErrLeaseLost) {
		return 0
	}
	// A run counts once, though it may be given up and return after all.
	t.counted.Do(func() {
		t.thrown = w.count(ctx, &w.thrown, t.identity(), w.o.Keys.Exceptions(t.identity()), 24*time.Hour)
	})
	return t.thrown
}

// conclude carries out a verdict.
func (w *Worker) conclude(ctx context.Context, t *task, v verdict, stack []byte, runtime time.Duration) {
	switch v.action {
	case leave:
		w.lost(ctx, t, runtime)
		return
	case fail:
		w.fail(ctx, t, v.err, stack, runtime)
		return
	}
	if w.settle(ctx, t, v.action, v.delay, runtime) != nil {
		return
	}
	events := w.conn.Events()
	switch {
	case v.action == remove:
		w.processed.Add(1)
		spool.Emit(ctx, events, spool.JobProcessed{Job: t.job, Result: "deleted", Wait: waited(t), Runtime: runtime})
	case v.action == release:
		w.processed.Add(1)
		if v.err == nil {
			spool.Emit(ctx, events, spool.JobProcessed{Job: t.job, Result: "released", Wait: waited(t), Runtime: runtime})
		}
		fallthrough
	default:
		spool.Emit(ctx, events, spool.JobReleased{Job: t.job, Delay: v.delay, Err: v.err, Returned: v.action == giveBack})
	}
}

// waited is how long a job was available before this run, or negative if its
// payload doesn't tell.
func waited(t *task) time.Duration {
	p := t.job.Payload
	if p.Created.IsZero() || t.job.Attempt > 1 {
		return -1
	}
	return max(t.started.Sub(p.Created.Add(p.Delay)), 0)
}

// tellTimeout tells, once, of a timeout that has ended a handler.
func (w *Worker) tellTimeout(ctx context.Context, t *task) {
	if t.timedOut() {
		spool.Emit(ctx, w.conn.Events(), spool.JobTimedOut{Job: t.job, Timeout: *t.policy.Timeout})
	}
}
