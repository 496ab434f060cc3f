package driver

import (
	"context"
	"database/sql"
	"time"
)

// The optional verbs. Absence of the method is absence of the ability; a
// method that finds out at run time that it can't returns
// errors.ErrUnsupported, never a zero that looks like an answer.

// Waiter is implemented by backends that can wake a waiting worker.
type Waiter interface {
	// Wait blocks until a job of one of the queues may be ready, until max has
	// passed, or until ctx is done (then it returns ctx's error). It is a hint:
	// the caller reserves next, whatever the reason. A push through the same
	// Conn wakes it at once. A driver that can't be told of pushes by others
	// returns earlier than max, after an interval of its own that grows with
	// idleness, so that the caller looks again. Wait returns in time for
	// delayed jobs that become due meanwhile.
	Wait(ctx context.Context, queues []string, max time.Duration) error
}

// Extender is implemented by backends whose leases can be renewed.
type Extender interface {
	// Extend makes the leases end Traits().Lease from now. An item is ErrLost
	// if the reservation is no longer the caller's.
	Extend(ctx context.Context, rs []Reservation) error
}

// LossNotifier is implemented by backends that notice when reservations are
// gone, such as those that tie them to a network connection.
type LossNotifier interface {
	// Lost returns a channel that is closed when reservations are lost next. It
	// is a hint to extend them all now, whatever the time: Extend says which are
	// ErrLost. Ask for the next channel before that.
	Lost() <-chan struct{}
}

// Returner is implemented by backends that can undo a delivery.
type Returner interface {
	// Return is Release with the attempt given back: the job looks as if it
	// had not been delivered.
	Return(ctx context.Context, rs []Reservation, delay time.Duration) error
}

// State is where a stored job stands.
type State string

// The states of a stored job.
const (
	Pending  State = "pending"  // ready to be reserved
	Delayed  State = "delayed"  // waiting for its time
	Reserved State = "reserved" // held by a worker, or its lease has run out
	// Buried jobs were set aside in the store (beanstalkd): no worker gets them
	// until they are kicked, and they are in no Size.
	Buried State = "buried"
)

// Size is the number of jobs of a queue by state.
type Size struct {
	Pending, Delayed, Reserved int64
	// Oldest is when the pending job that waits longest became available or was
	// created; zero if there is none or the backend can't tell.
	Oldest time.Time
	// Approximate says that the backend only estimates these numbers.
	Approximate bool
}

// Total is the number of jobs in any state.
func (s Size) Total() int64 { return s.Pending + s.Delayed + s.Reserved }

// Sizer is implemented by backends that can count.
type Sizer interface {
	Size(ctx context.Context, queue string) (Size, error)
}

// Entry is one stored job as an inspector sees it.
type Entry struct {
	ID       string // the backend's id; empty where it has none
	State    State
	Body     []byte
	Attempts int
	// At is when the job becomes due (Delayed) or when its lease ends
	// (Reserved); zero for Pending.
	At time.Time
	// Created is when the job was stored; zero if the backend doesn't keep it.
	Created time.Time
	// Expired says that a reserved job's lease has run out and nobody took it.
	Expired bool
}

// Lister is implemented by backends whose jobs can be looked at without
// reserving them.
type Lister interface {
	// List returns up to max entries in one state, in the backend's order, and
	// the cursor of the next page: "" when there is none. The first page has
	// cursor "". Jobs that move meanwhile may be missed or seen twice.
	List(ctx context.Context, queue string, state State, cursor string, max int) (entries []Entry, next string, err error)
}

// Peeker is implemented by backends whose jobs can't be listed, but that show
// which one is next.
type Peeker interface {
	// Peek returns the next job of a queue in one state, without reserving it; ok
	// is false if there is none. A state of which the backend shows no job is
	// errors.ErrUnsupported.
	Peek(ctx context.Context, queue string, state State) (e Entry, ok bool, err error)
}

// Kicker is implemented by backends that can bury jobs.
type Kicker interface {
	// Kick makes up to max buried jobs of a queue available again, attempts
	// kept, and returns how many.
	Kick(ctx context.Context, queue string, max int) (int, error)
}

// QueueLister is implemented by backends that know which queues hold jobs.
type QueueLister interface {
	// Queues returns the names of queues that hold at least one job, sorted.
	Queues(ctx context.Context) ([]string, error)
}

// Clearer is implemented by backends that can drop a whole queue.
type Clearer interface {
	// Clear deletes every job of the queue, reserved ones too, and returns how
	// many there were.
	Clear(ctx context.Context, queue string) (int64, error)
}

// Rescuer is implemented by backends that can hand back expired reservations
// on demand. Reserve does so by itself unless the connection was configured
// not to (retry_after null); then this is the way by hand.
type Rescuer interface {
	// Rescue makes up to max jobs of the queue whose lease has run out
	// available again, attempts kept, and returns how many.
	Rescue(ctx context.Context, queue string, max int) (int, error)
}

// TxPusher is implemented by backends that can store a job inside the
// caller's database transaction.
type TxPusher interface {
	// PushTx is Push within tx: the jobs exist if and only if tx commits. tx is
	// a *sql.Tx, or a transaction type the driver's documentation names. A tx
	// of another type or of another database is refused with ErrForeignTx, and
	// nothing is written. Waiters are woken by PushedTx, not by PushTx.
	PushTx(ctx context.Context, tx any, queue string, ms []Message) (ids []string, err error)
	// PushedTx says that a transaction that PushTx wrote to has committed.
	PushedTx(queue string)
}

// TxDeleter is implemented by backends that can delete a job and run the
// caller's statements in one transaction.
type TxDeleter interface {
	// Database returns the pool the jobs live in, to be compared by identity.
	Database() *sql.DB
	// DeleteTx deletes the job of r and calls also in the same transaction. If
	// the reservation is lost it returns ErrLost and also has no effect; if also
	// fails, its error is returned and the job stays.
	DeleteTx(ctx context.Context, r Reservation, also func(ctx context.Context, tx *sql.Tx) error) error
}

// Pinger is implemented by backends that can be asked whether they are there.
type Pinger interface {
	// Ping checks the backend and what the driver needs of it (tables, modes).
	Ping(ctx context.Context) error
}

// Advisor is implemented by backends that can look at their server's settings
// and say what could hurt.
type Advisor interface {
	// Advise returns one sentence for each thing an operator should know, e.g.
	// an eviction policy that may drop jobs. None is an empty slice.
	Advise(ctx context.Context) ([]string, error)
}
