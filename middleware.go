package spool

import (
	"context"
	"errors"
	"time"
)

// Skip returns a middleware that passes over jobs for which cond is true: they
// end as if they had run, so that a chain goes on. It is Laravel's Skip::when.
func Skip(cond func(ctx context.Context, job *Job) bool) Middleware {
	return func(next HandlerFunc) HandlerFunc {
		return func(ctx context.Context, job *Job) error {
			if cond(ctx, job) {
				return nil
			}
			return next(ctx, job)
		}
	}
}

// ReleaseIf returns a middleware that puts jobs back for d while cond is true.
// The attempt counts, as with Laravel's Release::when; a middleware of one's own
// that returns [GiveBack] has it not count.
func ReleaseIf(cond func(ctx context.Context, job *Job) bool, d time.Duration) Middleware {
	return func(next HandlerFunc) HandlerFunc {
		return func(ctx context.Context, job *Job) error {
			if cond(ctx, job) {
				return Release(d)
			}
			return next(ctx, job)
		}
	}
}

// FailOnError returns a middleware that fails jobs at once whose error matches,
// whatever attempts are left: Laravel's FailOnException. See [IsAny] for errors
// to be listed.
func FailOnError(match func(err error) bool) Middleware {
	return func(next HandlerFunc) HandlerFunc {
		return func(ctx context.Context, job *Job) error {
			err := next(ctx, job)
			if err != nil && OutcomeOf(err).Kind == Undecided && match(err) {
				return Fail(err)
			}
			return err
		}
	}
}

// IsAny returns a function that says whether an error is one of these, as
// errors.Is does.
func IsAny(targets ...error) func(err error) bool {
	return func(err error) bool {
		for _, t := range targets {
			if errors.Is(err, t) {
				return true
			}
		}
		return false
	}
}
