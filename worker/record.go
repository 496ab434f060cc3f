package worker

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/failed"
)

// recordTimeout bounds one attempt to write a failed job's record, and
// recordTries how many there are before the job is put back instead.
const (
	recordTimeout = 30 * time.Second
	recordTries   = 3
)

// record writes the failed job's record and removes the job, in an order in
// which a crash can't lose it: the lease is confirmed, the record inserted
// (idempotent on the uuid), the job removed; in one transaction where both are
// in one database. It returns false if the job was lost, or its removal could
// not be confirmed, and an error if it could not be recorded: then it is where
// it was.
//
// A crash between record and removal leaves both; the job runs again, and its
// next failure replaces the record.
func (w *Worker) record(ctx context.Context, t *task, exception string, runtime time.Duration) (bool, error) {
	if w.o.Failed == nil {
		return w.settle(ctx, t, remove, 0, runtime) == nil, nil
	}
	rec := failed.Record{
		UUID: or(t.job.UUID, spool.NewUUID()), Connection: w.conn.Name, Queue: t.res.Queue,
		Payload: t.res.Body, Exception: exception, FailedAt: time.Now(),
	}
	for n := 1; ; n++ {
		recorded, err := w.recordOnce(ctx, t, rec, n > 1, runtime)
		if err == nil || n == recordTries || !w.pause(ctx, retryDelay(n)) {
			return recorded, err
		}
	}
}

// recordOnce is one attempt to record; again says that the outcome of one
// before is unknown.
func (w *Worker) recordOnce(ctx context.Context, t *task, rec failed.Record, again bool, runtime time.Duration) (bool, error) {
	wctx, cancel := context.WithTimeout(ctx, recordTimeout)
	defer cancel()
	err := w.recordAndDelete(wctx, t, rec)
	switch {
	case err == nil:
		w.keep.drop(t)
		return true, nil
	case errors.Is(err, driver.ErrLost):
		if _, ours := w.ours(wctx, rec.UUID, rec); again && ours {
			w.keep.drop(t) // the attempt before had done it
			return true, nil
		}
		w.lost(ctx, t, runtime)
		return false, nil
	case !errors.Is(err, errors.ErrUnsupported):
		return false, err
	}
	// Not one database.
	if err := w.keep.confirm(wctx, t); errors.Is(err, driver.ErrLost) {
		w.lost(ctx, t, runtime)
		return false, nil
	}
	id, err := w.o.Failed.Log(wctx, rec)
	if err != nil {
		return false, err
	}
	trusted := w.keep.trusts(t)
	err = w.settle(ctx, t, remove, 0, runtime)
	if errors.Is(err, driver.ErrLost) {
		w.unrecord(ctx, id, rec, trusted)
	}
	return err == nil, nil
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

// unrecord removes the record of a job that was lost between recording and
// removing: its next holder decides. But that one may have failed the job too,
// and its record is then all there is: so only a record goes that was written
// while the lease could be trusted, and that is still ours.
func (w *Worker) unrecord(ctx context.Context, id string, rec failed.Record, trusted bool) {
	err := errors.New("it may be that of the next holder")
	if found, ours := w.ours(ctx, id, rec); ours && trusted {
		if s, ok := w.o.Failed.(failed.SameForgetter); ok {
			_, err = s.ForgetSame(ctx, found)
		} else {
			_, err = w.o.Failed.Forget(ctx, id)
		}
	}
	if err != nil {
		w.o.Logger.Warn("a record of a job that was lost has not been removed", "uuid", rec.UUID, "reason", err)
	}
}

// ours returns the record of that id if it is the one that was just written.
func (w *Worker) ours(ctx context.Context, id string, rec failed.Record) (failed.Record, bool) {
	found, err := w.o.Failed.Find(ctx, id)
	return found, err == nil && found.FailedAt.Unix() == rec.FailedAt.Unix()
}
