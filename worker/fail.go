package worker

import (
	"context"
	"database/sql"
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
		if w.settle(ctx, t, release, delay, runtime) {
			w.processed.Add(1)
			spool.Emit(ctx, w.conn.Events(), spool.JobReleased{Job: t.job, Delay: delay, Err: cause})
		}
		return
	}
	if !w.record(ctx, t, failed.Exception(cause, stack), runtime) {
		return
	}
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
	n := w.kept.add(t.identity())
	if w.o.Signals != nil {
		if c, err := w.o.Signals.Increment(ctx, keptKey(t.identity()), 1, 7*24*time.Hour); err == nil {
			n = int(c)
		}
	}
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
	if w.o.Signals != nil && t.policy.MaxExceptions > 0 {
		_ = w.o.Signals.Forget(ctx, w.o.Keys.Exceptions(t.identity())) // it expires by itself
	}
}

// recordTimeout bounds the writing of a failed job's record.
const recordTimeout = 30 * time.Second

// record writes the failed job's record and removes the job, in an order in
// which a crash can't lose it: the lease is confirmed, the record inserted
// (idempotent on the uuid), the job removed; in one transaction where both are
// in one database. It returns false if the job did not fail after all: it was
// lost, or could not be recorded and was released.
func (w *Worker) record(ctx context.Context, t *task, exception string, runtime time.Duration) bool {
	if w.o.Failed == nil {
		return w.settle(ctx, t, remove, 0, runtime)
	}
	rec := failed.Record{
		UUID: or(t.job.UUID, spool.NewUUID()), Connection: w.conn.Name, Queue: t.res.Queue,
		Payload: t.res.Body, Exception: exception, FailedAt: time.Now(),
	}
	wctx, cancel := context.WithTimeout(ctx, recordTimeout)
	defer cancel()
	err := w.recordAndDelete(wctx, t, rec)
	switch {
	case errors.Is(err, errors.ErrUnsupported): // not one database
	case errors.Is(err, driver.ErrLost):
		w.lost(ctx, t, runtime)
		return false
	case err != nil:
		return w.unrecorded(ctx, t, err, runtime)
	default:
		w.keep.drop(t)
		return true
	}
	if err := w.confirm(wctx, t); errors.Is(err, driver.ErrLost) {
		w.lost(ctx, t, runtime)
		return false
	}
	id, err := w.o.Failed.Log(wctx, rec)
	if err != nil {
		return w.unrecorded(ctx, t, err, runtime)
	}
	if w.settle(ctx, t, remove, 0, runtime) {
		return true
	}
	// Lost between the two steps: its next holder decides, so the record goes.
	if _, err := w.o.Failed.Forget(ctx, id); err != nil {
		w.o.Logger.Warn("the record of a job that was lost could not be removed", "uuid", rec.UUID, "error", err)
	}
	return false
}

// recordAndDelete does both in one transaction, or returns ErrUnsupported.
func (w *Worker) recordAndDelete(ctx context.Context, t *task, rec failed.Record) error {
	d, ok := w.drv.(driver.TxDeleter)
	l, can := w.o.Failed.(failed.TxLogger)
	if !ok || !can || d.Database() != l.Database() {
		return errors.ErrUnsupported
	}
	return d.DeleteTx(ctx, t.res, func(ctx context.Context, tx *sql.Tx) error { return l.LogTx(ctx, tx, rec) })
}

// confirm renews the lease of one job, so that a job another worker has taken
// is not recorded as failed.
func (w *Worker) confirm(ctx context.Context, t *task) error {
	e, ok := w.drv.(driver.Extender)
	if !ok {
		return nil
	}
	return driver.ItemError(e.Extend(ctx, []driver.Reservation{t.res}), 0)
}

// unrecordedDelay keeps a job that can't be recorded from failing hot.
const unrecordedDelay = 30 * time.Second

// unrecorded releases a job that has failed but could not be recorded: better
// to run it once more than to lose it.
func (w *Worker) unrecorded(ctx context.Context, t *task, err error, runtime time.Duration) bool {
	w.o.Logger.Error("a failed job could not be recorded: it was released", "job", t.job.DisplayName(), "uuid", t.job.UUID,
		"queue", t.res.Queue, "delay", unrecordedDelay, "error", err)
	if w.settle(ctx, t, release, unrecordedDelay, runtime) {
		spool.Emit(ctx, w.conn.Events(), spool.JobReleased{Job: t.job, Delay: unrecordedDelay, Err: err})
	}
	return false
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
	if w.record(ctx, t, failed.Exception(cause, nil), 0) {
		w.processed.Add(1)
		w.failed.Add(1)
		spool.Emit(ctx, w.conn.Events(), spool.JobFailed{Job: t.job, Err: cause})
	}
}

// quarantine moves a body that is no job to the queue "<queue>:poison".
func (w *Worker) quarantine(ctx context.Context, t *task) {
	_, err := w.drv.Push(ctx, t.res.Queue+":poison", []driver.Message{{Body: t.res.Body}})
	if err != nil {
		w.o.Logger.Error("what is no job could not be set aside: it was put back", "queue", t.res.Queue, "error", err)
		w.settle(ctx, t, giveBack, unrecordedDelay, 0)
		return
	}
	if w.settle(ctx, t, remove, 0, 0) {
		w.processed.Add(1)
		w.failed.Add(1)
	}
}
