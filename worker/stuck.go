package worker

import (
	"context"
	"errors"
	"time"

	"github.com/spoolq/spool"
)

// stuck is called when a handler hasn't returned in the grace after its
// context ended. It runs on the keeper's clock, so the work goes elsewhere.
func (w *Worker) stuck(t *task) {
	w.runners.Add(1)
	go func() {
		defer w.runners.Done()
		w.giveUp(context.Background(), t)
	}()
}

// giveUp deals with a stuck handler. Its goroutine can't be stopped; what can
// be decided is its job.
func (w *Worker) giveUp(ctx context.Context, t *task) {
	t.mu.Lock()
	cause := t.cause
	t.mu.Unlock()
	runtime := time.Since(t.started)
	w.o.Logger.Error("handler ignores its context", "job", t.job.DisplayName(), "uuid", t.job.UUID,
		"queue", t.res.Queue, "runtime", runtime, "cause", cause)
	spool.Emit(ctx, w.conn.Events(), spool.JobStuck{Job: t.job, Runtime: runtime})
	v := verdict{action: leave}
	if errors.Is(cause, ErrTimeout) {
		v = decideStuck(t.policy, t.job.Attempt, time.Now(), *t.policy.Timeout)
	}
	if v.action != fail {
		// The job keeps its lease while this process lives, so that it can't run
		// twice; a new process is what helps.
		w.mustStop.Store(true)
		w.wake()
		return
	}
	if !t.abandon() {
		return // it has returned just now: the usual way
	}
	w.fail(ctx, t, v.err, nil, runtime)
	if int(w.leaked.Add(1)) > w.o.MaxStuck {
		w.mustStop.Store(true)
		w.runners.Done() // for the runner that was given up
	} else {
		go w.work(w.life) // takes over the slot, and its place in runners
		w.free.Add(1)
	}
	w.wake()
}
