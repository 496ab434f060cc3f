package spool

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
)

// Follower does what must follow when a job has ended for good: the next link
// of a chain is dispatched, a batch counts its member, a lock is released.
// failure is why the job failed, nil if it is done (or was deleted by its
// handler, which counts as done). It isn't called for a job that is released.
//
// A worker calls it before the end is stored, while it holds the job: a crash
// brings the job back, and the call with it, so that what follows may happen
// twice but is never left out. It should be idempotent per job UUID. Rarely, a
// job that failed in one worker may still be done in another afterwards, or
// the other way round, when the first loses the job while its end is stored.
//
// An error is reported and the call repeated with growing waits, while the
// job is held; a job whose worker stops meanwhile comes back. One that can't be
// mended by waiting is returned as [Fail]: it fails a job that was done, and
// is only reported of one that had failed.
type Follower func(ctx context.Context, job *Job, failure error) error

// Followers are the followers of an application's jobs. The zero value is
// ready; a nil *Followers has none and takes none. All methods are safe for
// concurrent use.
type Followers struct {
	mu   sync.Mutex
	list atomic.Pointer[[]Follower]

	// batch follows members and callbacks of batches only, before the list: jobs
	// that have nothing to do with one mustn't pay for it.
	batch atomic.Pointer[Follower]
	// chain follows links of chains only, before the others: a batch has yet to
	// count them.
	chain Follower
	// unlock follows jobs that may have a unique lock only, before all others:
	// the next link of a chain may need it.
	unlock Follower
}

// Add adds a follower behind the others: it is called when those have
// succeeded. Add them before the first worker starts.
func (f *Followers) Add(fn Follower) {
	f.mu.Lock()
	defer f.mu.Unlock()
	list := append(slices.Clone(f.all()), fn)
	f.list.Store(&list)
}

// all returns the followers of all jobs in their order; don't change the slice.
func (f *Followers) all() []Follower {
	if f == nil {
		return nil
	}
	if list := f.list.Load(); list != nil {
		return *list
	}
	return nil
}

// For returns those that follow the end of this job, in their order; don't
// change the slice.
func (f *Followers) For(job *Job) []Follower {
	list := f.all()
	if f == nil {
		return list
	}
	if batch := f.batch.Load(); batch != nil && job.Payload != nil && job.Payload.BatchID != "" {
		list = append([]Follower{*batch}, list...)
	}
	if f.chain != nil && job.linked() {
		list = append([]Follower{f.chain}, list...)
	}
	if f.unlock != nil && job.lockable() {
		list = append([]Follower{f.unlock}, list...)
	}
	return list
}

// Unlock frees the unique lock of a job that is gone, though it was released:
// its connection has nowhere to put it back.
func (f *Followers) Unlock(ctx context.Context, job *Job) error {
	if f == nil || f.unlock == nil || !job.lockable() {
		return nil
	}
	return f.unlock(ctx, job, nil)
}
