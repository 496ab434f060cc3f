package limit

import (
	"context"
	"strconv"
	"time"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/cache"
)

// Concurrency is a bound on how many do something at a time, see [Funnel].
type Concurrency struct {
	store *Store
	name  string
	max   int
	lease time.Duration
	block time.Duration
	after time.Duration
}

// Funnel bounds how many do something at a time, in all processes: Laravel's
// Redis::funnel, and Cache::funnel. Its slots are the locks NAME1, NAME2 …; in a
// store of package limit/redislimit they are those of Redis::funnel. Say how many
// with Limit: without it, none.
//
//	err := limit.Funnel("pdf").Limit(3).Do(ctx, func(ctx context.Context) error { … })
func Funnel(name string) Concurrency {
	return Concurrency{name: name, lease: lease, after: comeBack}
}

// In names the store; the default is that of the job's manager.
func (c Concurrency) In(s *Store) Concurrency { c.store = s; return c }

// Limit says how many at a time.
func (c Concurrency) Limit(n int) Concurrency { c.max = n; return c }

// ReleaseAfter is how long the slot of a process that has died stays taken, three
// seconds at least; a minute. One that lives renews it.
func (c Concurrency) ReleaseAfter(d time.Duration) Concurrency {
	if d > 0 {
		c.lease = max(d, minLease)
	}
	return c
}

// Block waits up to d for a slot; the default is not at all (Laravel: 3 s).
func (c Concurrency) Block(d time.Duration) Concurrency { c.block = d; return c }

// Again is when a job comes back that got none; 3 s.
func (c Concurrency) Again(d time.Duration) Concurrency { c.after = d; return c }

// Do calls fn while it holds a slot, or returns an [*Error]: a job that returns
// that comes back. fn's context ends when the slot is lost.
func (c Concurrency) Do(ctx context.Context, fn func(ctx context.Context) error) error {
	locks, err := c.store.locks(ctx)
	if err != nil {
		return unavailable(c.name, err)
	}
	owner, slots := newOwner(), make([]string, 0, max(c.max, 0))
	for i := range c.max {
		slots = append(slots, c.name+strconv.Itoa(i+1))
	}
	slot, since := "", time.Now()
	err = until(ctx, c.block, func() (time.Duration, error) {
		since = time.Now()
		i, err := cache.AcquireAny(ctx, locks, slots, owner, c.lease)
		if i >= 0 {
			slot = slots[i]
			return 0, err
		}
		return slotPoll, err
	})
	switch {
	case err != nil:
		giveBack(ctx, locks, owner, slots...) // one may have been taken all the same
		return unavailable(c.name, err)
	case slot == "":
		return &Error{Name: c.name, After: c.after}
	}
	return hold(ctx, locks, slot, owner, c.lease, since, fn)
}

// Middleware runs whole jobs inside of it.
func (c Concurrency) Middleware() spool.Middleware { return around(c.Do) }

// slotPoll is how often a blocked caller looks for a slot, as in Laravel.
const slotPoll = 250 * time.Millisecond

// until repeats try until it returns 0 or an error, waiting as long as it says
// between, and no longer than block in all.
func until(ctx context.Context, block time.Duration, try func() (time.Duration, error)) error {
	end := time.Now().Add(block)
	for {
		wait, err := try()
		left := time.Until(end)
		if wait == 0 || err != nil || left <= 0 {
			return err
		}
		select {
		case <-time.After(min(wait, left)):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// around makes a middleware of a function that calls others.
func around(do func(ctx context.Context, fn func(ctx context.Context) error) error) spool.Middleware {
	return func(next spool.HandlerFunc) spool.HandlerFunc {
		return func(ctx context.Context, job *spool.Job) error {
			return do(ctx, func(ctx context.Context) error { return next(ctx, job) })
		}
	}
}
