package spool

import (
	"errors"
	"fmt"
	"time"
)

// OutcomeKind is how a handler wants its job to end.
type OutcomeKind int

// The outcomes. Undecided leaves it to the handler's error: none deletes the
// job, another one is an exception that is retried or fails by policy.
const (
	Undecided OutcomeKind = iota
	Deleted
	Released
	Failed
	// Returned is a release of a job that was turned away before it really ran:
	// see [GiveBack].
	Returned
)

// Outcome is a decision about one delivery, made by the handler.
type Outcome struct {
	Kind  OutcomeKind
	Delay time.Duration // of Released and Returned
	Err   error         // of Failed, and perhaps of Returned
}

// outcomeError carries an outcome through a handler's return value.
type outcomeError struct{ Outcome }

func (e *outcomeError) Error() string {
	switch e.Kind {
	case Released:
		return fmt.Sprintf("release after %v", e.Delay)
	case Returned:
		if e.Err == nil {
			return fmt.Sprintf("give back for %v", e.Delay)
		}
	}
	return e.Err.Error()
}

func (e *outcomeError) Unwrap() error { return e.Err }

// Release is returned by a handler to put its job back on the queue and run it
// again after d. It is no exception, but the attempt counts.
func Release(d time.Duration) error {
	return &outcomeError{Outcome{Kind: Released, Delay: max(d, 0)}}
}

// GiveBack is returned by a middleware that turns a job away before it has done
// anything, because it may not run now: it comes back after d, and this
// delivery is no attempt. A server that counts deliveries itself (SQS,
// beanstalkd) has counted it all the same; there the worker keeps count of
// those that were given back and takes them off. Where the job runs in its
// caller (the sync connection) nothing can bring it back: the caller gets the
// error. why is what the event tells; nil if there is nothing to say.
func GiveBack(d time.Duration, why error) error {
	return &outcomeError{Outcome{Kind: Returned, Delay: max(d, 0), Err: why}}
}

// ErrFailedByHand is the reason of a job that was failed without one.
var ErrFailedByHand = errors.New("failed by hand")

// Fail is returned by a handler to fail its job at once, whatever attempts are
// left. A nil err stands for [ErrFailedByHand].
func Fail(err error) error {
	if err == nil {
		err = ErrFailedByHand
	}
	return &outcomeError{Outcome{Kind: Failed, Err: err}}
}

// OutcomeOf returns the outcome that err carries: of [Release], [GiveBack] or
// [Fail], even when wrapped, else Undecided.
func OutcomeOf(err error) Outcome {
	if e, ok := errors.AsType[*outcomeError](err); ok {
		return e.Outcome
	}
	return Outcome{}
}
