package driver

import (
	"errors"
	"fmt"
	"time"
)

// Errors that every driver uses with the same meaning. Test with errors.Is.
var (
	// ErrLost says that a reservation is no longer the caller's: it expired and
	// somebody else took it, or it was settled before.
	ErrLost = errors.New("reservation lost")
	// ErrClosed is returned by every method after Close.
	ErrClosed = errors.New("connection closed")
	// ErrStored is wrapped by an error of Push that leaves no doubt that all its
	// jobs were stored: only something beyond that is missing, e.g. a replica's
	// confirmation. Pushing them elsewhere would make them run twice.
	ErrStored = errors.New("stored all the same")
	// ErrForeignTx says that a transaction is not one of the connection's database.
	ErrForeignTx = errors.New("transaction of another database")
)

// LimitError says that a message is more than the backend can carry.
type LimitError struct {
	Index int    // of the message in the Push
	What  string // "body", "delay", "depth", "text"
	Have  int64  // bytes, levels, or nanoseconds for a delay
	Max   int64
	Why   string // how to mend it
}

func (e *LimitError) Error() string {
	var s string
	switch e.What {
	case "delay":
		s = fmt.Sprintf("delay of %v is over the limit of %v", time.Duration(e.Have), time.Duration(e.Max))
	case "depth":
		s = fmt.Sprintf("nesting of %d levels is over the limit of %d", e.Have, e.Max)
	case "text":
		s = "body is not plain text (UTF-8 without NUL)"
	default:
		s = fmt.Sprintf("%s of %d bytes is over the limit of %d", e.What, e.Have, e.Max)
	}
	if e.Why != "" {
		s += ": " + e.Why
	}
	return s
}

// ItemErrors is the outcome of a batch, item by item; nil entries succeeded.
// A batch in which everything succeeded returns a nil error instead: build
// the result with [Outcomes].
type ItemErrors []error

func (e ItemErrors) Error() string {
	n, first := 0, error(nil)
	for _, err := range e {
		if err != nil {
			if n++; first == nil {
				first = err
			}
		}
	}
	return fmt.Sprintf("%d of %d items failed, the first: %v", n, len(e), first)
}

// Unwrap returns the errors of the items that failed.
func (e ItemErrors) Unwrap() []error {
	var errs []error
	for _, err := range e {
		if err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

// Outcomes turns a slice of per-item errors into the error to return: nil if
// all of them are nil.
func Outcomes(errs []error) error {
	for _, err := range errs {
		if err != nil {
			return ItemErrors(errs)
		}
	}
	return nil
}

// ItemError returns the outcome of item i of a batch that returned err. Where a
// driver breaks the contract and tells too few outcomes, the others are unknown.
func ItemError(err error, i int) error {
	if items, ok := err.(ItemErrors); ok { //nolint:errorlint // the contract returns the type bare
		if i >= len(items) {
			return fmt.Errorf("outcome unknown: the driver told those of %d items, not of item %d", len(items), i)
		}
		return items[i]
	}
	return err
}
