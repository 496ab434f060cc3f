package limit

import (
	"context"
	"time"

	"github.com/spoolq/spool"
)

// ExceptionOptions are the options of [ThrottlesExceptions].
type ExceptionOptions struct {
	// Store is where is counted; that of the job's manager.
	Store *Store
	// By is what the exceptions are counted by, e.g. the name of the service that
	// several kinds of jobs call; the class of the job.
	By string
	// ByJob counts the exceptions of each job for itself.
	ByJob bool
	// Class is what the job goes by where its class is what is counted by; its
	// own.
	Class string
	// Backoff is when a job comes back that raised an exception below the limit;
	// at once.
	Backoff time.Duration
	// When says which exceptions count; nil means all. The others are left to the
	// job's policy.
	When func(err error) bool
	// Report is told of exceptions that count; nil means nobody is, since the job
	// doesn't end with them.
	Report func(ctx context.Context, job *spool.Job, err error)
	// DeleteWhen and FailWhen say which exceptions delete or fail a job at once.
	DeleteWhen, FailWhen func(err error) bool
}

// ThrottlesExceptions returns a middleware that holds jobs back for a while when
// max exceptions came within per, e.g. because a service they call is down:
// Laravel's ThrottlesExceptions, with its counters. A job that raised one comes
// back, and it is not held against its MaxExceptions, though the attempt counts;
// a job that succeeds resets the count. In a store of package limit/redislimit
// it is ThrottlesExceptionsWithRedis. A max of 0 lets no job run.
func ThrottlesExceptions(max int, per time.Duration, opts *ExceptionOptions) spool.Middleware {
	var o ExceptionOptions
	if opts != nil {
		o = *opts
	}
	return func(next spool.HandlerFunc) spool.HandlerFunc {
		return func(ctx context.Context, job *spool.Job) (err error) {
			l := Limit{Max: max, Per: per, Key: o.key(job)}
			c, err := o.Store.counter(ctx)
			if err != nil {
				return unavailable(l.Key, err)
			}
			switch wait, err := c.Wait(ctx, l); {
			case err != nil:
				return unavailable(l.Key, err)
			case wait > 0:
				return &Error{Name: l.Key, After: wait}
			}
			defer func() {
				if v := recover(); v != nil { // counts, and stays a panic
					_, _ = c.Take(ctx, l)
					panic(v)
				}
			}()
			return o.judge(ctx, c, l, job, next(ctx, job))
		}
	}
}

// judge says what becomes of a job that ended with err.
func (o *ExceptionOptions) judge(ctx context.Context, c Counter, l Limit, job *spool.Job, err error) error {
	switch {
	case err == nil:
		_ = c.Clear(context.WithoutCancel(ctx), l.Key) // the job is done all the same
		return nil
	case spool.OutcomeOf(err).Kind != spool.Undecided, ctx.Err() != nil, o.When != nil && !o.When(err):
		// A decision, the end of the time, of the worker or of the lease, or of no
		// interest.
		return err
	}
	if o.Report != nil {
		o.Report(ctx, job, err)
	}
	switch {
	case o.DeleteWhen != nil && o.DeleteWhen(err):
		job.Delete()
		return err
	case o.FailWhen != nil && o.FailWhen(err):
		return spool.Fail(err)
	}
	if _, cerr := c.Take(ctx, l); cerr != nil {
		return err // not counted: then it is the policy's
	}
	return spool.Release(o.Backoff)
}

func (o *ExceptionOptions) key(job *spool.Job) string {
	switch {
	case o.By != "":
		return spool.ThrottlesPrefix + o.By
	case o.ByJob:
		return spool.ThrottlesPrefix + job.UUID
	case o.Class != "":
		return spool.KeysOf(job.Format).Throttled(o.Class, o.Class)
	}
	return spool.KeysOf(job.Format).Throttled(names(job))
}
