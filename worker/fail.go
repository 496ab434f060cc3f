package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/failed"
)

// fail ends a job for good: it is recorded, then removed, and only then do
// its callback and the event tell. A listener may keep it instead.
func (w *Worker) fail(ctx context.Context, t *task, cause error, stack []byte, runtime time.Duration) {
	if delay, kept := w.keeps(ctx, t, cause); kept {
		if w.settle(ctx, t, release, delay, runtime) == nil {
			w.processed.Add(1)
			spool.Emit(ctx, w.conn.Events(), spool.JobReleased{Job: t.job, Delay: delay, Err: cause})
		}
		return
	}
	if _, ok := w.follow(ctx, t, cause, runtime); !ok {
		return
	}
	switch recorded, err := w.record(ctx, t, failed.Exception(cause, stack), runtime); {
	case err != nil:
		w.unrecorded(ctx, t, err, runtime)
	case recorded:
		w.tellFailed(ctx, t, cause, runtime)
	}
}

// tellFailed tells of a job that is recorded and removed.
func (w *Worker) tellFailed(ctx context.Context, t *task, cause error, runtime time.Duration) {
	w.processed.Add(1)
	w.failed.Add(1)
	w.forget(ctx, t)
	if t.handler != nil && t.handler.Failed != nil {
		if err := callFailed(spool.WithJob(ctx, t.job), t, cause); err != nil {
			w.o.Logger.Error("the failed callback of a job has failed itself", "job", t.job.DisplayName(), "uuid", t.job.UUID, "error", err)
		}
	}
	spool.Emit(ctx, w.conn.Events(), spool.JobFailed{Job: t.job, Err: cause, Runtime: runtime})
}

func callFailed(ctx context.Context, t *task, cause error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{Value: v}
		}
	}()
	return t.handler.Failed(ctx, t.job, cause)
}

// keptKey counts in the cache how often listeners have kept a job.
func keptKey(uuid string) string { return "spool:kept:" + uuid }

// keeps asks the listeners of failing whether one keeps the job.
func (w *Worker) keeps(ctx context.Context, t *task, cause error) (time.Duration, bool) {
	if !spool.Listening[*spool.JobFailing](w.conn.Events()) {
		return 0, false
	}
	e := spool.NewJobFailing(t.job, cause)
	spool.Emit(ctx, w.conn.Events(), e)
	delay, kept := e.Kept()
	if !kept || w.o.MaxKeeps == 0 {
		return 0, false
	}
	n := w.count(ctx, &w.kept, t.identity(), keptKey(t.identity()), 7*24*time.Hour)
	if n > w.o.MaxKeeps {
		w.o.Logger.Warn("a listener has kept this job from failing too often: it fails now", "job", t.job.DisplayName(), "uuid", t.job.UUID, "kept", n-1)
		return 0, false
	}
	return delay, true
}

// forget drops the counters of a job that has come to its end.
func (w *Worker) forget(ctx context.Context, t *task) {
	w.kept.forget(t.identity())
	w.thrown.forget(t.identity())
	w.unknown.forget(or(t.job.UUID, t.job.Name))
	w.handed.forget(t.job.UUID)
	if w.o.Signals == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, cacheTimeout)
	defer cancel()
	// They expire by themselves if this fails.
	if t.policy.MaxExceptions > 0 {
		_ = w.o.Signals.Forget(ctx, w.o.Keys.Exceptions(t.identity()))
	}
	if spool.Listening[*spool.JobFailing](w.conn.Events()) {
		_ = w.o.Signals.Forget(ctx, keptKey(t.identity()))
	}
}

// unrecordedDelay keeps a job that can't be recorded from failing hot.
const unrecordedDelay = 30 * time.Second

// unrecorded releases a job that has failed but could not be recorded: better
// to run it once more than to lose it.
func (w *Worker) unrecorded(ctx context.Context, t *task, err error, runtime time.Duration) {
	w.o.Logger.Error("a failed job could not be recorded: it was released", "job", t.job.DisplayName(), "uuid", t.job.UUID,
		"queue", t.res.Queue, "delay", unrecordedDelay, "error", err)
	if w.settle(ctx, t, release, unrecordedDelay, runtime) == nil {
		spool.Emit(ctx, w.conn.Events(), spool.JobReleased{Job: t.job, Delay: unrecordedDelay, Err: err})
	}
}

// unreadable sets a body aside that is no job, or puts back one that only
// this worker can't read.
func (w *Worker) unreadable(ctx context.Context, t *task, cause error) {
	if errors.Is(cause, spool.ErrNotHere) {
		t.job.Name = or(t.job.Name, "unreadable")
		w.unhandled(ctx, t, cause)
		return
	}
	w.o.Logger.Error("this is no job: it was set aside", "queue", t.res.Queue, "id", t.res.ID, "bytes", len(t.res.Body), "reason", cause)
	if w.o.Failed == nil {
		w.quarantine(ctx, t)
		return
	}
	cause = fmt.Errorf("not a job: %w", cause)
	switch recorded, err := w.record(ctx, t, failed.Exception(cause, nil), 0); {
	case err != nil:
		w.unrecorded(ctx, t, err, 0)
	case recorded:
		w.tellFailed(ctx, t, cause, 0)
	}
}

// quarantine moves a body that is no job to the queue "<queue>:poison".
func (w *Worker) quarantine(ctx context.Context, t *task) {
	pctx, cancel := context.WithTimeout(ctx, recordTimeout)
	defer cancel()
	_, err := w.drv.Push(pctx, t.res.Queue+":poison", []driver.Message{{Body: t.res.Body}})
	if err != nil {
		w.o.Logger.Error("what is no job could not be set aside: it was put back", "queue", t.res.Queue, "error", err)
		_ = w.settle(ctx, t, giveBack, unrecordedDelay, 0) // or it comes back by itself
		return
	}
	if w.settle(ctx, t, remove, 0, 0) == nil {
		w.processed.Add(1)
		w.failed.Add(1)
	}
}
