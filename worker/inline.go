package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spoolq/spool"
)

// Inline returns the function that runs a job at once in its caller, for the
// sync driver: same handlers, policy of timeouts and events, one attempt, and
// no record of failures. An exception fails the job: its callback is called,
// and the error is returned to whoever dispatched it, as Laravel does.
// Release means nothing here: the job has run. One that a middleware turns away
// (spool.GiveBack) has not, and nothing can bring it back: that is an error.
func Inline(connection string, mux *spool.Mux, format spool.Format, events *spool.Events, opts *Options) func(ctx context.Context, queue string, body []byte) error {
	if format == nil {
		format = spool.Native
	}
	var o Options
	if opts != nil {
		o = *opts
	}
	mux = mux.For(format)
	fallback := o.Policy.Or(spool.Policy{Timeout: new(time.Duration(0))})
	return func(ctx context.Context, queue string, body []byte) error {
		p, err := format.Decode(body)
		if err != nil {
			return err
		}
		t := &task{handler: mux.Lookup(p.Name), slot: -1, started: time.Now()}
		if t.handler == nil {
			return fmt.Errorf("%w: %q", ErrUnknownJob, p.Name)
		}
		t.job = &spool.Job{
			ID: p.ID, UUID: p.UUID, Name: p.Name, Queue: queue, Connection: connection,
			Attempt: 1, Body: body, Payload: p, Format: format, Handler: t.handler, Locks: o.Locks, Signals: o.Signals,
		}
		t.policy = p.Policy.Or(t.handler.Policy).Or(fallback)
		return runInline(ctx, t, events, o.Followers)
	}
}

func runInline(ctx context.Context, t *task, events *spool.Events, followers *spool.Followers) error {
	ctx = spool.WithJob(ctx, t.job)
	spool.Emit(ctx, events, spool.JobProcessing{Job: t.job})
	jobCtx := ctx
	if d := *t.policy.Timeout; d > 0 {
		var cancel context.CancelFunc
		jobCtx, cancel = context.WithTimeoutCause(ctx, d, ErrTimeout)
		defer cancel()
	}
	var stack []byte
	var err error
	if o, _ := t.job.Outcome(); o.Kind == spool.Undecided { // else a listener has decided
		stack, err = call(jobCtx, t)
	}
	runtime := time.Since(t.started)
	outcome, _ := t.job.Outcome()
	if outcome.Kind == spool.Undecided {
		outcome = spool.OutcomeOf(err)
	}
	switch {
	case outcome.Kind == spool.Failed:
		err = outcome.Err
	case outcome.Kind == spool.Returned:
		err = fmt.Errorf("%s was turned away for %v, and connection %s can't bring it back: %w", t.job.DisplayName(), outcome.Delay, t.job.Connection, or(err, spool.GiveBack(outcome.Delay, outcome.Err)))
	case outcome.Kind != spool.Undecided:
		err = nil
	case err != nil:
		spool.Emit(ctx, events, spool.JobExceptionOccurred{Job: t.job, Err: err, Stack: stack, Runtime: runtime})
	}
	if outcome.Kind == spool.Released {
		err = followers.Unlock(ctx, t.job) // nothing else will
	} else {
		ferr := followInline(ctx, followers, t.job, err)
		if _, later := errors.AsType[*spool.LinkError](ferr); later && err == nil { // this one is done
			spool.Emit(ctx, events, spool.JobProcessed{Job: t.job, Result: "deleted", Runtime: runtime})
			return ferr
		}
		if ferr != nil {
			err = errors.Join(err, ferr)
		}
	}
	if err == nil {
		spool.Emit(ctx, events, spool.JobProcessed{Job: t.job, Result: "deleted", Runtime: runtime})
		return nil
	}
	if t.handler.Failed != nil {
		if ferr := callFailed(ctx, t, err); ferr != nil {
			err = fmt.Errorf("%w (and its failed callback: %w)", err, ferr)
		}
	}
	spool.Emit(ctx, events, spool.JobFailed{Job: t.job, Err: err, Runtime: runtime})
	return err
}
