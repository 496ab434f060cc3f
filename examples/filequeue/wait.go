package filequeue

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"
)

// How often a waiter looks for jobs of other processes: a sixth of the time that
// it has waited, within these bounds.
const (
	shortestLook = 5 * time.Millisecond
	longestLook  = 250 * time.Millisecond
)

// Wait looks until a job is ready. A push, a release or a return by this
// connection has it look at once.
func (c *Conn) Wait(ctx context.Context, queues []string, most time.Duration) error {
	start := time.Now()
	for {
		woken := c.wakeUp() // before looking, so that nothing falls between
		if err := c.check(ctx); err != nil {
			return err
		}
		due, err := c.due(queues)
		waited := time.Since(start)
		if err != nil || waited >= most || !due.After(time.Now()) {
			return err
		}
		pause := min(max(waited/6, shortestLook), longestLook, most-waited, time.Until(due))
		timer := time.NewTimer(max(pause, 0))
		select {
		case <-timer.C:
		case <-woken:
		case <-c.closed:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// due returns when the first job of the queues is ready, or the lease of one
// ends; the far future if there is none.
func (c *Conn) due(queues []string) (time.Time, error) {
	first := time.Now().Add(time.Hour)
	for _, q := range queues {
		for _, state := range []string{pending, reserved} {
			all, err := names(c.folder(q, state))
			if err != nil {
				return first, err
			}
			if len(all) > 0 && time.Unix(0, all[0].at).Before(first) {
				first = time.Unix(0, all[0].at)
			}
		}
	}
	return first, nil
}

// wakeUp returns a channel that the next wake closes.
func (c *Conn) wakeUp() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.woken
}

// wake has all waiters look.
func (c *Conn) wake() {
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.woken)
	c.woken = make(chan struct{})
}

// Ping checks that files can be made.
func (c *Conn) Ping(ctx context.Context) error {
	if err := c.check(ctx); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Join(c.dir, unfinished), "ping")
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}
