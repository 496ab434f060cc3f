// Package gather merges concurrent calls into batches that form by
// themselves: the first call goes out alone and at once; calls that arrive
// while it is under way go out together as the next one. An idle caller has
// the latency of one item, a busy one the throughput of batches.
package gather

import (
	"context"
	"errors"
	"slices"
	"sync"
)

// errPanicked is what the others of a batch get whose flush has panicked.
var errPanicked = errors.New("the call that went out together with others has panicked: its outcome is unknown")

// Gather merges calls of Do. Create it with New.
type Gather[T, R any] struct {
	flush func(ctx context.Context, items []T) ([]R, []error)
	max   int
	calls sync.Pool // of *call[T, R], between their uses

	mu      sync.Mutex
	busy    bool
	waiting []*call[T, R]

	// The leader's, kept for the next one.
	batch []*call[T, R]
	items []T
}

type call[T, R any] struct {
	ctx  context.Context
	item T
	res  R
	err  error
	done chan bool // true: this caller has to flush; false: it has been done
}

// New returns a Gather that hands at most max items at a time to flush, one
// flush at a time. flush returns one result and one error per item, and must
// not keep items. Its context is not cancelled with any caller's.
func New[T, R any](max int, flush func(ctx context.Context, items []T) ([]R, []error)) *Gather[T, R] {
	g := &Gather[T, R]{flush: flush, max: max}
	g.calls.New = func() any { return &call[T, R]{done: make(chan bool, 1)} }
	return g
}

// Do flushes item, alone or with others, and returns its own result. If ctx
// ends before its flush has begun, it returns ctx's error and the item is not
// flushed; once begun, Do waits for the outcome.
func (g *Gather[T, R]) Do(ctx context.Context, item T) (R, error) {
	c := g.calls.Get().(*call[T, R])
	c.ctx, c.item = ctx, item
	g.mu.Lock()
	lead := !g.busy
	if g.busy {
		g.waiting = append(g.waiting, c)
	}
	g.busy = true
	g.mu.Unlock()
	if lead || g.await(c) {
		// Only the leader gets here. Its own call goes first, then those that wait.
		g.lead(c)
	}
	res, err := c.res, c.err
	*c = call[T, R]{done: c.done}
	g.calls.Put(c)
	return res, err
}

// await blocks until c was flushed by another caller, gave up, or is told to
// lead; it returns true in the last case.
func (g *Gather[T, R]) await(c *call[T, R]) (lead bool) {
	select {
	case lead = <-c.done:
		return lead
	case <-c.ctx.Done():
	}
	g.mu.Lock()
	for i, w := range g.waiting {
		if w == c {
			g.waiting = slices.Delete(g.waiting, i, i+1)
			g.mu.Unlock()
			c.err = c.ctx.Err()
			return false
		}
	}
	g.mu.Unlock()
	return <-c.done // its flush has begun, or it was just told to lead
}

// lead flushes c together with whoever waits, then hands the lead to the
// first of those that came meanwhile. Should flush panic, that goes through to
// the caller of c, and nobody waits for ever.
func (g *Gather[T, R]) lead(c *call[T, R]) {
	g.mu.Lock()
	n := min(g.max-1, len(g.waiting))
	g.batch = append(append(g.batch[:0], c), g.waiting[:n]...)
	g.waiting = slices.Delete(g.waiting, 0, n)
	g.mu.Unlock()

	g.items = g.items[:0]
	for _, b := range g.batch {
		g.items = append(g.items, b.item)
	}
	var results []R
	var errs []error
	defer func() { g.finish(c, results, errs) }()
	results, errs = g.flush(context.WithoutCancel(c.ctx), g.items)
}

// finish tells the callers of a batch their results, or that there are none,
// and passes the lead on.
func (g *Gather[T, R]) finish(c *call[T, R], results []R, errs []error) {
	for i, b := range g.batch {
		if errs == nil {
			b.err = errPanicked
		} else {
			b.res, b.err = results[i], errs[i]
		}
		if b != c {
			b.done <- false // from here on b is its caller's, who may use it again
		}
	}
	clear(g.items)
	clear(g.batch)

	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.waiting) > 0 {
		next := g.waiting[0]
		g.waiting = slices.Delete(g.waiting, 0, 1)
		next.done <- true
	} else {
		g.busy = false
	}
}
