// Package failed keeps the jobs that failed for good, where Laravel keeps
// them: in the table failed_jobs, in a file, or nowhere. PHP and Go list and
// retry each other's.
//
// [SQL] is Laravel's database-uuids and database driver and think-queue's
// table, [File] its file driver, [Null] its null driver. The package imports
// the standard library, sqldb and the lock helper of the file stores.
package failed

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// ErrNotFound says that there is no failed job of the id asked for.
var ErrNotFound = errors.New("no such failed job")

// Record is one failed job.
type Record struct {
	// ID names the record to the user and to Find and Forget: the uuid where
	// the store keeps it, else the number of the row. Log ignores it.
	ID string
	// Row is the number of the row, 0 where rows have none. A job that fails
	// again gets a new one. Log ignores it.
	Row int64
	// UUID is the job's own id. Log makes one up if it is empty. Stores without
	// a column for it return it empty.
	UUID string
	// Connection and Queue say where the job came from, by their names in the
	// configuration.
	Connection, Queue string
	// Payload is the job's body, byte for byte, whatever the store had to make
	// of it (see [EncodePayload]).
	Payload []byte
	// Exception is why it failed, as [Exception] renders it.
	Exception string
	// FailedAt is when, in whole seconds. Log takes the present for zero.
	FailedAt time.Time
}

// Filter chooses records. Its zero value chooses all; set fields must all hold.
type Filter struct {
	Connection, Queue string
	// Since and Until bound FailedAt, both inclusive.
	Since, Until time.Time
	// MinID and MaxID bound the number of the row, both inclusive; 0 is no
	// bound. A store that doesn't number its records answers
	// errors.ErrUnsupported.
	MinID, MaxID int64
	// WithoutPayload and WithoutException leave that field of the records that
	// List returns empty, unread.
	WithoutPayload, WithoutException bool
}

// Store keeps failed jobs. All methods are safe for concurrent use, by other
// processes too, and return the backend's errors as they are.
type Store interface {
	// Log stores the record and returns its ID. Logging a UUID again replaces
	// its record, so that a crash between the two steps of failing a job, or a
	// repeated call, leaves one; stores without UUIDs keep both.
	Log(ctx context.Context, r Record) (id string, err error)

	// Find returns the record with this ID. Stores that number their records
	// find them by the number, too. If there is none the error is ErrNotFound.
	Find(ctx context.Context, id string) (Record, error)

	// List returns up to max records (100 if max is less than 1), the newest
	// first, and the cursor of the next page, "" when this was the last. The
	// first page has cursor "". Memory is that of one page, which in a SQL store
	// ends early rather than hold more than 4 MiB and more than one record.
	// Records of the page may be forgotten before the next is asked for; new ones
	// are not seen.
	List(ctx context.Context, f Filter, cursor string, max int) (page []Record, next string, err error)

	// Forget removes the records with these IDs, and returns how many there
	// were. IDs as for Find.
	Forget(ctx context.Context, ids ...string) (int64, error)

	// Flush removes the records that failed at the given time or before it, all
	// that are there if it is zero, in chunks, and returns how many, even with
	// an error.
	Flush(ctx context.Context, until time.Time) (int64, error)

	// Count returns how many records the filter chooses.
	Count(ctx context.Context, f Filter) (int64, error)
}

// SameForgetter is implemented by stores that can tell a record from the one
// that replaced it.
type SameForgetter interface {
	// ForgetSame removes records that List or Find returned, unless the job has
	// failed anew since then, and returns how many there were.
	ForgetSame(ctx context.Context, recs ...Record) (int64, error)
}

// TxLogger is implemented by stores in a SQL database, where recording a job
// and deleting it can be one transaction.
type TxLogger interface {
	// Database returns the pool the records live in, to be compared by identity.
	Database() *sql.DB
	// LogTx is Log within tx, a transaction of that database.
	LogTx(ctx context.Context, tx *sql.Tx, r Record) error
}

// defaultPage is the page size of List.
const defaultPage = 100

// timeFormat is how Laravel writes the time of a failure.
const timeFormat = "2006-01-02 15:04:05"

func notFound(id string) error { return fmt.Errorf("%w: %q", ErrNotFound, id) }

// fill completes a record that is to be logged.
func (r Record) fill() Record {
	if r.UUID == "" {
		r.UUID = newUUID()
	}
	if r.FailedAt.IsZero() {
		r.FailedAt = time.Now()
	}
	return r
}

// newUUID returns a random UUID, version 4.
func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // it never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
