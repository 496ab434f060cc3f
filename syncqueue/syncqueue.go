// Package syncqueue is a queue that runs each job at once, in the caller of
// Push; what running means is given to New. It imports package driver and the
// standard library.
package syncqueue

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"sync/atomic"
	"time"

	"github.com/spoolq/spool/driver"
)

// Conn runs what is pushed to it.
type Conn struct {
	run    func(ctx context.Context, queue string, body []byte) error
	closed atomic.Bool
}

var _ driver.Conn = (*Conn)(nil)

// New returns a connection whose Push calls run for each message, one after
// another, with a body that is run's to keep. run must be safe for concurrent
// use as far as Push is called concurrently.
func New(run func(ctx context.Context, queue string, body []byte) error) *Conn {
	return &Conn{run: run}
}

// Traits says that jobs run at once.
func (c *Conn) Traits() driver.Traits {
	return driver.Traits{Driver: "sync", Resolution: time.Nanosecond, Instant: true}
}

// Push runs the messages in order and returns when they have run. Delays are
// ignored, as Laravel's sync connection ignores them. The first error of run,
// or of ctx between two messages, is returned as it is, with the ids of those
// that ran before; the rest don't run. A panic of run goes through.
func (c *Conn) Push(ctx context.Context, queue string, ms []driver.Message) (ids []string, err error) {
	for _, m := range ms {
		if err := cmp.Or(c.check(nil), ctx.Err()); err != nil {
			return ids, err
		}
		if err := c.run(ctx, queue, bytes.Clone(m.Body)); err != nil {
			return ids, err
		}
		ids = append(ids, cmp.Or(m.ID, rand.Text()))
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

// Close makes every later call fail, and the rest of a Push that is running.
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
