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
	for t := range w.tasks {
		if abandoned := w.process(life, t); abandoned {
			return // another runner has taken this slot, and its place in runners
		}
		if w.o.Rest > 0 {
			select {
			case <-time.After(w.o.Rest):
			case <-w.abort:
			}
		}
		w.free.Add(1)
		w.wake()
	}
	w.runners.Done()
}

// process takes one reserved job to its end.
func (w *Worker) process(life context.Context, t *task) (abandoned bool) {
	p, err := w.conn.Format.Decode(t.res.Body)
	t.started = time.Now()
	t.own = spool.Job{
		ID: t.res.ID, Queue: t.res.Queue, Connection: w.conn.Name,
		Attempt: max(t.res.Attempts, 1), Body: t.res.Body, Payload: p,
	}
	t.adopt(&t.own)
	if p != nil {
		t.job.UUID, t.job.Name = p.UUID, p.Name
		t.job.ID = or(t.job.ID, p.ID)
	}
	if err != nil {
		t.job.Name = or(t.job.Name, "(not a job)")
		w.unreadable(life, t, err)
		return false
	}
	events := w.conn.Events()
	spool.Emit(life, events, spool.JobPopped{Job: t.job})
	if t.handler = w.mux.Lookup(p.Name); t.handler == nil {
		if !w.o.FailUnknown {
			w.unhandled(life, t, ErrUnknownJob)
			return false
		}
		t.handler = &spool.Handler{Name: p.Name, Run: func(context.Context, *spool.Job) error {
			return fmt.Errorf("%w: %q", ErrUnknownJob, p.Name)
		}}
	}
	t.policy = p.Policy.Or(t.handler.Policy).Or(w.o.Policy)
	spool.Emit(life, events, spool.JobProcessing{Job: t.job})
	if exhausted(t.policy, t.job.Attempt, t.started) {
		err := fmt.Errorf("%s has been %w", t.job.DisplayName(), ErrMaxAttempts)
		w.fail(life, t, err, nil, 0)
		return false
	}
	return w.run(life, t)
}

// run runs the handler and judges how it ended.
func (w *Worker) run(life context.Context, t *task) (abandoned bool) {
	timeout := *t.policy.Timeout
	t.ctx.task, t.ctx.life = t, life
	if timeout > 0 {
		t.ctx.deadline = t.started.Add(timeout)
		w.keep.running(t, timeout)
	}
	stack, err := call(&t.ctx, t)
	runtime := time.Since(t.started)
	cause, abandoned := t.returned()
	if abandoned {
		return true
	}
	w.keep.ended(t)

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
			e.err = fmt.Errorf("%s has %w after %v: %w", t.job.DisplayName(), ErrTimeout, timeout, e.err)
		}
		spool.Emit(life, w.conn.Events(), spool.JobExceptionOccurred{Job: t.job, Err: e.err, Stack: stack, Runtime: runtime})
	}
	w.conclude(life, t, decide(t.policy, t.job.Attempt, time.Now(), e), stack, runtime)
	return false
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
	if w.o.Signals == nil {
		return w.thrown.add(t.identity())
	}
	n, err := w.o.Signals.Increment(ctx, w.o.Keys.Exceptions(t.identity()), 1, 24*time.Hour)
	if err != nil {
		w.o.Logger.Warn("exceptions of a job cannot be counted in the cache; counting in this process", "uuid", t.job.UUID, "error", err)
		return w.thrown.add(t.identity())
	}
	return int(n)
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
	if !w.settle(ctx, t, v.action, v.delay, runtime) {
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
		spool.Emit(ctx, events, spool.JobReleased{Job: t.job, Delay: v.delay, Err: v.err})
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

// timedOut is called when a task's timeout has just ended its handler.
func (w *Worker) timedOut(t *task) {
	spool.Emit(context.Background(), w.conn.Events(), spool.JobTimedOut{Job: t.job, Timeout: *t.policy.Timeout})
}
