package memqueue

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/spoolq/spool/driver"
)

// Size counts the jobs of a queue. Oldest is when the job that is next became
// ready.
func (c *Conn) Size(ctx context.Context, queue string) (driver.Size, error) {
	if err := c.enter(ctx); err != nil {
		return driver.Size{}, err
	}
	defer c.mu.Unlock()
	q := c.queue(queue, time.Now())
	s := driver.Size{
		Pending:  int64(q.ready.len),
		Delayed:  int64(len(q.delayed)),
		Reserved: int64(q.reserved.len),
	}
	if q.ready.head != nil {
		s.Oldest = q.ready.head.at
	}
	return s, nil
}

// List returns jobs in the order in which they would become reservable. The
// cursor is the number of jobs that came before.
func (c *Conn) List(ctx context.Context, queue string, state driver.State, cursor string, max int) ([]driver.Entry, string, error) {
	skip := 0
	if cursor != "" {
		n, err := strconv.Atoi(cursor)
		if err != nil || n < 0 {
			return nil, "", fmt.Errorf("cursor %q is not one that List returned", cursor)
		}
		skip = n
	}
	if err := c.enter(ctx); err != nil {
		return nil, "", err
	}
	defer c.mu.Unlock()
	now := time.Now()
	js, err := c.queue(queue, now).inState(state)
	if err != nil {
		return nil, "", err
	}
	js = js[min(skip, len(js)):]
	more := len(js) > max
	js = js[:min(max, len(js))]
	entries := make([]driver.Entry, len(js))
	for i, j := range js {
		entries[i] = driver.Entry{ID: j.id, State: state, Body: bytes.Clone(j.body), Attempts: j.attempts, Created: j.created}
		if state != driver.Pending {
			entries[i].At = j.at
		}
		entries[i].Expired = state == driver.Reserved && !j.at.After(now)
	}
	if !more {
		return entries, "", nil
	}
	return entries, strconv.Itoa(skip + len(js)), nil
}

// inState returns the queue's jobs in one state, in order.
func (q *queue) inState(state driver.State) ([]*job, error) {
	var l list
	switch state {
	case driver.Pending:
		l = q.ready
	case driver.Reserved:
		l = q.reserved
	case driver.Delayed:
		js := slices.Clone(q.delayed)
		slices.SortFunc(js, func(a, b *job) int {
			if dueBefore(a, b) {
				return -1
			}
			return 1
		})
		return js, nil
	default:
		return nil, fmt.Errorf("no state %q; there are %q, %q and %q", state, driver.Pending, driver.Delayed, driver.Reserved)
	}
	js := make([]*job, 0, l.len)
	for j := l.head; j != nil; j = j.next {
		js = append(js, j)
	}
	return js, nil
}

// Queues returns the names of queues that hold jobs, sorted.
func (c *Conn) Queues(ctx context.Context) ([]string, error) {
	if err := c.enter(ctx); err != nil {
		return nil, err
	}
	defer c.mu.Unlock()
	var names []string
	for name, q := range c.queues {
		if q.ready.len+len(q.delayed)+q.reserved.len > 0 {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// Clear deletes every job of the queue; those who hold one find it lost.
func (c *Conn) Clear(ctx context.Context, queue string) (int64, error) {
	if err := c.enter(ctx); err != nil {
		return 0, err
	}
	defer c.mu.Unlock()
	q := c.queue(queue, time.Now())
	n := q.ready.len + len(q.delayed) + q.reserved.len
	for j := q.reserved.head; j != nil; j = j.next {
		j.held = nil
	}
	q.ready, q.delayed, q.reserved = list{}, nil, list{}
	return int64(n), nil
}

// Rescue puts jobs whose lease has run out behind those that are ready.
func (c *Conn) Rescue(ctx context.Context, queue string, max int) (int, error) {
	if err := c.enter(ctx); err != nil {
		return 0, err
	}
	defer c.mu.Unlock()
	now := time.Now()
	return c.rescue(c.queue(queue, now), now, max), nil
}
