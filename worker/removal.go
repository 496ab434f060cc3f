package worker

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/driver"
)

// removals stores the usual end, that of a job which is done, for many jobs at
// a time. The slot that brings the first one stores it at once; those that
// come meanwhile are stored by it together, and the slots that brought them go
// on with the next job in hand. But a place becomes free for a further job
// only when an end is stored, so a store that is down stops the worker.
type removals struct {
	mu      sync.Mutex
	waiting []*task
	busy    bool // a slot is storing

	// Of the slot that is storing.
	batch []*task
	rs    []driver.Reservation
}

// remove stores that a job is done, now or with others. The place that the job
// holds is freed then.
func (w *Worker) remove(ctx context.Context, t *task, runtime time.Duration) {
	t.later, t.runtime = true, runtime
	r := &w.removals
	r.mu.Lock()
	r.waiting = append(r.waiting, t)
	lead := !r.busy
	r.busy = true
	r.mu.Unlock()
	if lead {
		w.removeWaiting(ctx)
	}
}

// removeWaiting stores what waits until there is nothing more.
func (w *Worker) removeWaiting(ctx context.Context) {
	over := false
	defer func() {
		if !over { // a listener has ended this goroutine
			w.runners.Go(func() { w.removeWaiting(ctx) })
		}
	}()
	for r := &w.removals; r.take(); {
		storing, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
		err := w.drv.Delete(storing, r.rs)
		cancel()
		w.removed(ctx, r.batch, err)
	}
	over = true
}

// take moves what waits into the batch; false if there is nothing, and then
// nobody is storing any more.
func (r *removals) take() bool {
	clear(r.batch)
	clear(r.rs)
	r.mu.Lock()
	defer r.mu.Unlock()
	n := min(maxSettle, len(r.waiting))
	r.busy = n > 0
	r.batch, r.rs = append(r.batch[:0], r.waiting[:n]...), r.rs[:0]
	r.waiting = slices.Delete(r.waiting, 0, n)
	for _, t := range r.batch {
		r.rs = append(r.rs, t.res)
	}
	return n > 0
}

// removed goes on with jobs whose removal had that outcome.
func (w *Worker) removed(ctx context.Context, batch []*task, err error) {
	done := make([]*task, 0, len(batch))
	for i, t := range batch {
		if err := driver.ItemError(err, i); err != nil {
			w.runners.Go(func() { w.removeAgain(ctx, t, err) })
		} else {
			done = append(done, t)
		}
	}
	w.keep.drop(done...)
	defer w.vacate(len(done))
	w.tellRemoved(ctx, done)
}

// removeAgain settles a job by itself whose first removal had that outcome.
func (w *Worker) removeAgain(ctx context.Context, t *task, err error) {
	defer w.vacate(1)
	if w.settled(ctx, t, remove, 0, t.runtime, err) == nil {
		w.tellRemoved(ctx, []*task{t})
	}
}

// tellRemoved tells that jobs are done. A listener that ends this goroutine
// keeps nobody else from being told.
func (w *Worker) tellRemoved(ctx context.Context, done []*task) {
	defer func() {
		if len(done) > 0 {
			w.runners.Go(func() { w.tellRemoved(ctx, done) })
		}
	}()
	for len(done) > 0 {
		t := done[0]
		done = done[1:]
		w.processed.Add(1)
		spool.Emit(ctx, w.conn.Events(), spool.JobProcessed{Job: t.job, Result: "deleted", Wait: waited(t), Runtime: t.runtime})
	}
}

// vacate frees the places of n jobs.
func (w *Worker) vacate(n int) {
	w.free.Add(int64(n))
	w.wake()
}
