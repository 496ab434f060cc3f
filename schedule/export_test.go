package schedule

import (
	"time"

	"github.com/spoolq/spool"
)

// Next returns the first moment at which an expression is due after another.
func Next(expr string, after time.Time, zone *time.Location) (time.Time, error) {
	c, err := parseCron(expr)
	if err != nil {
		return time.Time{}, err
	}
	return c.next(after, zone), nil
}

// SetClock has a scheduler go by another clock.
func SetClock(s *Scheduler, now func() time.Time) { s.now = now }

// Unconnected sends the entry's job to a connection that there isn't.
func (e *Entry) Unconnected() *Entry {
	e.opts = append(e.opts, spool.OnConnection("nowhere"))
	return e
}

// SetLease has a scheduler hold its locks for so long.
func SetLease(s *Scheduler, d time.Duration) { s.o.Lease = d }
