package memqueue

import (
	"context"
	"time"

	"github.com/spoolq/spool/driver"
)

// waiter is one call of Wait.
type waiter struct {
	again chan struct{} // holds one token: look again
}

// Wait blocks until a job of one of the queues is ready, its delay over or the
// lease of its holder run out; it doesn't wake for anything else, and misses
// nothing. At the latest it returns after max.
func (c *Conn) Wait(ctx context.Context, queues []string, max time.Duration) error {
	w := &waiter{again: make(chan struct{}, 1)}
	if err := c.enter(ctx); err != nil {
		return err
	}
	for _, name := range queues {
		q := c.queue(name, time.Now())
		if q.waiters == nil {
			q.waiters = map[*waiter]struct{}{}
		}
		q.waiters[w] = struct{}{}
	}
	defer func() {
		c.mu.Lock()
		for _, name := range queues {
			if q := c.queues[name]; q != nil {
				delete(q.waiters, w)
			}
		}
		c.mu.Unlock()
	}()
	c.mu.Unlock()

	end := time.Now().Add(max)
	for {
		due, err := c.nextDue(queues, end)
		if err != nil || due.IsZero() {
			return err
		}
		d := time.Until(due)
		if d <= 0 {
			return nil // due is end, or time went on since
		}
		timer := time.NewTimer(d)
		select {
		case <-w.again:
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
		timer.Stop()
	}
}

// nextDue returns the zero time if one of the queues has a job to reserve, else
// when the first of their jobs will be, or end if that is earlier.
func (c *Conn) nextDue(queues []string, end time.Time) (time.Time, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return time.Time{}, driver.ErrClosed
	}
	now, due := time.Now(), end
	for _, name := range queues {
		q := c.queue(name, now)
		if q.ready.len > 0 || !c.keepExpired && q.expired(now) {
			return time.Time{}, nil
		}
		if len(q.delayed) > 0 && q.delayed[0].at.Before(due) {
			due = q.delayed[0].at
		}
		if j := q.reserved.head; j != nil && !c.keepExpired && j.at.Before(due) {
			due = j.at
		}
	}
	return due, nil
}
