package spool

import (
	"context"
	"time"
)

// BatchStore keeps batches. Package batch has Laravel's table and others. All
// methods are safe for concurrent use, by other processes too, and return the
// backend's errors as they are, but [ErrBatchNotFound].
type BatchStore interface {
	BatchCounter
	BatchCallbackStore
	BatchLister
}

// BatchCounter keeps the numbers of batches.
type BatchCounter interface {
	// Create stores a new batch with no members, and its callbacks.
	Create(ctx context.Context, r BatchRecord) error
	// Find returns a batch.
	Find(ctx context.Context, id string) (BatchRecord, error)
	// Grow adds n members, which opens a finished batch again; less than 0 takes
	// some away that were never stored. One that has none to wait for then is
	// finished.
	Grow(ctx context.Context, id string, n int) (BatchChange, error)
	// Cancel cancels a batch and says whether it wasn't before.
	Cancel(ctx context.Context, id string) (bool, error)
	// Delete forgets a batch, its callbacks, and who has ended; unknown ones are
	// no error.
	Delete(ctx context.Context, id string) error
	// Record counts the ends of members, all or none, and returns how each batch
	// has changed. An end that was counted before changes nothing, and of a
	// member that had failed before only its success counts. Ends of batches that
	// are gone are passed over. A first failure cancels a batch that doesn't
	// allow any. For events that a change has come to and PHP waits for, a
	// callback is stored with the UUID of [PHPCallbackID].
	Record(ctx context.Context, ends []BatchEnd) ([]BatchChange, error)
}

// BatchCallbackStore keeps which callbacks have not been pushed yet.
type BatchCallbackStore interface {
	// Claim returns the callbacks of these events that nobody has pushed or
	// claimed, and claims them for a minute.
	Claim(ctx context.Context, id string, events []BatchEvent) ([]ClaimedCallback, error)
	// Mark changes where a callback stands.
	Mark(ctx context.Context, id, uuid string, s CallbackState) error
	// Begin says whether a callback may run that was pushed after its nth claim:
	// only if it has not run, and was not claimed again since then, because its
	// push was not heard of. If it may, it counts as pushed from now on. A callback
	// that nothing is known of may run.
	Begin(ctx context.Context, id, uuid string, n int) (bool, error)
	// Owed returns batches that may have come to an event whose callbacks can be
	// claimed, at most max. Memory and time don't depend on their members.
	Owed(ctx context.Context, max int) ([]string, error)
}

// BatchLister lists and removes batches.
type BatchLister interface {
	// List returns up to max batches, newest first, those before the cursor (an
	// ID; "" is the newest), without options and failed ids.
	List(ctx context.Context, before string, max int) ([]BatchRecord, error)
	// Prune removes batches of a kind that are older than a time and returns how
	// many. It works in chunks; what was removed before an error counts.
	Prune(ctx context.Context, kind BatchKind, before time.Time) (int64, error)
}

// BatchKind says which batches to prune, and by which time.
type BatchKind int

// The kinds of batches, as in Laravel's queue:prune-batches.
const (
	FinishedBatches   BatchKind = iota // by the time they were finished
	UnfinishedBatches                  // by the time they were created
	CancelledBatches                   // by the time they were created
)

// BatchEnd is the end of a member.
type BatchEnd struct {
	Batch, UUID string
	Failed      bool
}

// BatchCounts are the numbers of a batch.
type BatchCounts struct {
	Total, Pending, Failed int
	Failing                int // members that have failed and not succeeded since
	Cancelled, Finished    bool
}

// Ended says whether every member has ended, well or not.
func (c BatchCounts) Ended() bool { return c.Pending <= c.Failing }

// BatchChange is what has become of a batch.
type BatchChange struct {
	ID            string
	Before, After BatchCounts
}

// Events returns the events that the batch has come to by the change.
func (c BatchChange) Events() []BatchEvent {
	var events []BatchEvent
	for _, e := range c.After.Events() {
		if !c.Before.reached(e) {
			events = append(events, e)
		}
	}
	return events
}

// Events returns the events that a batch with these numbers has come to.
func (c BatchCounts) Events() []BatchEvent {
	var events []BatchEvent
	for _, e := range []BatchEvent{BatchCatch, BatchThen, BatchFinally} {
		if c.reached(e) {
			events = append(events, e)
		}
	}
	return events
}

// reached says whether a batch has come to an event. One that is open, with
// nothing to wait for, is about to be given members.
func (c BatchCounts) reached(e BatchEvent) bool {
	switch e {
	case BatchThen:
		return c.Pending <= 0 && c.Finished
	case BatchCatch:
		return c.Failed > 0
	case BatchFinally:
		return c.Ended() && (c.Pending > 0 || c.Finished)
	}
	return false
}

// ClaimedCallback names a callback.
type ClaimedCallback struct {
	UUID  string
	Event BatchEvent
	N     int // how often it has been claimed, this time included
}

// CallbackState is where a callback stands.
type CallbackState int

// The states of a callback besides that of waiting for its event.
const (
	CallbackPushed CallbackState = iota // it is on its queue
	CallbackRan                         // it has been done
)
