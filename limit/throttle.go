package limit

import (
	"context"
	"time"

	"github.com/spoolq/spool"
)

// Rate is a bound on how often something is done, see [Throttle].
type Rate struct {
	store *Store
	limit Limit
	block time.Duration
}

// Throttle bounds how often something is done, in all processes: Laravel's
// Redis::throttle. In a store of package limit/redislimit it is that; in any
// other one the name is a key of Laravel's cache RateLimiter. Say how often with
// Allow and Every: without them, never.
//
//	err := limit.Throttle("stripe").Allow(10).Every(time.Minute).Do(ctx, func(ctx context.Context) error { … })
func Throttle(name string) Rate { return Rate{limit: Limit{Key: name}} }

// In names the store; the default is that of the job's manager.
func (r Rate) In(s *Store) Rate { r.store = s; return r }

// Allow says how often.
func (r Rate) Allow(n int) Rate { r.limit.Max = n; return r }

// Every says in what time; whole seconds, rounded up.
func (r Rate) Every(d time.Duration) Rate { r.limit.Per = d; return r }

// Block waits up to d for room; the default is not at all (Laravel: 3 s).
func (r Rate) Block(d time.Duration) Rate { r.block = d; return r }

// Do calls fn if there is room, or returns an [*Error]: a job that returns that
// comes back when there is.
func (r Rate) Do(ctx context.Context, fn func(ctx context.Context) error) error {
	var after time.Duration
	err := until(ctx, r.block, func() (wait time.Duration, err error) {
		if r.block <= 0 {
			after, err = take(ctx, r.store, []Limit{r.limit})
			return after, err
		}
		c, err := r.store.counter(ctx)
		if err != nil {
			return 0, err
		}
		after, err = c.Take(ctx, r.limit)
		return min(after, ratePoll), err
	})
	switch {
	case err != nil:
		return unavailable(r.limit.Key, err)
	case after > 0:
		return &Error{Name: r.limit.Key, After: after}
	}
	return fn(ctx)
}

// Middleware runs whole jobs inside of it.
func (r Rate) Middleware() spool.Middleware { return around(r.Do) }

// ratePoll is how often a blocked caller looks for room, as in Laravel.
const ratePoll = 750 * time.Millisecond
