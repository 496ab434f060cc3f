// Package driver is the seam between Spool and a queue backend.
//
// A backend stores opaque bodies and hands them out under a lease; it knows
// nothing of handlers, retries or formats. Everything that decides lives
// above it, in package worker. Implement [Conn] and whichever of the optional
// one-method interfaces the backend can honour, then run the suite in
// driver/drivertest against the real server.
//
// The verbs take many jobs at once, because round trips are the cost of a
// queue. A backend without a bulk form loops inside.
//
// This package imports only the standard library. Drivers import it and their
// own SDK, and never package spool, a payload format or each other.
package driver

import (
	"context"
	"time"
)

// Message is one job to be stored.
type Message struct {
	// ID is the id the payload carries, if any. A backend that gives ids of
	// its own (SQL, beanstalkd, SQS) ignores it; the others return it from Push.
	ID string
	// Body is stored byte for byte. The driver must not keep or change the
	// slice after Push has returned.
	Body []byte
	// Delay is how long the job stays invisible; 0 and less mean available now.
	// It is rounded up to the resolution of the backend.
	Delay time.Duration
	// Group is the group of the job where the backend knows groups (SQS): jobs of
	// a group run in order, or share fairly with other groups. Others ignore it.
	Group string
	// Deduplication is the id by which a backend that deduplicates (SQS, FIFO
	// queues) knows the job and drops another with it. Others ignore it.
	Deduplication string
}

// Reservation is one delivery of a job: the right to run it until its lease
// ends. It is a value; only Receipt ties it to the backend.
type Reservation struct {
	// ID is the backend's name of the job, empty where the backend has none
	// (Redis: the payload carries it). It may differ from the id that Push
	// returned once the job was released (SQL re-inserts the row).
	ID string
	// Queue is the queue the job was taken from, as the caller named it.
	Queue string
	// Body is the stored payload. The receiver owns the slice.
	Body []byte
	// Attempts counts deliveries, this one included: 1 on the first.
	Attempts int
	// Receipt is the driver's own handle; opaque to everyone else. It must be
	// passed back unchanged.
	Receipt any
}

// Traits are the fixed facts of a connection. They don't change while it is open.
type Traits struct {
	// Driver is the backend's name for messages and metrics: "redis", "sqlite".
	Driver string
	// MaxBody is the largest body in bytes that Push accepts; 0 means no limit
	// of the driver's own. A body one byte over it is refused with a
	// [*LimitError], and nothing of that Push is stored.
	MaxBody int
	// TextOnly says that a body must be valid UTF-8 without NUL; others are
	// refused with a [*LimitError].
	TextOnly bool
	// MaxDelay is the longest delay that Push accepts, and Release unless
	// MaxRelease says otherwise; 0 means any.
	MaxDelay time.Duration
	// MaxRelease is the longest delay that Release and Return accept where it
	// isn't MaxDelay (SQS: 12 h after a push of 15 min); 0 means MaxDelay.
	MaxRelease time.Duration
	// CountsInBody says that attempts are counted inside the payload, which
	// must therefore be a JSON object carrying "id" and "attempts" (Laravel's
	// Redis layout).
	CountsInBody bool
	// Lease is how long a reservation lasts unless it is extended
	// (retry_after). 0 means that reservations don't expire.
	Lease time.Duration
	// Renew is how often a held reservation should be extended, always less
	// than Lease.
	Renew time.Duration
	// Resolution is the backend's unit of delays and leases, e.g. one second.
	Resolution time.Duration
	// WaitTakes says that Wait may take a job from the queue and keep it for the
	// next Reserve of the same connection (SQS, which has no other way to tell of
	// jobs): who doesn't reserve mustn't wait.
	WaitTakes bool
	// Instant says that Push runs the job itself, before it returns (the sync
	// driver) or beside its caller (background, deferred), and Reserve never
	// finds any.
	Instant bool
}

// Conn is an open connection to a backend, holding any number of queues.
//
// All methods are safe for concurrent use. They return the backend's errors
// as they are (the caller wraps once), never log, never retry a change of
// state on their own, and return [ErrClosed] after Close.
//
// Per-item outcomes: Delete, Release and the optional verbs over reservations
// return nil when every item succeeded, an [ItemErrors] of the same length as
// their argument when the outcome is known item by item, and any other error
// when the outcome of all items is unknown. One bad item never fails its
// batch-mates.
type Conn interface {
	// Push stores the messages in order and returns once the backend has
	// accepted them. It returns the ids of the accepted prefix: len(ids) ==
	// len(ms) if and only if err is nil. A message over a limit of Traits is
	// refused with a *LimitError before anything is stored.
	Push(ctx context.Context, queue string, ms []Message) (ids []string, err error)

	// Reserve takes up to max due jobs of one queue, in the backend's order,
	// and leases them to the caller. It returns at once: no job is an empty
	// slice and a nil error. Delayed jobs that are due and reservations that
	// have expired are made visible first. Every delivery counts as an attempt.
	//
	// What it began it finishes: a context cancelled while the backend is
	// moving jobs must not strand them, so they are returned even so.
	Reserve(ctx context.Context, queue string, max int) ([]Reservation, error)

	// Delete removes the jobs of these reservations for good. An item is
	// ErrLost if the backend can tell that the reservation is no longer the
	// caller's; the job of another holder is never touched. Deleting an expired
	// job that nobody else holds yet may succeed.
	Delete(ctx context.Context, rs []Reservation) error

	// Release makes the jobs available again after delay, attempts kept.
	// ErrLost as for Delete. A released job goes behind those already waiting,
	// unless the backend orders by age and its documentation says so.
	Release(ctx context.Context, rs []Reservation, delay time.Duration) error

	// Traits returns the fixed facts of this connection.
	Traits() Traits

	// Close releases the connection and unblocks waiters within a second. It
	// is idempotent and doesn't touch reservations: they expire, unless the
	// backend ties them to the connection, takes them back at once, and its
	// documentation says so.
	Close() error
}
