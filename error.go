package spool

import (
	"errors"
	"fmt"
	"strings"
)

// Error is an operation on a connection that failed: the one place where
// errors of drivers are wrapped.
type Error struct {
	Op         string // "push", "reserve", "open"
	Connection string
	Queue      string // empty where no queue is concerned
	Err        error
}

func (e *Error) Error() string {
	if e.Queue == "" {
		return fmt.Sprintf("%s %s: %v", e.Op, e.Connection, e.Err)
	}
	return fmt.Sprintf("%s %s:%s: %v", e.Op, e.Connection, e.Queue, e.Err)
}

// Unwrap returns the driver's error.
func (e *Error) Unwrap() error { return e.Err }

// wrap returns nil for nil, and leaves a context's end recognisable.
func wrap(op, connection, queue string, err error) error {
	if err == nil {
		return nil
	}
	return &Error{Op: op, Connection: connection, Queue: queue, Err: err}
}

// DecodeError is data that doesn't fit the Go type of its handler.
type DecodeError struct {
	Name string // of the job
	Type string // the Go type
	Err  error
}

func (e *DecodeError) Error() string {
	return fmt.Sprintf("job %s: its data does not fit %s: %v", e.Name, e.Type, e.Err)
}

// Unwrap returns the decoder's error.
func (e *DecodeError) Unwrap() error { return e.Err }

// UnknownConnectionError names a connection that isn't configured.
type UnknownConnectionError struct {
	Name  string
	Known []string
}

func (e *UnknownConnectionError) Error() string {
	return fmt.Sprintf("connection %q is not configured; there are: %s", e.Name, strings.Join(e.Known, ", "))
}

// ErrTxDone is returned by a dispatch on a [Tx] after its Commit or Rollback.
var ErrTxDone = errors.New("transaction has already been committed or rolled back")

// ErrNotHere is wrapped by an error of [Format.Decode], or of a handler, that is
// this worker's shortcoming, not the job's: an encryption key it lacks, which
// shows in [Job.Decode]. The job is put back for another worker, attempts as
// before.
var ErrNotHere = errors.New("this worker cannot read the job, another may")
