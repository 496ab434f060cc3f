package limit

import (
	"context"
	"time"

	"github.com/spoolq/spool"
)

// The lease of a lock, and when a job comes back that didn't get it.
const (
	lease    = time.Minute
	comeBack = 3 * time.Second
)

// OverlapOptions are the options of [WithoutOverlapping].
type OverlapOptions struct {
	// Store is where the lock is; that of the job's manager.
	Store *Store
	// After is when a job comes back that finds another one running; 3 s.
	After time.Duration
	// Drop has such a job end as if it had run: Laravel's dontRelease.
	Drop bool
	// Expire is how long the lock of a worker that has died stays, three seconds
	// at least; a minute (Laravel's expireAfter: for ever). A worker that lives
	// renews it.
	Expire time.Duration
	// Class is what the job goes by in the lock's name, e.g. the Laravel class
	// that must not run at the same time; its own.
	Class string
	// Shared leaves the class out of the lock's name, so that jobs of different
	// classes don't overlap either.
	Shared bool
}

// WithoutOverlapping returns a middleware that lets one job of a class and a key
// run at a time: Laravel's WithoutOverlapping, with its locks.
func WithoutOverlapping(key func(job *spool.Job) string, opts *OverlapOptions) spool.Middleware {
	var o OverlapOptions
	if opts != nil {
		o = *opts
	}
	if o.After <= 0 {
		o.After = comeBack
	}
	if o.Expire <= 0 {
		o.Expire = lease
	}
	o.Expire = max(o.Expire, minLease)
	return func(next spool.HandlerFunc) spool.HandlerFunc {
		return func(ctx context.Context, job *spool.Job) error {
			name := o.lockName(job, key(job))
			locks, err := o.Store.locks(ctx)
			if err != nil {
				return unavailable(name, err)
			}
			owner, since := newOwner(), time.Now()
			switch ok, err := locks.Acquire(ctx, name, owner, o.Expire); {
			case err != nil:
				giveBack(ctx, locks, owner, name) // it may have been taken all the same
				return unavailable(name, err)
			case ok:
				return hold(ctx, locks, name, owner, o.Expire, since, func(ctx context.Context) error { return next(ctx, job) })
			case o.Drop:
				return nil
			}
			return &Error{Name: name, After: o.After}
		}
	}
}

func (o *OverlapOptions) lockName(job *spool.Job, key string) string {
	if o.Shared {
		return spool.OverlapPrefix + key
	}
	class, display := names(job)
	if o.Class != "" {
		class, display = o.Class, o.Class
	}
	return spool.KeysOf(job.Format).Overlap(class, display, key)
}

// names returns what a job goes by in the names of locks: a PHP class has a
// display name that may count, any other job its own.
func names(job *spool.Job) (class, display string) {
	if p := job.Payload; p != nil && p.Job != p.Name {
		return p.Name, p.DisplayName
	}
	return job.Name, job.Name
}
