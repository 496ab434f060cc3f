// Package gather merges concurrent calls into batches that form by
// themselves: the first call goes out alone and at once; calls that arrive
// while it is under way go out together as the next one. An idle caller has
// the latency of one item, a busy one the throughput of batches.
package gather

import (
	"context"
	"sync"
)

// Gather merges calls of Do. Create it with New.
type Gather[T, R any] struct {
	flush func(ctx context.Context, items []T) ([]R, []error)
	max   int

	mu      sync.Mutex
	busy    bool
	waiting []*call[T, R]
}

type call[T, R any] struct {
	ctx  context.Context
	item T
	res  R
	err  error
	done chan struct{}
	lead bool // this caller has to flush
}

// New returns a Gather that hands at most max items at a time to flush, one
// flush at a time. flush returns one result and one error per item. Its
// context is not cancelled with any caller's.
func New[T, R any](max int, flush func(ctx context.Context, items []T) ([]R, []error)) *Gather[T, R] {
	return &Gather[T, R]{flush: flush, max: max}
}

// Do flushes item, alone or with others, and returns its own result. If ctx
// ends before its flush has begun, it returns ctx's error and the item is not
// flushed; once begun, Do waits for the outcome.
func (g *Gather[T, R]) Do(ctx context.Context, item T) (R, error) {
	c := &call[T, R]{ctx: ctx, item: item}
	g.mu.Lock()
	if g.busy {
		c.done = make(chan struct{})
		g.waiting = append(g.waiting, c)
		g.mu.Unlock()
		if !g.await(c) {
			return c.res, c.err
		}
	} else {
		g.busy = true
		g.mu.Unlock()
	}
	// Only the leader gets here. Its own call goes first, then those that wait.
	g.lead(c)
	return c.res, c.err
}

// await blocks until c was flushed by another caller, gave up, or is told to
// lead; it returns true in the last case.
func (g *Gather[T, R]) await(c *call[T, R]) (lead bool) {
	select {
	case <-c.done:
	case <-c.ctx.Done():
		g.mu.Lock()
		for i, w := range g.waiting {
			if w == c {
				g.waiting = append(g.waiting[:i], g.waiting[i+1:]...)
				g.mu.Unlock()
				c.err = c.ctx.Err()
				return false
			}
		}
		g.mu.Unlock()
		<-c.done // its flush has begun, or it was just told to lead
	}
	return c.lead
}

// lead flushes c together with whoever waits, then hands the lead to the
// first of those that came meanwhile.
func (g *Gather[T, R]) lead(c *call[T, R]) {
	g.mu.Lock()
	batch := append([]*call[T, R]{c}, g.take(g.max-1)...)
	g.mu.Unlock()

	items := make([]T, len(batch))
	for i, b := range batch {
		items[i] = b.item
	}
	results, errs := g.flush(context.WithoutCancel(c.ctx), items)
	for i, b := range batch {
		b.res, b.err = results[i], errs[i]
		if b != c {
			close(b.done)
		}
	}

	g.mu.Lock()
	defer g.mu.Unlock()
	if next := g.take(1); len(next) == 1 {
		next[0].lead = true
		close(next[0].done)
	} else {
		g.busy = false
	}
}

// take removes up to n waiting calls. The caller holds the lock.
func (g *Gather[T, R]) take(n int) []*call[T, R] {
	n = min(n, len(g.waiting))
	taken := append([]*call[T, R](nil), g.waiting[:n]...)
	g.waiting = append(g.waiting[:0], g.waiting[n:]...)
	return taken
}
