package worker

import (
	"context"
	"errors"
	"strconv"
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
	stored bool // store's own
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
	errs := make([]error, len(ends))
	rs := make([]driver.Reservation, 0, len(ends))
	at := make([]int, 0, len(ends))
	for i := range ends {
		if ends[i].stored {
			continue
		}
		rs, at = rs[:0], at[:0]
		for j := i; j < len(ends); j++ {
			if e := &ends[j]; !e.stored && e.action == ends[i].action && e.delay == ends[i].delay {
				rs, at, e.stored = append(rs, e.res), append(at, j), true
			}
		}
		err := w.storeAlike(ctx, rs, ends[i].action, ends[i].delay)
		for n, j := range at {
			errs[j] = driver.ItemError(err, n)
		}
	}
	return make([]struct{}, len(ends)), errs
}

// storeAlike stores the same end of several jobs.
func (w *Worker) storeAlike(ctx context.Context, rs []driver.Reservation, a action, delay time.Duration) error {
	switch a {
	case remove:
		return w.drv.Delete(ctx, rs)
	case release:
		return w.drv.Release(ctx, rs, delay)
	default:
		return w.giveBack(ctx, rs, delay)
	}
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
// missing; meanwhile the lease is kept. The error is driver.ErrLost if the job
// turned out to be lost: then nothing was written. Any other means that the
// worker had to give up before it knew: the end may be stored all the same.
func (w *Worker) settle(ctx context.Context, t *task, a action, delay time.Duration, runtime time.Duration) error {
	if a == giveBack {
		w.countReturn(ctx, t)
	}
	_, err := w.ends.Do(ctx, end{res: t.res, action: a, delay: delay})
	return w.settled(ctx, t, a, delay, runtime, err)
}

// settled goes on from the outcome of the first try to settle.
func (w *Worker) settled(ctx context.Context, t *task, a action, delay time.Duration, runtime time.Duration, err error) error {
	unknown := false
	for n := 1; ; n++ {
		if n > 1 {
			_, err = w.ends.Do(ctx, end{res: t.res, action: a, delay: delay})
		}
		switch {
		case err == nil, unknown && errors.Is(err, driver.ErrLost):
			// Lost after an attempt with unknown outcome: that attempt did it.
			w.keep.drop(t)
			return nil
		case errors.Is(err, driver.ErrLost):
			w.lost(ctx, t, runtime)
			return err
		}
		if most, ok := longest(err, delay); ok {
			w.o.Logger.Warn("the store holds no job back that long: it comes sooner", "job", t.job.DisplayName(), "uuid", t.job.UUID,
				"queue", t.res.Queue, "delay", delay, "longest", most)
			delay = most
			continue
		}
		if also, ok := w.unstored.now(); ok {
			w.o.Logger.Warn("the end of a job could not be stored", "job", t.job.DisplayName(), "uuid", t.job.UUID,
				"queue", t.res.Queue, "end", a.String(), "tries", n, "more", also, "error", err)
		}
		// A return must not be repeated blindly: with its attempt given back the
		// next delivery may look exactly like this one.
		if a == giveBack || errors.Is(err, driver.ErrClosed) || !w.pause(ctx, retryDelay(n)) {
			w.keep.drop(t)
			return err
		}
		unknown = true
	}
}

// longest returns the delay that the store can give where it refused a longer
// one: a retry that comes early is better than none.
func longest(err error, delay time.Duration) (time.Duration, bool) {
	var limit *driver.LimitError
	if !errors.As(err, &limit) || limit.What != "delay" {
		return 0, false
	}
	most := time.Duration(limit.Max)
	return most, most >= 0 && most < delay
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

// unknownKey counts in the cache how often a job was met without a handler.
func unknownKey(uuid string) string { return "spool:unknown:" + uuid }

// cacheTimeout bounds what a job waits for the cache.
const cacheTimeout = 2 * time.Second

// count adds one to a counter: in the cache, where all processes see it, or
// only in this one where there is no cache, it doesn't answer, or key is "".
func (w *Worker) count(ctx context.Context, local *bounces, id, key string, ttl time.Duration) int {
	n := local.add(id)
	if w.o.Signals == nil || key == "" {
		return n
	}
	ctx, cancel := context.WithTimeout(ctx, cacheTimeout)
	defer cancel()
	all, err := w.o.Signals.Increment(ctx, key, 1, ttl)
	if err == nil {
		return int(all)
	}
	if also, ok := w.uncounted.now(); ok {
		w.o.Logger.Warn("what happened to a job cannot be counted in the cache: only this process counts", "key", key, "more", also, "error", err)
	}
	return n
}

// unhandled puts back a job that another worker may know.
func (w *Worker) unhandled(ctx context.Context, t *task, why error) {
	// Counted for all processes, or a child of queue:listen, which meets each job
	// once, would always begin with a second.
	key := ""
	if t.job.UUID != "" {
		key = unknownKey(t.job.UUID)
	}
	delay := unknownDelay(w.count(ctx, &w.unknown, or(t.job.UUID, t.job.Name), key, 10*time.Minute))
	if delay == unknownDelay(1) && !spool.Listening[spool.JobUnhandled](w.conn.Events()) {
		w.o.Logger.Warn("this job can't be run here: it was put back for another worker",
			"name", t.job.Name, "uuid", t.job.UUID, "queue", t.res.Queue, "delay", delay, "reason", why)
	}
	if w.settle(ctx, t, giveBack, delay, 0) == nil {
		spool.Emit(ctx, w.conn.Events(), spool.JobUnhandled{Job: t.job, Delay: delay, Err: why})
	}
}

// Some servers count deliveries themselves and can't take one back
// (beanstalkd, SQS). There a job that is handed back has its return counted in
// the cache, and the returns are subtracted from the deliveries, so that they
// aren't held against its tries.

// returnsFor is how long returns are remembered.
const returnsFor = 7 * 24 * time.Hour

// returnedKey counts in the cache how often a job was handed back.
func returnedKey(uuid string) string { return "spool:returned:" + uuid }

// countReturn remembers that t is about to be handed back. It is counted
// before the store has done it: whoever takes the job next must know. If the
// store then fails to, the job has one try more, not one less.
func (w *Worker) countReturn(ctx context.Context, t *task) {
	if _, ok := w.drv.(driver.Returner); !ok && t.job.UUID != "" {
		w.count(ctx, &w.handed, t.job.UUID, returnedKey(t.job.UUID), returnsFor)
	}
}

// attempt is the number of this attempt at a job, returns not counted.
func (w *Worker) attempt(ctx context.Context, deliveries int, job *spool.Job) int {
	if _, ok := w.drv.(driver.Returner); ok || deliveries < 2 || job.UUID == "" {
		return max(deliveries, 1)
	}
	returns := w.handed.met(job.UUID)
	if w.o.Signals != nil {
		ctx, cancel := context.WithTimeout(ctx, cacheTimeout)
		defer cancel()
		key := returnedKey(job.UUID)
		values, err := w.o.Signals.Many(ctx, key)
		if err != nil {
			if also, ok := w.uncounted.now(); ok {
				w.o.Logger.Warn("how often a job was handed back cannot be read from the cache: only this process's count is known",
					"uuid", job.UUID, "more", also, "error", err)
			}
		} else if n, err := strconv.Atoi(values[key]); err == nil {
			returns = n
		}
	}
	return max(deliveries-returns, 1)
}
