package spool

import "time"

// Policy says how often and how long a job may run. It travels in the payload,
// where PHP workers obey it too; what the payload leaves open comes from the
// handler's registration, then from the worker's flags.
type Policy struct {
	// Tries is how many attempts a job has before it fails; nil leaves it open,
	// 0 means any number.
	Tries *int
	// MaxExceptions fails a job after so many attempts that ended with an error,
	// releases not counted; 0 leaves it open.
	MaxExceptions int
	// Timeout ends the handler's context after this long; nil leaves it open, 0
	// means never. The wire has whole seconds: parts are rounded up.
	Timeout *time.Duration
	// Backoff is the wait before the second attempt, the third and so on, the
	// last one repeating; nil leaves it open. Whole seconds on the wire.
	Backoff []time.Duration
	// RetryUntil replaces Tries: attempts are unlimited before it and fail after
	// it. The zero time leaves it open.
	RetryUntil time.Time
	// FailOnTimeout fails a job at its first timeout.
	FailOnTimeout bool
}

// Or returns p with what it leaves open taken from q. Tries and RetryUntil are
// one decision: a policy that has either keeps both.
func (p Policy) Or(q Policy) Policy {
	if p.Tries == nil && p.RetryUntil.IsZero() {
		p.Tries, p.RetryUntil = q.Tries, q.RetryUntil
	}
	if p.MaxExceptions == 0 {
		p.MaxExceptions = q.MaxExceptions
	}
	if p.Timeout == nil {
		p.Timeout = q.Timeout
	}
	if p.Backoff == nil {
		p.Backoff = q.Backoff
	}
	p.FailOnTimeout = p.FailOnTimeout || q.FailOnTimeout
	return p
}

// BackoffAfter returns the wait after the given attempt (1 is the first): the
// element attempt-1 of Backoff, or its last one; 0 without any.
func (p Policy) BackoffAfter(attempt int) time.Duration {
	if len(p.Backoff) == 0 {
		return 0
	}
	return p.Backoff[min(max(attempt, 1), len(p.Backoff))-1]
}
