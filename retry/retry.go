// Package retry puts failed jobs back on their queues. Commands and the
// dashboard share it.
package retry

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/failed"
)

// Outcome is what became of one failed job.
type Outcome struct {
	Record failed.Record // without its payload
	Err    error         // nil: it is back on its queue and forgotten
}

// page is how many jobs are put back before their records are forgotten
// together. A crash in between leaves at most so many jobs both queued and
// recorded; none is lost.
const page = 200

// Jobs puts the given jobs back: attempts reset, a passed deadline renewed, all
// other bytes of the payload as they were; what is no job goes back as it is.
// Each is pushed first and forgotten after. tell is called for every job, one
// at a time; it may be nil. The error is that of the store of failed jobs, or
// ctx's; what fails for one job is its Outcome.
func Jobs(ctx context.Context, m *spool.Manager, store failed.Store, recs []failed.Record, tell func(Outcome)) error {
	for len(recs) > 0 {
		n := min(page, len(recs))
		if err := jobs(ctx, m, store, recs[:n], tell); err != nil {
			return err
		}
		recs = recs[n:]
	}
	return nil
}

// All puts back every job that the filter chooses, a page at a time: a million
// cost no more memory than a hundred. Jobs that fail again meanwhile are not
// met a second time.
func All(ctx context.Context, m *spool.Manager, store failed.Store, f failed.Filter, tell func(Outcome)) error {
	if f.Until.IsZero() {
		f.Until = time.Now()
	}
	for cursor := ""; ; {
		recs, next, err := store.List(ctx, f, cursor, page)
		if err != nil {
			return err
		}
		if err := jobs(ctx, m, store, recs, tell); err != nil {
			return err
		}
		if next == "" {
			return nil
		}
		cursor = next
	}
}

// jobs puts one page back. The pushes run side by side, so that they go out
// together.
func jobs(ctx context.Context, m *spool.Manager, store failed.Store, recs []failed.Record, tell func(Outcome)) error {
	errs := make([]error, len(recs))
	var wg sync.WaitGroup
	for i := range recs {
		wg.Go(func() { errs[i] = push(ctx, m, &recs[i]) })
	}
	wg.Wait()
	var done []failed.Record
	for i, err := range errs {
		if err == nil {
			done = append(done, recs[i])
		}
	}
	var forgotten error
	if len(done) > 0 {
		// Also when ctx ended meanwhile: these are back on their queues.
		if err := forget(context.WithoutCancel(ctx), store, done); err != nil {
			forgotten = fmt.Errorf("what was put back (%d) is still recorded as failed too: %w", len(done), err)
		}
	}
	if tell != nil {
		for i, err := range errs {
			recs[i].Payload = nil
			tell(Outcome{Record: recs[i], Err: err})
		}
	}
	return errors.Join(forgotten, ctx.Err())
}

// forget removes the records of jobs that are back on their queues. One that
// has run and failed again by now keeps its new record.
func forget(ctx context.Context, store failed.Store, recs []failed.Record) error {
	if s, ok := store.(failed.SameForgetter); ok {
		_, err := s.ForgetSame(ctx, recs...)
		return err
	}
	ids := make([]string, len(recs))
	for i, r := range recs {
		ids[i] = r.ID
	}
	_, err := store.Forget(ctx, ids...)
	return err
}

// push puts one job back on the queue it came from.
func push(ctx context.Context, m *spool.Manager, rec *failed.Record) error {
	c, err := m.Connection(ctx, rec.Connection)
	if err != nil {
		return err
	}
	body, err := c.Format.Retry(rec.Payload, time.Now())
	if err != nil {
		body = rec.Payload // no job: whoever retries it knows why
	}
	spool.Emit(ctx, c.Events(), spool.JobRetryRequested{UUID: rec.UUID, Connection: c.Name, Queue: rec.Queue, Body: body})
	_, err = c.PushRaw(ctx, rec.Queue, body, 0)
	return err
}
