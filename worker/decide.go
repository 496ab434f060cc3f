package worker

import (
	"errors"
	"fmt"
	"time"

	"github.com/spoolq/spool"
)

// Reasons for which a job fails besides its own error. Test with errors.Is.
var (
	// ErrMaxAttempts says that a job had no attempt left when it was taken.
	ErrMaxAttempts = errors.New("attempted too many times")
	// ErrTimeout is the cause of a context that ended with the job's timeout.
	ErrTimeout = errors.New("timed out")
	// ErrLeaseLost is the cause of a context that ended because the job's
	// reservation was lost, or could not be renewed in time.
	ErrLeaseLost = errors.New("lease lost")
	// ErrStopping is the cause of a context that ended because the worker stops.
	ErrStopping = errors.New("worker is stopping")
	// ErrUnknownJob says that no handler has the job's name.
	ErrUnknownJob = errors.New("no handler for this job")
	// ErrExited is the exception of a handler that ended its goroutine with
	// runtime.Goexit instead of returning.
	ErrExited = errors.New("the handler has ended its goroutine")
)

// action is what happens to a job after a run.
type action int

const (
	leave    action = iota // write nothing: it is another's, or its lease must run out
	remove                 // done
	release                // run again after delay; the attempt counts
	giveBack               // run again after delay; the attempt doesn't count
	fail                   // record and remove
)

func (a action) String() string {
	return [...]string{"leave", "remove", "release", "giveBack", "fail"}[a]
}

// ending is how a run ended.
type ending struct {
	// outcome is the handler's own decision, by return value or by method.
	outcome spool.Outcome
	// err is the exception: the error returned, the panic, or nil.
	err error
	// cause is why the context ended before the handler did: ErrTimeout,
	// ErrLeaseLost, ErrStopping, or nil.
	cause error
	// exceptions is how many of the job's attempts have ended with an error,
	// this one included; 0 if nobody counts.
	exceptions int
}

// verdict is what decide says.
type verdict struct {
	action action
	delay  time.Duration
	err    error // why it failed or was released
}

// exhausted says whether a job may not even start: Laravel's check before a
// run. retryUntil replaces tries; it is a whole second, which may still be used
// to its end. Tries below 0 allow no run at all.
func exhausted(p spool.Policy, attempt int, now time.Time) bool {
	if !p.RetryUntil.IsZero() {
		return now.Unix() > p.RetryUntil.Unix()
	}
	return p.Tries != nil && *p.Tries != 0 && attempt > *p.Tries
}

// last says whether a job that raised an exception in this attempt has none
// left.
func last(p spool.Policy, attempt int, now time.Time) bool {
	if !p.RetryUntil.IsZero() {
		return !p.RetryUntil.After(now)
	}
	return p.Tries != nil && *p.Tries > 0 && attempt >= *p.Tries
}

// spent says whether a job has raised all the exceptions it may.
func spent(p spool.Policy, exceptions int) bool {
	return p.MaxExceptions > 0 && exceptions >= p.MaxExceptions
}

// decide judges a run that has ended. It is pure; the rows of its test are
// Laravel's rules.
func decide(p spool.Policy, attempt int, now time.Time, e ending) verdict {
	if errors.Is(e.cause, ErrLeaseLost) && (e.err != nil || e.outcome.Kind == spool.Released || e.outcome.Kind == spool.Returned) {
		return verdict{action: leave, err: e.cause}
	}
	switch e.outcome.Kind {
	case spool.Deleted:
		return verdict{action: remove}
	case spool.Released:
		return verdict{action: release, delay: e.outcome.Delay}
	case spool.Returned:
		return verdict{action: giveBack, delay: e.outcome.Delay, err: e.outcome.Err}
	case spool.Failed:
		return verdict{action: fail, err: e.outcome.Err}
	}
	if e.err == nil {
		return verdict{action: remove} // even if its time was up: the work is done
	}
	switch {
	case errors.Is(e.cause, ErrStopping):
		return verdict{action: giveBack, err: e.cause}
	case errors.Is(e.cause, ErrTimeout):
		if p.FailOnTimeout {
			return verdict{action: fail, err: e.err}
		}
	}
	if last(p, attempt, now) || spent(p, e.exceptions) {
		return verdict{action: fail, err: e.err}
	}
	return verdict{action: release, delay: p.BackoffAfter(attempt), err: e.err}
}

// decideStuck judges a handler that hasn't returned in the grace after its
// timeout: its job fails now if it would not be retried; else nothing is
// written, so that it can't run twice while this run lives.
func decideStuck(p spool.Policy, attempt int, now time.Time, exceptions int, timeout time.Duration) verdict {
	if p.FailOnTimeout || last(p, attempt, now) || spent(p, exceptions) {
		return verdict{action: fail, err: fmt.Errorf("%w after %v, and its handler ignored its context", ErrTimeout, timeout)}
	}
	return verdict{action: leave}
}

// unknownDelay is how long a job without a handler stays away from this queue
// after it was met n times: 1, 2, 4 … 30 seconds, so that it neither bounces
// hot nor starves the queue.
func unknownDelay(n int) time.Duration {
	return min(time.Second<<min(max(n-1, 0), 5), 30*time.Second)
}
