package worker

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/driver"
)

// end is how a job's delivery is to be stored.
type end struct {
	res    driver.Reservation
	action action // remove, release or giveBack
	delay  time.Duration
}

// maxSettle bounds how many ends are stored in one call, and settleTimeout
// how long such a call may take.
const (
	maxSettle     = 1000
	settleTimeout = 30 * time.Second
)

// store stores the ends of several jobs: one call for all that are done, one
// for each delay of those released. It is the flush of w.ends.
func (w *Worker) store(ctx context.Context, ends []end) ([]struct{}, []error) {
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	type group struct {
		action action
		delay  time.Duration
	}
	members := make(map[group][]int, 2)
	for i, e := range ends {
		g := group{e.action, e.delay}
		members[g] = append(members[g], i)
	}
	errs := make([]error, len(ends))
	for g, at := range members {
		rs := make([]driver.Reservation, len(at))
		for n, i := range at {
			rs[n] = ends[i].res
		}
		var err error
		switch g.action {
		case remove:
			err = w.drv.Delete(ctx, rs)
		case release:
			err = w.drv.Release(ctx, rs, g.delay)
		case giveBack:
			err = w.giveBack(ctx, rs, g.delay)
		}
		for n, i := range at {
			errs[i] = driver.ItemError(err, n)
		}
	}
	return make([]struct{}, len(ends)), errs
}

// giveBack returns jobs with their attempts as before, where the backend can.
func (w *Worker) giveBack(ctx context.Context, rs []driver.Reservation, delay time.Duration) error {
	if r, ok := w.drv.(driver.Returner); ok {
		return r.Return(ctx, rs, delay)
	}
	return w.drv.Release(ctx, rs, delay)
}

// settle stores the end of a job and stops watching it. It tries until the
// store has confirmed, because the work is done and only its record is
// missing; meanwhile the lease is kept. It returns false if the job turned out
// to be lost or its end could not be stored.
func (w *Worker) settle(ctx context.Context, t *task, a action, delay time.Duration, runtime time.Duration) bool {
	unknown := false
	for n := 1; ; n++ {
		_, err := w.ends.Do(ctx, end{t.res, a, delay})
		switch {
		case err == nil, unknown && errors.Is(err, driver.ErrLost):
			// Lost after an attempt with unknown outcome: that attempt did it.
			w.keep.drop(t)
			return true
		case errors.Is(err, driver.ErrLost):
			w.lost(ctx, t, runtime)
			return false
		}
		if also, ok := w.unstored.now(); ok {
			w.o.Logger.Warn("the end of a job could not be stored", "job", t.job.DisplayName(), "uuid", t.job.UUID,
				"queue", t.res.Queue, "end", a.String(), "tries", n, "more", also, "error", err)
		}
		// A return must not be repeated blindly: with its attempt given back the
		// next delivery may look exactly like this one.
		if a == giveBack || errors.Is(err, driver.ErrClosed) || !w.pause(ctx, retryDelay(n)) {
			w.keep.drop(t)
			return false
		}
		unknown = true
	}
}

// throttle lets a warning through once a second, and counts the others.
type throttle struct {
	mu      sync.Mutex
	last    time.Time
	skipped int
}

// now says whether to warn, and how many warnings were left out since the last.
func (t *throttle) now() (skipped int, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if time.Since(t.last) < time.Second {
		t.skipped++
		return 0, false
	}
	skipped, t.skipped, t.last = t.skipped, 0, time.Now()
	return skipped, true
}

// pause waits for d; false if the worker is to stop at once.
func (w *Worker) pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-w.abort:
	case <-ctx.Done():
	}
	return false
}

// lost drops a job whose lease is gone: nothing is written.
func (w *Worker) lost(ctx context.Context, t *task, runtime time.Duration) {
	w.keep.drop(t)
	w.o.Logger.Warn("lease lost: another worker may run the job, nothing was written",
		"job", t.job.DisplayName(), "uuid", t.job.UUID, "queue", t.res.Queue, "attempt", t.job.Attempt)
	spool.Emit(ctx, w.conn.Events(), spool.JobLost{Job: t.job, Runtime: runtime})
}

// unhandled puts back a job that another worker may know.
func (w *Worker) unhandled(ctx context.Context, t *task) {
	n := w.unknown.add(t.job.UUID)
	delay := unknownDelay(n)
	if n == 1 {
		w.o.Logger.Warn("no handler for this job: it was put back for another worker",
			"name", t.job.Name, "uuid", t.job.UUID, "queue", t.res.Queue, "delay", delay)
	}
	if w.settle(ctx, t, giveBack, delay, 0) {
		spool.Emit(ctx, w.conn.Events(), spool.JobUnhandled{Job: t.job, Delay: delay})
	}
}
