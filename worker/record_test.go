package worker_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/failed"
)

// sore is a store of failed jobs that fails.
type sore struct {
	failed.Store
	log func() error
}

func (s *sore) Log(ctx context.Context, r failed.Record) (string, error) {
	if err := s.log(); err != nil {
		return "", err
	}
	return s.Store.Log(ctx, r)
}

func TestAFailedStoreThatFails(t *testing.T) {
	boom := errors.New("boom")
	t.Run("for a moment costs nothing", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t)
			left := 2
			r.opts.Failed = &sore{r.opts.Failed, func() error {
				if left--; left >= 0 {
					return errServer
				}
				return nil
			}}
			r.handle(func(context.Context, *spool.Job) error { return boom })
			r.push(t)
			r.work(t, time.Minute)
			r.expect(t, "processing 1", "exception", "failed")
			if recs := r.records(t); len(recs) != 1 || recs[0].Exception != "*errors.errorString: boom\nStack trace:\n#0 {main}" {
				t.Errorf("recorded %+v", recs)
			}
		})
	})
	t.Run("for long loses nothing", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t)
			begun := time.Now()
			r.opts.Failed = &sore{r.opts.Failed, func() error {
				if time.Since(begun) < 5*time.Minute {
					return errServer
				}
				return nil
			}}
			r.handle(func(context.Context, *spool.Job) error { return boom })
			r.push(t)
			r.work(t, 10*time.Minute)
			if n := len(r.records(t)); n != 1 || r.size(t, "").Total() != 0 {
				t.Errorf("%d records, %+v left", n, r.size(t, ""))
			}
		})
	})
}

// replaced is a store in which another worker's record takes the place of
// ours, just after it was written.
type replaced struct {
	failed.Store
	by func(failed.Record)
}

func (s *replaced) Log(ctx context.Context, r failed.Record) (string, error) {
	id, err := s.Store.Log(ctx, r)
	s.by(r)
	return id, err
}

// A worker that stalls between recording and deleting may find that another
// has taken the job, failed it and recorded it: that record is all there is.
func TestARecordOfTheNextHolderStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		f := onFaulty(t, r)
		r.opts.Concurrency = 1 // or this worker itself would be the next holder
		store := r.opts.Failed
		r.opts.Failed = &replaced{store, func(rec failed.Record) {
			time.Sleep(20 * time.Second) // our lease ends; renewals fail meanwhile
			rs, err := f.Conn.Reserve(t.Context(), "default", 1)
			if err != nil || len(rs) != 1 {
				t.Errorf("the other worker got %d jobs, %v", len(rs), err)
				return
			}
			rec.FailedAt = time.Now()
			if _, err := store.Log(t.Context(), rec); err != nil {
				t.Error(err)
			}
			if err := f.Conn.Delete(t.Context(), rs); err != nil {
				t.Error(err)
			}
		}}
		extends := 0
		f.extend = func(context.Context) error {
			if extends++; extends > 1 {
				return errServer
			}
			return nil
		}
		r.handle(func(context.Context, *spool.Job) error { return errors.New("boom") })
		r.push(t)
		r.work(t, time.Minute)
		if recs := r.records(t); len(recs) != 1 || r.size(t, "").Total() != 0 {
			t.Errorf("%d records, %+v in the queue: the job is lost", len(recs), r.size(t, ""))
		}
	})
}

// A worker that has to stop before it knows whether the job is removed keeps the
// record: it may be all there is.
func TestARecordStaysWhenTheRemovalIsNotConfirmed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		f := onFaulty(t, r)
		f.settle = func(string) (bool, error) { return true, errServer }
		r.opts.Grace = time.Second
		r.handle(func(context.Context, *spool.Job) error { return errors.New("boom") })
		r.push(t)
		r.work(t, time.Second)
		synctest.Wait()
		if n := len(r.records(t)); n != 1 || r.size(t, "").Total() != 0 {
			t.Errorf("%d records, %+v in the queue", n, r.size(t, ""))
		}
	})
}
