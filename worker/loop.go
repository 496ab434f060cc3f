package worker

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime/metrics"
	"time"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/driver"
)

// loop reserves jobs for free slots until something says stop.
func (w *Worker) loop(ctx context.Context) (Reason, int, error) {
	begun := time.Now()
	lastFound := begun
	failures := 0
	for {
		s := w.observe(ctx, begun, lastFound)
		if reason, code, ok := stop(&w.o, s); ok {
			return reason, code, nil
		}
		n := w.wanted(s.started)
		if n <= 0 {
			w.sleep(ctx, w.freed, time.Second, begun)
			continue
		}
		queues := w.openQueues(ctx)
		got, err := w.reserve(ctx, queues, n)
		switch {
		case got > 0:
			lastFound, failures = time.Now(), 0
			w.only.foundSome()
			if err != nil {
				w.o.Logger.Warn("cannot reserve jobs of every queue", "connection", w.conn.Name, "error", err)
			}
			if !w.o.Once {
				continue
			}
		case ctx.Err() != nil:
			continue
		case err != nil && (w.o.Once || w.o.StopWhenEmpty):
			s.broken = true
		case err != nil:
			failures++
			w.o.Logger.Warn("cannot reserve jobs, trying again", "connection", w.conn.Name, "failures", failures, "error", err)
			w.sleep(ctx, nil, retryDelay(failures), begun)
			continue
		}
		// What ran before this look may have pushed more meanwhile, so s.running
		// stays as it was then.
		s.looked, s.found, s.started = true, got > 0, int(w.started.Load())
		if w.o.Once && got == 0 && err == nil {
			w.sleep(ctx, nil, w.o.Sleep, begun)
		}
		if reason, code, ok := stop(&w.o, s); ok {
			if !s.broken {
				err = nil
			}
			return reason, code, err
		}
		w.idle(ctx, queues, begun, lastFound)
	}
}

// observe looks at everything that stop decides by.
func (w *Worker) observe(ctx context.Context, begun, lastFound time.Time) state {
	return state{
		interrupted: ctx.Err() != nil,
		memory:      w.memory(),
		restart:     w.polls.restarted(),
		stuck:       w.mustStop.Load(),
		running:     w.Running(),
		idle:        time.Since(lastFound),
		up:          time.Since(begun),
		started:     int(w.started.Load()),
	}
}

// idle waits after a look that found nothing.
func (w *Worker) idle(ctx context.Context, queues []string, begun, lastFound time.Time) {
	running := w.Running()
	if running == 0 {
		spool.Emit(ctx, w.conn.Events(), spool.WorkerIdle{Name: w.o.Name, Connection: w.conn.Name})
	}
	switch {
	case len(queues) == 0: // paused, down or vetoed: look again soon
		w.sleep(ctx, w.freed, min(w.o.Sleep, time.Second), begun)
	case w.o.StopWhenEmpty:
		// What runs may push more; what has ended since the look has nothing to
		// wait for.
		if running > 0 {
			w.sleep(ctx, w.freed, time.Second, begun)
		}
	default:
		w.waitForJobs(ctx, queues, begun, lastFound)
	}
}

// wanted is how many jobs to reserve now: one for each free slot, never more,
// because a job waiting in memory is a job delayed.
func (w *Worker) wanted(started int) int {
	n := int(w.free.Load())
	if w.o.MaxJobs > 0 {
		n = min(n, w.o.MaxJobs-started)
	}
	return n
}

// tellDown raises an event when maintenance mode begins or ends. Only the loop
// calls it.
func (w *Worker) tellDown(ctx context.Context, down bool) {
	switch {
	case down && !w.wasDown:
		spool.Emit(ctx, w.conn.Events(), spool.WorkerPaused{Name: w.o.Name, Connection: w.conn.Name, Down: true})
	case !down && w.wasDown:
		spool.Emit(ctx, w.conn.Events(), spool.WorkerResumed{Name: w.o.Name, Connection: w.conn.Name, Down: true})
	}
	w.wasDown = down
}

// openQueues returns the queues that may be worked now.
func (w *Worker) openQueues(ctx context.Context) []string {
	down := !w.o.Force && w.polls.down()
	w.tellDown(ctx, down)
	if down || w.paused.Load() {
		return nil
	}
	if spool.Listening[*spool.WorkerLooping](w.conn.Events()) {
		e := &spool.WorkerLooping{Name: w.o.Name, Connection: w.conn.Name, Queues: w.o.Queues}
		spool.Emit(ctx, w.conn.Events(), e)
		if e.Vetoed() {
			return nil
		}
	}
	return w.polls.open(ctx, w.conn.Events())
}

// reserve takes up to n jobs, from the first queue first, and starts them. A
// queue that fails doesn't keep the others from being worked.
func (w *Worker) reserve(ctx context.Context, queues []string, n int) (int, error) {
	got := 0
	var errs []error
	for _, q := range queues {
		since := time.Now()
		rs, err := w.take(ctx, q, n-got)
		w.start(rs, since)
		got += len(rs)
		if err != nil {
			errs = append(errs, &spool.Error{Op: "reserve", Connection: w.conn.Name, Queue: q, Err: err})
		}
		if got >= n || ctx.Err() != nil {
			break
		}
	}
	return got, errors.Join(errs...)
}

// start hands reserved jobs to free slots.
func (w *Worker) start(rs []driver.Reservation, since time.Time) {
	if len(rs) == 0 {
		return
	}
	ts := make([]*task, len(rs))
	for i := range rs {
		ts[i] = &task{res: rs[i], slot: -1}
	}
	w.free.Add(-int64(len(ts)))
	w.started.Add(int64(len(ts)))
	w.keep.hold(ts, since)
	w.line.add(ts)
}

// sleep waits for d, for wake (nil: never), for the end of ctx, or for the end
// of MaxTime.
func (w *Worker) sleep(ctx context.Context, wake <-chan struct{}, d time.Duration, begun time.Time) {
	if d = w.bound(d, begun); w.timer == nil {
		w.timer = time.NewTimer(d)
	} else {
		w.timer.Reset(d)
	}
	defer w.timer.Stop()
	select {
	case <-ctx.Done():
	case <-wake:
	case <-w.timer.C:
	}
}

// bound shortens a wait to the end of MaxTime.
func (w *Worker) bound(d time.Duration, begun time.Time) time.Duration {
	if w.o.MaxTime > 0 {
		d = min(d, w.o.MaxTime-time.Since(begun))
	}
	return max(d, 0)
}

// waitForJobs blocks until there may be a job: the backend wakes the worker,
// or Sleep has passed.
func (w *Worker) waitForJobs(ctx context.Context, queues []string, begun, lastFound time.Time) {
	d := w.bound(w.o.Sleep, begun)
	if w.o.StopWhenEmptyFor > 0 {
		left := w.o.StopWhenEmptyFor - time.Since(lastFound)
		if left <= 0 { // only what runs keeps the worker here
			left = time.Second
		}
		d = min(d, left)
	}
	waiter, ok := w.drv.(driver.Waiter)
	if !ok {
		w.sleep(ctx, nil, d, begun)
		return
	}
	since := time.Now()
	if err := waiter.Wait(ctx, queues, d); err != nil && ctx.Err() == nil {
		// Reserving will say what is wrong; here it's enough not to spin.
		w.sleep(ctx, nil, min(d, time.Second), begun)
		return
	}
	w.spare(ctx, time.Since(since), begun)
}

// wake ends a wait of the loop.
func (w *Worker) wake() {
	select {
	case w.freed <- struct{}{}:
	default:
	}
}

// retryDelay grows from about 100 ms to 5 s, jittered so that a fleet doesn't
// come back in step.
func retryDelay(failures int) time.Duration {
	d := min(100*time.Millisecond<<min(failures-1, 6), 5*time.Second)
	return d/2 + rand.N(d/2+1)
}

// memory returns the bytes that the process holds, or 0 where no limit asks.
func (w *Worker) memory() uint64 {
	if w.o.Memory == 0 {
		return 0
	}
	s := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64() - s[1].Value.Uint64()
}
