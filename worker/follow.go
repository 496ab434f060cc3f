package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/driver"
)

// followTimeout bounds one call of a follower.
const followTimeout = 30 * time.Second

// follow has the followers of a job do what follows its end, before that is
// stored. It tries until they have; meanwhile the lease is kept. ok is false
// if the job was lost meanwhile, or the worker stops: then nothing more must
// be written. err is what a follower says that no waiting will mend.
func (w *Worker) follow(ctx context.Context, t *task, failure error, runtime time.Duration) (err error, ok bool) {
	followers := w.o.Followers.For(t.job)
	if len(followers) == 0 {
		return nil, true
	}
	ctx = spool.WithJob(ctx, t.job)
	for _, f := range followers {
		for n := 1; ; n++ {
			err := w.stillOurs(ctx, t)
			if errors.Is(err, driver.ErrLost) {
				w.lost(ctx, t, runtime)
				return nil, false
			}
			if err == nil {
				err = w.callFollower(ctx, f, t.job, failure)
			}
			if err == nil {
				break
			}
			if spool.OutcomeOf(err).Kind == spool.Failed {
				if failure == nil {
					return fmt.Errorf("the job is done, but not what follows it: %w", err), true
				}
				w.o.Logger.Error("what follows a failed job can't be done", "job", t.job.DisplayName(), "uuid", t.job.UUID, "queue", t.res.Queue, "error", err)
				break
			}
			if also, ok := w.unfollowed.now(); ok {
				w.o.Logger.Warn("what follows a job's end could not be done, trying again", "job", t.job.DisplayName(), "uuid", t.job.UUID,
					"queue", t.res.Queue, "tries", n, "more", also, "error", err)
			}
			if !w.pause(ctx, retryDelay(n)) {
				w.keep.drop(t) // it comes back when its lease ends
				return nil, false
			}
		}
	}
	return nil, true
}

// callFollower calls a follower, for a while.
func (w *Worker) callFollower(ctx context.Context, f spool.Follower, job *spool.Job, failure error) error {
	ctx, cancel := context.WithTimeout(ctx, followTimeout)
	defer cancel()
	return callFollower(ctx, f, job, failure)
}

// stillOurs returns driver.ErrLost if another may hold the job: what follows
// its end is then another's business too.
func (w *Worker) stillOurs(ctx context.Context, t *task) error {
	if w.keep.trusts(t) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, followTimeout)
	defer cancel()
	return w.keep.confirm(ctx, t)
}

// callFollower calls a follower. One that panics does so again.
func callFollower(ctx context.Context, f spool.Follower, job *spool.Job, failure error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = spool.Fail(&PanicError{Value: v})
		}
	}()
	return f(ctx, job, failure)
}

// followInline is follow for a job that runs in its caller, who is told of
// what can't be done. It takes as long as the caller allows: what follows may be
// a job that runs at once, too.
func followInline(ctx context.Context, followers *spool.Followers, job *spool.Job, failure error) error {
	var errs []error
	for _, f := range followers.For(job) {
		if err := callFollower(ctx, f, job, failure); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
