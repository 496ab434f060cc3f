package worker

import (
	"context"
	"errors"
	"time"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/failed"
)

// stuck is called when a handler hasn't returned in the grace after its
// context ended. It runs on the keeper's clock, so the work goes elsewhere.
func (w *Worker) stuck(t *task) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.done {
		return
	}
	// The runner of t waits for t.mu before it can be done, so that this doesn't
	// begin from zero while drain waits.
	w.runners.Add(1)
	go func() {
		defer w.runners.Done()
		w.giveUp(w.life, t)
	}()
}

// giveUp deals with a stuck handler. Its goroutine can't be stopped; what can
// be decided is its job: it fails now if it would not be retried. Else it keeps
// its lease while this process lives, so that it can't run twice, and a new
// process is what helps.
func (w *Worker) giveUp(ctx context.Context, t *task) {
	cause, runtime := t.ended(), time.Since(t.started)
	w.o.Logger.Error("handler ignores its context", "job", t.name(), "uuid", t.job.UUID,
		"queue", t.res.Queue, "runtime", runtime, "cause", cause)
	w.tellTimeout(ctx, t)
	spool.Emit(ctx, w.conn.Events(), spool.JobStuck{Job: t.job, Runtime: runtime})
	if w.failStuck(ctx, t, cause, runtime) {
		if int(w.leaked.Add(1)) <= w.o.MaxStuck {
			go w.work(w.life) // takes over the slot, and its place in runners
			w.free.Add(1)
			w.wake()
			return
		}
		w.mustStop.Store(true)
		w.runners.Done() // for the runner that was given up
	} else if t.leave() {
		w.o.Logger.Error("the job of a stuck handler comes back when this process has ended and its lease too; this worker takes no more jobs and ends with code 1, to be started again", "job", t.name(), "uuid", t.job.UUID)
		w.mustStop.Store(true)
		w.runners.Done()
	}
	w.wake()
}

// failStuck fails the job of a stuck handler that would not be retried, and
// says whether it did. Nobody may keep it, and nothing puts it back: its
// handler lives.
func (w *Worker) failStuck(ctx context.Context, t *task, cause error, runtime time.Duration) bool {
	if !errors.Is(cause, ErrTimeout) {
		return false
	}
	n := w.exceptions(ctx, t, ending{err: cause, cause: cause})
	v := decideStuck(t.policy, t.job.Attempt, time.Now(), n, *t.policy.Timeout)
	if v.action != fail || !t.abandon() {
		return false
	}
	if _, ok := w.follow(ctx, t, v.err, runtime); !ok {
		return false
	}
	recorded, err := w.record(ctx, t, failed.Exception(v.err, nil), runtime)
	if err != nil {
		w.o.Logger.Error("the job of a stuck handler could not be recorded as failed", "job", t.name(), "uuid", t.job.UUID, "error", err)
		return false
	}
	if recorded {
		w.tellFailed(ctx, t, v.err, runtime)
	}
	return true
}
