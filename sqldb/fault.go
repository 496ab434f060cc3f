package sqldb

import "errors"

// Fault is what went wrong, as far as it matters to what comes next.
type Fault int

// The faults that a database can be asked about.
const (
	Other     Fault = iota
	Lost            // the connection broke or the server is going down
	Conflict        // deadlock or serialization failure: rolled back, worth another try
	Busy            // another program holds the lock (SQLite)
	Full            // the disk or the database is full
	NoTable         // a table that the statement names does not exist
	Duplicate       // a unique key exists
)

// ErrClosed is returned by Write and Run after Close.
var ErrClosed = errors.New("database closed")

// BusyError says that another program held the lock of a SQLite file for
// longer than the configured time. Nothing was written.
type BusyError struct {
	File string
	Wait string // how long was waited
	Err  error
}

func (e *BusyError) Error() string {
	return "another program has held the write lock of " + e.File + " for " + e.Wait +
		"; look for a transaction left open or a backup under way: " + e.Err.Error()
}

func (e *BusyError) Unwrap() error { return e.Err }
