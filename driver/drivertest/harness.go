package drivertest

import (
	"testing"
	"time"

	"github.com/spoolq/spool/driver"
)

// Harness is one backend, opened for a test, and what the suite has to know
// about it beyond [driver.Traits]. Only Conn is required, and must be new in
// every call of open: where there is no Second, a case may close it. Close what
// you open with t.Cleanup; closing twice is harmless by contract.
//
// The store may be shared by all cases and may hold queues of others: the
// suite uses queue names of its own, new ones in every case.
type Harness struct {
	// Conn is the connection under test. Open it with a short lease, best
	// [driver.MinLease] (retry_after = 3): the suite waits for leases to end and
	// refuses one over 30 s.
	Conn driver.Conn

	// Second opens another connection to the same store, with the same
	// settings, as a second process would. Nil if the store lives inside Conn
	// (memory): then Conn plays both parts.
	Second func(t *testing.T) driver.Conn

	// KeepExpired opens a connection to the same store which doesn't take back
	// expired reservations by itself (retry_after null), with the shortest
	// lease it can have. Nil if the driver has no such setting.
	KeepExpired func(t *testing.T) driver.Conn

	// Queue makes a queue of this name and returns its name in the store, for
	// backends whose queues must exist beforehand or whose names are
	// restricted. Nil: any name will do ([a-z0-9-], under 60 bytes).
	Queue func(t *testing.T, name string) string

	// Txs are the ways to begin a transaction that PushTx accepts. Required if
	// Conn is a [driver.TxPusher].
	Txs []Tx

	// ForeignTx begins a transaction of another database, of a type that PushTx
	// accepts, which it must refuse. Nil: only a value that is no transaction
	// at all is tried.
	ForeignTx *Tx

	// WakeWithin is how soon after a push by another connection Wait must
	// return, provided that it hasn't been idle for long. 0 means 5 s, which
	// fits drivers that poll. Say 1 s or so if the store wakes waiters.
	WakeWithin time.Duration

	// Jobs is how many jobs the case of concurrent reservers uses; 0 means
	// 2000. With -test.short a tenth of it.
	Jobs int

	// CountsNext says, where Traits.CountsInBody, that the number in a body is
	// that of its present or next delivery, and so 1 in a new one (think-queue 1
	// and 2), rather than how many there were.
	CountsNext bool

	// What the backend can't do and its documentation admits. Each of them
	// skips cases, visibly.

	BestEffortFencing bool // a late holder may delete the job of another (SQS)
	Unordered         bool // jobs pushed in order may arrive in another (SQS standard queues)
	Estimates         bool // sizes are approximate (SQS)
	Discards          bool // nothing is stored at all (null)
	OldestFirst       bool // a released job goes before those pushed after it (beanstalkd)
	LeasesEndOnClose  bool // closing a connection makes what it holds available at once (beanstalkd)
}

// Tx is a way to begin a transaction.
type Tx struct {
	// Name tells the ways apart: "sql.Tx", "pgx.Tx".
	Name string
	// Begin starts a transaction on the store and returns it with its ends.
	// Calling rollback after commit is harmless and its error ignored.
	Begin func(t *testing.T) (tx any, commit, rollback func() error)
}
