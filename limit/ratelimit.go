package limit

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/spoolq/spool"
)

// RateOptions are the options of [RateLimited].
type RateOptions struct {
	// Store is where is counted; that of the job's manager.
	Store *Store
	// After is when a job comes back for which there is no room; when there is,
	// as far as can be foreseen (Laravel: three seconds later).
	After time.Duration
	// Drop has a job that finds no room end as if it had run, instead of coming
	// back: Laravel's dontRelease.
	Drop bool
}

// RateLimited returns a middleware that lets jobs run as often as their limits
// allow: Laravel's RateLimited, with the limiter that RateLimiter::for names. A
// job without limits runs. In a store of package limit/redislimit it is Laravel's
// RateLimitedWithRedis.
//
//	limit.RateLimited("exports", func(job *spool.Job) []limit.Limit {
//		return []limit.Limit{limit.PerMinute(100), limit.PerMinute(5).By(job.Queue)}
//	}, nil)
func RateLimited(name string, limits func(job *spool.Job) []Limit, opts *RateOptions) spool.Middleware {
	var o RateOptions
	if opts != nil {
		o = *opts
	}
	return func(next spool.HandlerFunc) spool.HandlerFunc {
		return func(ctx context.Context, job *spool.Job) error {
			all := limits(job)
			if len(all) == 0 {
				return next(ctx, job)
			}
			switch after, err := take(ctx, o.Store, named(name, all)); {
			case err != nil:
				return unavailable(name, err)
			case after == 0:
				return next(ctx, job)
			case o.Drop:
				return nil
			default:
				if o.After > 0 {
					after = o.After
				}
				return &Error{Name: name, After: after}
			}
		}
	}
}

// named returns limits under their keys in the store: the md5 of the name and
// the key. Several with one key also go by their numbers, as since Laravel 11;
// before, they counted as one.
func named(name string, limits []Limit) []Limit {
	times := make(map[string]int, len(limits))
	for _, l := range limits {
		times[l.Key]++
	}
	all := make([]Limit, len(limits))
	for i, l := range limits {
		key := l.Key
		if times[key] > 1 {
			if key != "" {
				key += ":"
			}
			key += fmt.Sprintf("attempts:%d:decay:%d", l.Max, l.window()/time.Second)
		}
		sum := md5.Sum([]byte(name + key)) //nolint:gosec // a name in Laravel's cache, not security
		all[i] = l.By(hex.EncodeToString(sum[:]))
	}
	return all
}

// farthest is how long a line makes a job wait: one that would have to longer
// comes then and joins the line anew.
const farthest = 365 * 24 * time.Hour

// take takes one of each limit, or returns when to try again.
func take(ctx context.Context, s *Store, limits []Limit) (time.Duration, error) {
	c, err := s.counter(ctx)
	if err != nil {
		return 0, err
	}
	wait, err := c.Take(ctx, limits...)
	if wait == 0 || err != nil {
		return 0, err
	}
	// If all came back when the window ends, all but a few would come in vain. So
	// they form a line, and each comes when the windows before its own have
	// served the others. The strictest limit says how many a window serves.
	strict := limits[0]
	for _, l := range limits[1:] {
		if float64(l.Max)/l.window().Seconds() < float64(strict.Max)/strict.window().Seconds() {
			strict = l
		}
	}
	if strict.Max <= 0 {
		return wait, nil
	}
	n, err := c.Line(ctx, strict, wait)
	if err != nil {
		return wait, nil //nolint:nilerr // it only comes back earlier
	}
	windows := min((n-1)/strict.Max, int(farthest/strict.window()))
	return wait + time.Duration(windows)*strict.window(), nil
}
