// Package limit keeps jobs from running too often, or too many at a time:
// Laravel's job middleware RateLimited, WithoutOverlapping and
// ThrottlesExceptions, and its Redis::throttle and Redis::funnel.
//
// What is counted and locked is in a store that all processes share, under
// Laravel's keys and in its form, so that the limits hold for PHP and Go workers
// together. That is the store of the job's manager (with a configuration: its
// cache), another one given with [In], or Redis without a cache, as
// Redis::throttle has it, with package limit/redislimit.
//
// A job that may not run now is given back: the delivery is no attempt where the
// queue can undo one (see [github.com/spoolq/spool.GiveBack]), and it comes back when it may run,
// as far as that can be foreseen. Several limits are taken all at once or none.
// Locks and slots are leases: they are renewed while their holder runs, and end
// soon after it has died. A limit of 0 lets nothing through.
//
// The package imports package spool and package cache, no SDK.
package limit
