package drivertest

import (
	"context"
	"errors"
	"time"

	"github.com/spoolq/spool/driver"
)

// atOnce is how long "at once" may take on a machine that has much else to do.
const atOnce = time.Second

// longWait is how long Wait is asked to wait where something should end it.
const longWait = 10 * time.Second

func waitCases() []testCase {
	needs := []capability{storage, waits}
	return []testCase{
		{name: "wait returns at once when a job is ready", needs: needs, run: waitReady},
		{name: "wait returns after max", needs: needs, slow: true, run: waitMax},
		{name: "wait ends with its context", needs: needs, slow: true, run: waitCancelled},
		{name: "wait is woken at once by a push of the same connection", needs: needs, slow: true, run: waitOwnPush},
		{name: "wait is woken by a push of another connection", needs: []capability{storage, waits, second}, slow: true, run: waitOtherPush},
		{name: "every waiter is woken", needs: needs, slow: true, run: waitMany},
		{name: "wait returns in time for a delayed job", needs: needs, slow: true, run: waitDelayed},
		{name: "wait returns in time for a job put off meanwhile", needs: needs, slow: true, run: waitPutOff},
		{name: "wait doesn't spin", needs: needs, slow: true, run: waitIdle},
	}
}

// An answer is what a call of Wait returned, and when.
type answer struct {
	err error
	at  time.Time
}

// waiting starts a Wait and returns where its answer will be.
func (f *fixture) waiting(ctx context.Context, c driver.Conn, max time.Duration, queues ...string) <-chan answer {
	done := make(chan answer, 1)
	finished := make(chan struct{})
	f.Cleanup(func() { <-finished })
	go func() {
		defer close(finished)
		err := c.(driver.Waiter).Wait(ctx, queues, max)
		done <- answer{err, time.Now()}
	}()
	return done
}

// wokenBy checks that a waiter, which is given a moment to settle, returns
// within limit of something. A driver that polls may return before that, which
// says nothing: like a worker, the waiter looks, and waits again.
func (f *fixture) wokenBy(limit time.Duration, what string, do func(), c driver.Conn, queues ...string) {
	f.Helper()
	ctx := f.ctx()
	wait := func() <-chan answer {
		for _, q := range queues {
			f.none(c, q, "nothing was pushed yet")
		}
		return f.waiting(ctx, c, longWait, queues...)
	}
	done := wait()
	settled := time.NewTimer(300 * time.Millisecond)
	defer settled.Stop()
	for waiting := true; waiting; {
		select {
		case a := <-done:
			f.must("Wait", a.err)
			done = wait()
		case <-settled.C:
			waiting = false
		}
	}
	start := time.Now()
	do()
	a := <-done
	f.must("Wait", a.err)
	if took := a.at.Sub(start); took > limit {
		f.Errorf("Wait returned %v after %s, want at most %v", took, what, limit)
	}
}

func (f *fixture) wakeWithin() time.Duration {
	if f.h.WakeWithin > 0 {
		return f.h.WakeWithin
	}
	return 5 * time.Second
}

func waitReady(f *fixture) {
	q, empty := f.queue("ready"), f.queue("empty")
	f.push(f.c, q, 1, 0)
	for _, c := range []driver.Conn{f.c, f.other()} {
		start := time.Now()
		f.must("Wait", c.(driver.Waiter).Wait(f.ctx(), []string{empty, q}, longWait))
		if took := time.Since(start); took > atOnce {
			f.Errorf("Wait returned after %v though a job was ready", took)
		}
		if rs := f.reserveN(c, q, 1); len(rs) == 1 {
			f.must("Release", c.Release(f.ctx(), rs, 0))
		}
	}
}

func waitMax(f *fixture) {
	start := time.Now()
	f.must("Wait", f.c.(driver.Waiter).Wait(f.ctx(), []string{f.queue("max")}, time.Second))
	if took := time.Since(start); took > time.Second+2*atOnce {
		f.Errorf("Wait of at most 1s took %v", took)
	}
}

func waitCancelled(f *fixture) {
	q := f.queue("cancel")
	const after, tries = 200 * time.Millisecond, 3
	for want, begin := range map[error]func() (context.Context, context.CancelFunc){
		context.Canceled: func() (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(f.Context())
			time.AfterFunc(after, cancel)
			return ctx, cancel
		},
		context.DeadlineExceeded: func() (context.Context, context.CancelFunc) {
			return context.WithTimeout(f.Context(), after)
		},
	} {
		silent := 0 // how often Wait returned nil with ctx done: once may be chance
		for range tries {
			ctx, cancel := begin()
			start := time.Now()
			var err error
			for err == nil && time.Since(start) < patience {
				f.none(f.c, q, "nothing was pushed")
				err = f.c.(driver.Waiter).Wait(ctx, []string{q}, longWait)
				if err == nil && ctx.Err() != nil {
					silent++
				}
			}
			if !errors.Is(err, want) {
				f.Errorf("Wait returned %v, want %v", err, want)
			}
			if took := time.Since(start); took > after+atOnce {
				f.Errorf("Wait returned %v only after %v, want about %v", want, took, after)
			}
			cancel()
		}
		if silent >= tries {
			f.Errorf("Wait returned nil when its context ended, want %v", want)
		}
	}
}

func waitOwnPush(f *fixture) {
	empty, q := f.queue("empty"), f.queue("wake")
	for range 3 {
		f.wokenBy(atOnce, "a push of the same connection", func() { f.push(f.c, q, 1, 0) }, f.c, empty, q)
		f.must("Delete", f.c.Delete(f.ctx(), f.reserveN(f.c, q, 1)))
	}
}

func waitOtherPush(f *fixture) {
	empty, q := f.queue("empty"), f.queue("wake")
	for range 3 {
		f.wokenBy(f.wakeWithin(), "a push of another connection", func() { f.push(f.other(), q, 1, 0) }, f.c, empty, q)
		f.must("Delete", f.c.Delete(f.ctx(), f.reserveN(f.c, q, 1)))
	}
}

// waitMany: a worker that was woken may be about to stop, so the others must
// not sleep on.
func waitMany(f *fixture) {
	q := f.queue("many")
	ctx := f.ctx()
	var all []<-chan answer
	for range 5 {
		all = append(all, f.waiting(ctx, f.c, longWait, q))
	}
	time.Sleep(300 * time.Millisecond)
	start := time.Now()
	f.push(f.c, q, 5, 0)
	for _, done := range all {
		a := <-done
		f.must("Wait", a.err)
		if took := a.at.Sub(start); took > 2*atOnce {
			f.Errorf("a waiter returned %v after the push of as many jobs as there are waiters", took)
		}
	}
}

// untilWoken is a worker's loop: reserve, and wait when there is nothing. It
// returns when it got a job and how often it had to look.
func (f *fixture) untilWoken(c driver.Conn, q string) (got time.Time, looks int) {
	f.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		looks++
		if len(f.reserve(c, q, 1)) > 0 {
			return time.Now(), looks
		}
		f.must("Wait", c.(driver.Waiter).Wait(f.ctx(), []string{q}, longWait))
	}
	f.Fatalf("no job after %v of waiting", patience)
	return got, looks
}

func (f *fixture) inTime(got time.Time, looks int, put moment, d time.Duration) {
	f.Helper()
	if late := got.Sub(put.before.Add(d + f.traits.Resolution + atOnce)); late > 0 {
		f.Errorf("a job delayed by %v was reserved %v later than its resolution and %v allow", d, late, atOnce)
	}
	if looks > 100 {
		f.Errorf("Wait returned %d times for one delayed job", looks)
	}
}

func waitDelayed(f *fixture) {
	q := f.queue("delay")
	for _, d := range []time.Duration{time.Second, 2500 * time.Millisecond} {
		push := called(func() { f.push(f.c, q, 1, d) })
		got, looks := f.untilWoken(f.c, q)
		f.inTime(got, looks, push, d)
	}
}

// waitPutOff delays a job while the waiter already waits for something later.
func waitPutOff(f *fixture) {
	q := f.queue("putoff")
	f.push(f.c, q, 1, 0)
	r := f.one(f.c, q, 1)
	f.push(f.c, q, 1, f.far())
	const d = time.Second
	released := make(chan moment, 1)
	timer := time.AfterFunc(300*time.Millisecond, func() {
		released <- called(func() {
			if err := f.c.Release(f.Context(), []driver.Reservation{r}, d); err != nil {
				f.Errorf("Release: %v", err)
			}
		})
	})
	defer timer.Stop()
	got, looks := f.untilWoken(f.c, q)
	f.inTime(got, looks, <-released, d)
}

func waitIdle(f *fixture) {
	q := f.queue("idle")
	f.push(f.c, q, 20, 0)
	f.must("Delete", f.c.Delete(f.ctx(), f.reserveN(f.c, q, 20)))
	f.push(f.c, q, 1, f.far())
	const idle, most = 3 * time.Second, 200
	n := 0
	for end := time.Now().Add(idle); time.Now().Before(end) && n <= most; n++ {
		f.none(f.c, q, "the one job is delayed by far longer")
		f.must("Wait", f.c.(driver.Waiter).Wait(f.ctx(), []string{q}, time.Until(end)))
	}
	if n > most {
		f.Errorf("Wait returned %d times within %v though there was nothing to do", n, idle)
	}
}
