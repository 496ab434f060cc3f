package spool

import (
	"context"
	"errors"

	"github.com/spoolq/spool/driver"
)

// inspect runs fn with the connection's driver as T, if it has that ability.
func inspect[T any](c *Connection, op, queue string, fn func(T) error) error {
	t, ok := c.conn.(T)
	if !ok {
		return wrap(op, c.Name, queue, errors.ErrUnsupported)
	}
	return wrap(op, c.Name, queue, fn(t))
}

// Size counts the jobs of a queue by state; "" means the default queue.
func (c *Connection) Size(ctx context.Context, queue string) (size driver.Size, err error) {
	queue = c.QueueOr(queue)
	err = inspect(c, "size", queue, func(s driver.Sizer) (err error) {
		size, err = s.Size(ctx, queue)
		return err
	})
	return size, err
}

// List returns a page of the jobs of a queue in one state; see [driver.Lister].
func (c *Connection) List(ctx context.Context, queue string, state driver.State, cursor string, max int) (entries []driver.Entry, next string, err error) {
	queue = c.QueueOr(queue)
	err = inspect(c, "list", queue, func(l driver.Lister) (err error) {
		entries, next, err = l.List(ctx, queue, state, cursor, max)
		return err
	})
	return entries, next, err
}

// Peek returns the next job of a queue in one state; see [driver.Peeker].
func (c *Connection) Peek(ctx context.Context, queue string, state driver.State) (entry driver.Entry, ok bool, err error) {
	queue = c.QueueOr(queue)
	err = inspect(c, "peek", queue, func(p driver.Peeker) (err error) {
		entry, ok, err = p.Peek(ctx, queue, state)
		return err
	})
	return entry, ok, err
}

// Kick makes up to max buried jobs of a queue available again and returns how
// many; see [driver.Kicker].
func (c *Connection) Kick(ctx context.Context, queue string, max int) (n int, err error) {
	queue = c.QueueOr(queue)
	err = inspect(c, "kick", queue, func(k driver.Kicker) (err error) {
		n, err = k.Kick(ctx, queue, max)
		return err
	})
	return n, err
}

// Queues returns the names of the queues that hold jobs, sorted.
func (c *Connection) Queues(ctx context.Context) (names []string, err error) {
	err = inspect(c, "list queues", "", func(l driver.QueueLister) (err error) {
		names, err = l.Queues(ctx)
		return err
	})
	return names, err
}

// Clear deletes every job of a queue and returns how many there were.
func (c *Connection) Clear(ctx context.Context, queue string) (n int64, err error) {
	queue = c.QueueOr(queue)
	err = inspect(c, "clear", queue, func(l driver.Clearer) (err error) {
		n, err = l.Clear(ctx, queue)
		return err
	})
	return n, err
}

// Rescue makes up to max jobs available again whose reservation has expired,
// and returns how many; see [driver.Rescuer].
func (c *Connection) Rescue(ctx context.Context, queue string, max int) (n int, err error) {
	queue = c.QueueOr(queue)
	err = inspect(c, "rescue", queue, func(r driver.Rescuer) (err error) {
		n, err = r.Rescue(ctx, queue, max)
		return err
	})
	return n, err
}

// Ping checks that the backend answers and has what the driver needs. A
// backend without such a check is taken to be well.
func (c *Connection) Ping(ctx context.Context) error {
	err := inspect(c, "ping", "", func(p driver.Pinger) error { return p.Ping(ctx) })
	if errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	return err
}

// Advise returns what an operator should know about the backend's settings,
// one sentence each.
func (c *Connection) Advise(ctx context.Context) (advice []string, err error) {
	err = inspect(c, "advise", "", func(a driver.Advisor) (err error) {
		advice, err = a.Advise(ctx)
		return err
	})
	if errors.Is(err, errors.ErrUnsupported) {
		return nil, nil
	}
	return advice, err
}
