package sqsqueue

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/spoolq/spool/driver"
)

const (
	// longPoll is how long a request waits in SQS for a job, the most it allows.
	longPoll = 20 * time.Second
	// linger is how long a request goes on when nobody waits any more: a worker
	// that was woken by another queue comes back in a moment, and a request that
	// is cancelled while SQS answers leaves a job hidden until its lease ends.
	linger = time.Second
	// fresh is the age up to which the lease of a kept job needs no renewal.
	fresh = 500 * time.Millisecond
)

// polls are the requests that wait for jobs, one for each queue that somebody
// waits for.
type polls struct {
	mu    sync.Mutex
	over  bool // Close has begun
	byURL map[string]*poll
}

// A poll is one queue that somebody waits for.
type poll struct {
	waiters []chan struct{}
	stop    context.CancelFunc // of its request, nil if there is none
	linger  *time.Timer        // stops it, nil while somebody waits
	kept    []driver.Reservation
	err     error // of the last request
}

// Wait blocks until a job of one of the queues is there, max has passed or ctx
// is done. SQS tells of a job only by handing it out, so Wait receives one, in
// a request of 20 s for each queue that goes on from one Wait to the next, and
// keeps it for the next Reserve, which renews its lease if need be. A kept job
// that nobody reserves comes back when its lease ends, as does one that SQS
// hands out in the very moment in which ctx ends or Close is called; either
// delivery counts as an attempt.
//
// Jobs pushed by whomever, and delayed ones that become due, end it at once.
func (c *Conn) Wait(ctx context.Context, queues []string, max time.Duration) error {
	if err := c.check(ctx); err != nil {
		return err
	}
	urls := make([]string, 0, len(queues))
	for _, q := range queues {
		url, err := c.url(ctx, q)
		if err != nil {
			return err
		}
		urls = append(urls, url)
	}
	if max <= 0 || c.hasKept(urls) {
		return nil
	}
	woken := make(chan struct{}, 1)
	if !c.join(urls, woken) {
		return driver.ErrClosed
	}
	timer := time.NewTimer(max)
	defer timer.Stop()
	var err error
	select {
	case <-woken:
	case <-timer.C:
	case <-ctx.Done():
		err = ctx.Err()
	case <-c.closing.Done():
		err = driver.ErrClosed
	}
	if failed := c.leave(urls, woken, err != nil); err == nil {
		err = failed
	}
	return err
}

// hasKept says whether a job of these queues was received and not reserved.
func (c *Conn) hasKept(urls []string) bool {
	c.polls.mu.Lock()
	defer c.polls.mu.Unlock()
	return slices.ContainsFunc(urls, func(url string) bool {
		p := c.polls.byURL[url]
		return p != nil && len(p.kept) > 0
	})
}

// join has woken be told of jobs of these queues, and starts the requests that
// aren't under way. It returns false after Close.
func (c *Conn) join(urls []string, woken chan struct{}) bool {
	c.polls.mu.Lock()
	defer c.polls.mu.Unlock()
	if c.polls.over {
		return false
	}
	if c.polls.byURL == nil {
		c.polls.byURL = map[string]*poll{}
	}
	for _, url := range urls {
		p := c.polls.byURL[url]
		if p == nil {
			p = &poll{}
			c.polls.byURL[url] = p
		}
		p.waiters = append(p.waiters, woken)
		if p.linger != nil {
			p.linger.Stop()
			p.linger = nil
		}
		if len(p.kept) > 0 { // it came in this moment
			p.wake()
		} else if p.stop == nil {
			ctx, stop := context.WithCancel(c.closing)
			p.stop, p.err = stop, nil
			c.polling.Go(func() { c.poll(ctx, url, p) }) // waited for by Close
		}
	}
	return true
}

// leave undoes join. Requests that nobody waits for any more end: at once if
// now, else soon. It returns the error of a request that failed.
func (c *Conn) leave(urls []string, woken chan struct{}, now bool) (err error) {
	c.polls.mu.Lock()
	defer c.polls.mu.Unlock()
	for _, url := range urls {
		p := c.polls.byURL[url]
		if i := slices.Index(p.waiters, woken); i >= 0 {
			p.waiters = slices.Delete(p.waiters, i, i+1)
		}
		if p.err != nil {
			err = p.err
		}
		switch {
		case len(p.waiters) > 0 || p.stop == nil:
		case now:
			p.stop()
		default:
			p.linger = time.AfterFunc(linger, func() { c.stopIdle(p) })
		}
	}
	return err
}

// stopIdle ends a request that nobody waits for.
func (c *Conn) stopIdle(p *poll) {
	c.polls.mu.Lock()
	defer c.polls.mu.Unlock()
	if len(p.waiters) == 0 && p.stop != nil {
		p.stop()
	}
}

// wake tells all who wait for the queue. The caller holds the lock.
func (p *poll) wake() {
	for _, w := range p.waiters {
		select {
		case w <- struct{}{}:
		default:
		}
	}
}

// poll asks for one job as long as somebody waits for it.
func (c *Conn) poll(ctx context.Context, url string, p *poll) {
	for {
		rs, err := c.receive(ctx, url, 1, longPoll)
		c.polls.mu.Lock()
		ended := ctx.Err() != nil
		if err == nil && len(rs) == 0 && len(p.waiters) > 0 && !ended {
			c.polls.mu.Unlock()
			continue
		}
		p.stop() // releases what belongs to ctx
		p.stop = nil
		if p.linger != nil {
			p.linger.Stop()
			p.linger = nil
		}
		p.kept = append(p.kept, rs...)
		if !ended {
			p.err = err
		}
		p.wake() // also if it was ended for want of waiters and one has come since
		c.polls.mu.Unlock()
		return
	}
}

// takeKept hands out up to max jobs that Wait has received, as far as their
// leases are whole.
func (c *Conn) takeKept(ctx context.Context, url string, max int) []driver.Reservation {
	c.polls.mu.Lock()
	p := c.polls.byURL[url]
	if p == nil || len(p.kept) == 0 {
		c.polls.mu.Unlock()
		return nil
	}
	n := min(max, len(p.kept))
	rs := slices.Clone(p.kept[:n])
	p.kept = slices.Delete(p.kept, 0, n)
	c.polls.mu.Unlock()

	var aged []driver.Reservation
	rs = slices.DeleteFunc(rs, func(r driver.Reservation) bool {
		old := time.Since(r.Receipt.(*receipt).received) > fresh
		if old {
			aged = append(aged, r)
		}
		return old
	})
	if len(aged) == 0 {
		return rs
	}
	err := c.Extend(ctx, aged)
	for i := range aged {
		if driver.ItemError(err, i) == nil {
			rs = append(rs, aged[i])
		}
	}
	return rs
}

// dropKept forgets the jobs that Wait has received of a queue that was cleared.
func (c *Conn) dropKept(url string) {
	c.polls.mu.Lock()
	defer c.polls.mu.Unlock()
	if p := c.polls.byURL[url]; p != nil {
		p.kept = nil
	}
}

// handBack makes jobs available that were received and not reserved, when the
// connection closes.
func (c *Conn) handBack() {
	c.polls.mu.Lock()
	kept := map[string][]*receipt{}
	for url, p := range c.polls.byURL {
		if p.linger != nil {
			p.linger.Stop()
		}
		for _, r := range p.kept {
			kept[url] = append(kept[url], r.Receipt.(*receipt))
		}
	}
	c.polls.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	for url, batch := range kept {
		_, _ = c.changeVisibility(ctx, 0, once)(url, batch) // or they come back when their leases end
	}
}
