// Package nullqueue is a queue that discards every job, for environments
// without background work. It imports package driver and the standard library.
package nullqueue

import (
	"context"
	"crypto/rand"
	"sync/atomic"
	"time"

	"github.com/spoolq/spool/driver"
)

// Conn is a connection to nowhere.
type Conn struct{ closed atomic.Bool }

var (
	_ driver.Conn    = (*Conn)(nil)
	_ driver.Sizer   = (*Conn)(nil)
	_ driver.Clearer = (*Conn)(nil)
)

// New returns a connection that accepts everything and holds nothing.
func New() *Conn { return &Conn{} }

// Traits names the driver; there are no limits.
func (c *Conn) Traits() driver.Traits {
	return driver.Traits{Driver: "null", Resolution: time.Nanosecond}
}

// Push discards the messages. The ids are theirs, or random where they have none.
func (c *Conn) Push(_ context.Context, _ string, ms []driver.Message) ([]string, error) {
	if c.closed.Load() {
		return nil, driver.ErrClosed
	}
	ids := make([]string, len(ms))
	for i, m := range ms {
		if ids[i] = m.ID; m.ID == "" {
			ids[i] = rand.Text()
		}
	}
	return ids, nil
}

// Reserve never finds a job.
func (c *Conn) Reserve(context.Context, string, int) ([]driver.Reservation, error) {
	return nil, c.check(nil)
}

// Delete finds every reservation lost: none was made here.
func (c *Conn) Delete(_ context.Context, rs []driver.Reservation) error { return c.check(rs) }

// Release finds every reservation lost: none was made here.
func (c *Conn) Release(_ context.Context, rs []driver.Reservation, _ time.Duration) error {
	return c.check(rs)
}

// Size is truly zero.
func (c *Conn) Size(context.Context, string) (driver.Size, error) { return driver.Size{}, c.check(nil) }

// Clear has nothing to delete.
func (c *Conn) Clear(context.Context, string) (int64, error) { return 0, c.check(nil) }

// Close makes every later call fail.
func (c *Conn) Close() error {
	c.closed.Store(true)
	return nil
}

func (c *Conn) check(rs []driver.Reservation) error {
	if c.closed.Load() {
		return driver.ErrClosed
	}
	errs := make([]error, len(rs))
	for i := range errs {
		errs[i] = driver.ErrLost
	}
	return driver.Outcomes(errs)
}
