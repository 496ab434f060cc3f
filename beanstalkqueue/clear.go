package beanstalkqueue

import (
	"context"
	"fmt"
)

// Clear deletes the jobs of a tube that are pending or delayed, and those that
// this Conn holds, whose holders find them lost. Buried jobs stay. Jobs that
// others hold can be deleted by them alone: if there are any, Clear does all
// else and returns an error that says how many. It takes no more jobs than there
// were at its beginning.
func (c *Conn) Clear(ctx context.Context, queue string) (int64, error) {
	if err := c.begin(ctx, queue); err != nil {
		return 0, err
	}
	before, err := c.Size(ctx, queue)
	if err != nil || before.Total() == 0 {
		return 0, err
	}
	n, err := c.clearHeld(ctx, queue)
	for left := before.Total() - n; err == nil && left > 0; left = before.Total() - n {
		var ready, delayed int64
		if ready, err = c.clearReady(ctx, queue, left); err == nil {
			delayed, err = c.eachPeeked(ctx, queue, "peek-delayed", "delete ", wordDeleted, left-ready)
		}
		n += ready + delayed
		if ready+delayed == 0 {
			break
		}
	}
	if err != nil {
		return n, err
	}
	after, err := c.Size(ctx, queue)
	if err == nil && after.Reserved > 0 {
		err = fmt.Errorf("%d jobs of %s are held by other connections, which alone may delete them: stop the workers and clear again", after.Reserved, queue)
	}
	return n, err
}

// clearHeld deletes the jobs of the queue that this Conn holds.
func (c *Conn) clearHeld(ctx context.Context, queue string) (n int64, err error) {
	c.mu.Lock()
	sessions := append(append([]*session(nil), c.waiters...), c.main)
	for _, f := range c.kept[queue] {
		f.timer.Stop()
	}
	delete(c.kept, queue)
	c.mu.Unlock()
	for _, s := range sessions {
		if s == nil || err != nil {
			continue
		}
		var outcomes []error
		held := s.heldOf(queue)
		if len(held) == 0 {
			continue
		}
		outcomes, err = s.settle(ctx, remove, held)
		for i := range held {
			if err == nil && (outcomes == nil || outcomes[i] == nil) {
				n++
			}
		}
	}
	return n, err
}

// heldOf returns the receipts of a queue.
func (s *session) heldOf(queue string) []*receipt {
	s.mu.Lock()
	defer s.mu.Unlock()
	var held []*receipt
	for _, r := range s.held {
		if r.queue == queue {
			held = append(held, r)
		}
	}
	return held
}

// clearReady deletes up to max ready jobs. Reserving them is the only way to
// learn of more than one at a time.
func (c *Conn) clearReady(ctx context.Context, queue string, max int64) (n int64, err error) {
	for n < max {
		rs, err := c.Reserve(ctx, queue, int(min(max-n, reserveMost)))
		if err != nil || len(rs) == 0 {
			return n, err
		}
		if err := c.Delete(ctx, rs); err != nil {
			return n, err
		}
		n += int64(len(rs))
	}
	return n, nil
}
