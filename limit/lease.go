package limit

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/spoolq/spool"
)

// ErrLost is the cause of a context that ended because the lock or the slot of
// its job was lost: it could not be renewed in time, or was released by force.
var ErrLost = errors.New("lock lost")

// askTimeout bounds one call to a store of locks.
const askTimeout = 5 * time.Second

// grain is the unit of the stores' clocks: a lock may end by so much before its
// time. minLease is a lease that can be renewed all the same.
const (
	grain    = time.Second
	minLease = 3 * time.Second
)

// newOwner returns the proof of one holder. It is of one run, not of a job: two
// runs of a job that was lost must not overlap either.
func newOwner() string { return rand.Text()[:20] }

// hold runs fn while a lock that owner has is renewed, and gives it back. When it
// is lost fn's context is cancelled. since is when it was asked for.
func hold(ctx context.Context, locks spool.Locks, name, owner string, ttl time.Duration, since time.Time, fn func(ctx context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	renewed := make(chan struct{})
	stop := make(chan struct{})
	go func() {
		defer close(renewed)
		renew(ctx, locks, name, owner, ttl, since, stop, cancel)
	}()
	defer func() {
		close(stop)
		cancel(nil)
		<-renewed
		giveBack(ctx, locks, owner, name)
	}()
	return fn(ctx)
}

// renew renews a lock that was asked for at since until stop is closed or it is
// lost. After a failure nothing is waited for beyond the end: then it may be
// another's.
func renew(ctx context.Context, locks spool.Locks, name, owner string, ttl time.Duration, since time.Time, stop <-chan struct{}, cancel context.CancelCauseFunc) {
	var failure error
	sure := ttl - grain
	end := since.Add(sure)
	tick := time.NewTicker(sure / 3)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
		}
		now, wait := time.Now(), min(askTimeout, max(sure/3, time.Second))
		if failure != nil {
			wait = min(wait, end.Sub(now))
		}
		if wait > 0 {
			ask, done := context.WithTimeout(context.WithoutCancel(ctx), wait)
			var ours bool
			ours, failure = locks.Acquire(ask, name, owner, ttl)
			done()
			switch {
			case failure == nil && ours:
				end = now.Add(sure)
				continue
			case failure == nil:
				cancel(fmt.Errorf("%w: %s is another's", ErrLost, name))
				return
			}
		}
		if !time.Now().Before(end) {
			cancel(fmt.Errorf("%w: %s could not be renewed: %w", ErrLost, name, failure))
			return
		}
	}
}

// giveBack releases the locks of these that owner has. One that can't be released
// ends by itself.
func giveBack(ctx context.Context, locks spool.Locks, owner string, names ...string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), askTimeout)
	defer cancel()
	for _, name := range names {
		if _, err := locks.Release(ctx, name, owner); err != nil {
			return
		}
	}
}
