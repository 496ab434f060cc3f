package drivertest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/spoolq/spool/driver"
)

func closeCases() []testCase {
	return []testCase{
		{name: "after close every method returns ErrClosed", run: closedMethods},
		{name: "close is idempotent", run: closeTwice},
		{name: "close unblocks waiters", needs: []capability{storage, waits}, run: closeUnblocks},
		{name: "close leaves jobs in the store", needs: []capability{storage, second}, run: closeLeavesJobs},
		{name: "close leaves reservations alone", needs: []capability{storage, second, leases, outlive}, slow: true, run: closeLeavesReservations},
	}
}

// closable returns a connection that the case may close.
func (f *fixture) closable() driver.Conn {
	f.Helper()
	if f.h.Second == nil {
		return f.c
	}
	return f.h.Second(f.T)
}

func closedMethods(f *fixture) {
	c, q := f.closable(), f.queue("closed")
	rs := []driver.Reservation{{Queue: q}}
	if !f.traits.Instant && !f.h.Discards {
		f.push(c, q, 1, 0)
		rs = f.reserveN(c, q, 1)
	}
	f.must("Close", c.Close())

	ctx := f.ctx()
	calls := map[string]func() error{
		"Push":    func() error { _, err := c.Push(ctx, q, messages(f.newSamples(1))); return err },
		"Reserve": func() error { _, err := c.Reserve(ctx, q, 1); return err },
		"Delete":  func() error { return c.Delete(ctx, rs) },
		"Release": func() error { return c.Release(ctx, rs, 0) },
	}
	closedOptional(ctx, c, q, rs, calls)
	for name, call := range calls {
		if err := call(); !errors.Is(err, driver.ErrClosed) {
			f.Errorf("%s after Close returned %v, want ErrClosed", name, err)
		}
	}
}

// closedOptional adds the calls of the optional verbs that c has.
func closedOptional(ctx context.Context, c driver.Conn, q string, rs []driver.Reservation, calls map[string]func() error) {
	if c, ok := c.(driver.Waiter); ok {
		calls["Wait"] = func() error { return c.Wait(ctx, []string{q}, time.Second) }
	}
	if c, ok := c.(driver.Extender); ok {
		calls["Extend"] = func() error { return c.Extend(ctx, rs) }
	}
	if c, ok := c.(driver.Returner); ok {
		calls["Return"] = func() error { return c.Return(ctx, rs, 0) }
	}
	if c, ok := c.(driver.Sizer); ok {
		calls["Size"] = func() error { _, err := c.Size(ctx, q); return err }
	}
	if c, ok := c.(driver.Lister); ok {
		calls["List"] = func() error { _, _, err := c.List(ctx, q, driver.Pending, "", 1); return err }
	}
	if c, ok := c.(driver.QueueLister); ok {
		calls["Queues"] = func() error { _, err := c.Queues(ctx); return err }
	}
	if c, ok := c.(driver.Clearer); ok {
		calls["Clear"] = func() error { _, err := c.Clear(ctx, q); return err }
	}
	if c, ok := c.(driver.Rescuer); ok {
		calls["Rescue"] = func() error { _, err := c.Rescue(ctx, q, 1); return err }
	}
	if c, ok := c.(driver.Pinger); ok {
		calls["Ping"] = func() error { return c.Ping(ctx) }
	}
}

func closeTwice(f *fixture) {
	c := f.closable()
	var closing sync.WaitGroup
	for range 4 {
		closing.Go(func() {
			if err := c.Close(); err != nil {
				f.Errorf("Close: %v", err)
			}
		})
	}
	closing.Wait()
	f.must("Close of a closed connection", c.Close())
}

func closeUnblocks(f *fixture) {
	c, q := f.closable(), f.queue("waiter")
	done := []<-chan answer{
		f.waiting(f.ctx(), c, longWait, q),
		f.waiting(f.ctx(), c, longWait, q, f.queue("another")),
	}
	time.Sleep(300 * time.Millisecond)
	start := time.Now()
	f.must("Close", c.Close())
	for _, d := range done {
		a := <-d
		if a.err != nil && !errors.Is(a.err, driver.ErrClosed) {
			f.Errorf("Wait, unblocked by Close, returned %v, want ErrClosed or nothing", a.err)
		}
		if took := a.at.Sub(start); took > time.Second+atOnce {
			f.Errorf("Wait returned %v after Close", took)
		}
	}
}

func closeLeavesJobs(f *fixture) {
	q, c := f.queue("survive"), f.closable()
	ss := f.push(c, q, 3, 0)
	f.push(c, q, 1, f.far())
	f.must("Close", c.Close())
	f.sameOrder(f.idsOf(f.reserveN(f.c, q, 3)), sampleIDs(ss))
	if s, ok := f.size(q); ok && s.Delayed != 1 {
		f.Errorf("Size is %+v, want the delayed job to have survived", s)
	}
}

func closeLeavesReservations(f *fixture) {
	q, c := f.queue("survive"), f.closable()
	ss := f.push(f.c, q, 2, 0)
	began := called(func() { f.reserveN(c, q, 2) })
	f.must("Close", c.Close())
	first, m := f.appearance(f.c, q)
	f.leaseEnded(m, began)
	second, _ := f.appearance(f.c, q)
	for _, r := range []driver.Reservation{first, second} {
		if r.Attempts != 2 {
			f.Errorf("the delivery after one whose connection was closed has %d attempts, want 2", r.Attempts)
		}
	}
	f.sameSet(slices.Concat(f.idsOf([]driver.Reservation{first}), f.idsOf([]driver.Reservation{second})), sampleIDs(ss))
}
