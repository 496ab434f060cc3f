package beanstalkqueue

import (
	"context"
	"errors"
	"net"
	"strings"
	"time"

	"github.com/spoolq/spool/driver"
)

// address splits what Open was given into a network and an address of it.
func address(addr string) (network, at string) {
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		return "unix", path
	}
	if _, _, err := net.SplitHostPort(addr); err != nil {
		if addr == "" {
			addr = "localhost"
		}
		addr = net.JoinHostPort(strings.Trim(addr, "[]"), "11300")
	}
	return "tcp", addr
}

// session returns the connection of the verbs, and makes it if there is none.
func (c *Conn) session(ctx context.Context) (*session, error) {
	if s, err := c.current(); s != nil || err != nil {
		return s, err
	}
	select {
	case c.dialing <- struct{}{}:
		defer func() { <-c.dialing }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if s, err := c.current(); s != nil || err != nil {
		return s, err
	}
	s, err := c.dial(ctx)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		s.close(driver.ErrClosed)
		return nil, driver.ErrClosed
	}
	c.main = s
	return s, nil
}

// current returns the connection of the verbs if it is alive, and the last
// error if it is too early to make another.
func (c *Conn) current() (*session, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed:
		return nil, driver.ErrClosed
	case c.main != nil && c.main.alive():
		return c.main, nil
	case c.failures > 0 && time.Now().Before(c.retryAt):
		return nil, c.lastErr
	}
	return nil, nil
}

// waiter returns a connection that holds nothing, for Wait alone until it is
// given back. It returns nil if there is none and no more may be made.
func (c *Conn) waiter(ctx context.Context) (*session, error) {
	now := time.Now()
	c.mu.Lock()
	alive := c.waiters[:0]
	var free *session
	for _, s := range c.waiters {
		if !s.alive() {
			delete(c.inUse, s)
			continue
		}
		alive = append(alive, s)
		if free == nil && !c.inUse[s] && !s.holds(now) {
			free = s
		}
	}
	clear(c.waiters[len(alive):])
	c.waiters = alive
	more := len(c.waiters)+c.making < c.opts.Connections-1
	var err error
	switch {
	case c.closed:
		err = driver.ErrClosed
	case free != nil:
		c.inUse[free] = true
	case more && c.failures > 0 && now.Before(c.retryAt):
		err = c.lastErr
	case more:
		c.making++
	}
	c.mu.Unlock()
	if free != nil || err != nil || !more {
		return free, err
	}

	s, err := c.dial(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.making--
	if err != nil {
		return nil, err
	}
	if c.closed {
		s.close(driver.ErrClosed)
		return nil, driver.ErrClosed
	}
	c.waiters = append(c.waiters, s)
	c.inUse[s] = true
	return s, nil
}

// giveBack ends the use of a connection that waiter returned.
func (c *Conn) giveBack(s *session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.inUse, s)
}

// longestBackoff is how long calls fail at most before one tries to connect
// again.
const longestBackoff = time.Second

// dial makes a connection.
func (c *Conn) dial(ctx context.Context) (*session, error) {
	ctx, cancel := context.WithTimeout(ctx, c.opts.DialTimeout)
	defer cancel()
	defer context.AfterFunc(c.closing, cancel)()
	var d net.Dialer
	conn, err := d.DialContext(ctx, c.network, c.addr)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		if err == nil {
			_ = conn.Close() // of no use to anybody
		}
		return nil, driver.ErrClosed
	}
	if err != nil {
		if !errors.Is(ctx.Err(), context.Canceled) { // a caller that gave up is no failure
			c.failures++
			c.lastErr = err
			c.retryAt = time.Now().Add(min(10*time.Millisecond<<min(c.failures, 10), longestBackoff))
		}
		return nil, err
	}
	c.failures, c.lastErr = 0, nil
	return newSession(conn, c.opts.Timeout, &c.lost, &c.running), nil
}
