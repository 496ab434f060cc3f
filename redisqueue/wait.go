package redisqueue

import (
	"context"
	"sync"
	"time"

	"github.com/redis/rueidis"

	"github.com/spoolq/spool/driver"
)

// waitSlice is how long Wait blocks before it looks at the delayed jobs again:
// one that somebody delays meanwhile is due a second later at the earliest.
const waitSlice = time.Second

// Where the layout has no notify list, Wait looks for the pushes of others
// itself: soon at first, then less and less often.
const (
	shortestLook = 5 * time.Millisecond
	longestLook  = 250 * time.Millisecond
)

// Wait blocks until a push of any client is announced in the notify list of
// one of the queues (it takes one element), a delayed or expired job is due,
// max has passed, or ctx is done. Where the layout has no such list, a push
// through this connection ends it at once, and it finds those of others within
// a quarter of a second.
func (c *Conn) Wait(ctx context.Context, queues []string, max time.Duration) error {
	if err := c.check(ctx, queues...); err != nil {
		return err
	}
	if c.opts.BlockFor > 0 {
		max = min(max, c.opts.BlockFor)
	}
	waiting, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.closing, cancel)()

	err := c.wait(waiting, queues, time.Now().Add(max))
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case c.closing.Err() != nil:
		return driver.ErrClosed
	}
	return err
}

func (c *Conn) wait(ctx context.Context, queues []string, deadline time.Time) error {
	lists, sets := c.watched(queues)
	slice := waitSlice
	if len(lists) == 0 {
		slice = shortestLook
	}
	for ; ; slice = min(2*slice, max(longestLook, slice)) {
		block := min(time.Until(deadline), slice)
		if block <= 0 {
			return ctx.Err()
		}
		pushed := c.pushes.next() // before the look, so that none falls between
		due, known, err := c.due(ctx, sets)
		if err != nil {
			return err
		}
		if known {
			block = min(block, due)
		}
		woken, err := c.block(ctx, lists, pushed, block)
		if err != nil || woken {
			return err
		}
		if known && block == due {
			return nil
		}
	}
}

// watched returns the notify lists of the queues and the keys that due needs,
// each in groups that one command may see. In a cluster every queue lives on a
// node of its own.
func (c *Conn) watched(queues []string) (lists, sets [][]string) {
	for i, q := range queues {
		k := c.keys(q)
		if i == 0 || c.cluster {
			sets = append(sets, nil)
			if k.notify != "" {
				lists = append(lists, nil)
			}
		}
		if last := len(lists) - 1; k.notify != "" {
			lists[last] = append(lists[last], k.notify)
		}
		last := len(sets) - 1
		sets[last] = append(sets[last], k.ready, k.delayed, k.reserved)
	}
	return lists, sets
}

// due returns how long until Reserve may find a job; known is false if no job
// is in sight.
func (c *Conn) due(ctx context.Context, sets [][]string) (due time.Duration, known bool, err error) {
	for _, names := range sets {
		ms, err := c.run(ctx, c.scripts.due, names, []string{c.requeue}).ToInt64()
		if err != nil {
			return 0, false, err
		}
		if d := time.Duration(ms) * time.Millisecond; ms >= 0 && (!known || d < due) {
			due, known = d, true
		}
	}
	return due, known, nil
}

// block waits for an element in one of the lists and says whether it got one;
// where there are none, for a push through this connection.
func (c *Conn) block(ctx context.Context, lists [][]string, pushed <-chan struct{}, d time.Duration) (bool, error) {
	switch {
	case d <= 0:
		return false, ctx.Err()
	case len(lists) == 1:
		return c.pop(ctx, lists[0], d)
	case len(lists) > 1:
		return c.popAny(ctx, lists, d)
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return false, nil
	case <-pushed:
		return true, nil
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

// pop waits for an element in one of the lists.
func (c *Conn) pop(ctx context.Context, lists []string, d time.Duration) (bool, error) {
	// 0 would block for ever.
	timeout := max(d, time.Millisecond).Seconds()
	err := c.client.Do(ctx, c.client.B().Blpop().Key(lists...).Timeout(timeout).Build()).Error()
	if rueidis.IsRedisNil(err) {
		return false, nil
	}
	return err == nil, err
}

// popAny is pop for lists on several nodes: the first answer ends the waits for
// the others. One of those may have taken an element at that very moment, which
// costs another waiter no more than its slice. A node that is down doesn't keep
// the jobs of the others waiting.
func (c *Conn) popAny(ctx context.Context, lists [][]string, d time.Duration) (woken bool, err error) {
	waiting, cancel := context.WithCancel(ctx)
	defer cancel()
	var mu sync.Mutex
	var failed []error
	var wg sync.WaitGroup
	for _, group := range lists {
		wg.Go(func() {
			got, err := c.pop(waiting, group, d)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case got:
				woken = true
				cancel()
			case err != nil && waiting.Err() == nil:
				failed = append(failed, err)
			}
		})
	}
	wg.Wait()
	if !woken && len(failed) == len(lists) {
		return false, failed[0]
	}
	return woken, ctx.Err()
}

// announcer wakes those who wait for pushes through the same connection. The
// zero value is ready to use.
type announcer struct {
	mu sync.Mutex
	ch chan struct{} // closed by the next push; nil if nobody waits
}

func (a *announcer) next() <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.ch == nil {
		a.ch = make(chan struct{})
	}
	return a.ch
}

func (a *announcer) announce() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.ch != nil {
		close(a.ch)
		a.ch = nil
	}
}
