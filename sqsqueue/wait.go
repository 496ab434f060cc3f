package sqsqueue

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/spoolq/spool/driver"
)

const (
	// pollSlack is how much longer than it waits a request may take.
	pollSlack = 5 * time.Second
	// fresh is how long ago the lease of a kept job may have begun when it is
	// handed out without being renewed.
	fresh = 500 * time.Millisecond
	// keepMost is how long a job is kept for a Reserve that doesn't come.
	keepMost = 10 * time.Minute
)

// polls are the requests that wait for jobs, one for each queue that somebody
// waits for.
type polls struct {
	mu    sync.Mutex
	byURL map[string]*poll
}

// A poll is one queue that somebody waits for.
type poll struct {
	waiters  []chan struct{}
	busy     bool                 // a goroutine waits for a job, or keeps one
	kept     []driver.Reservation // one at most
	taken    chan struct{}        // closed when kept is taken
	unwanted bool                 // who waited last has given up
	err      error                // of the last request
}

// Wait blocks until a job of one of the queues is there, max has passed or ctx
// is done. Jobs pushed by whomever, and delayed ones that become due, end it at
// once.
//
// SQS tells of a job only by handing it out. So Wait receives one from each
// queue, in requests of Options.PollFor that outlast it and serve the next Wait
// too, and keeps it, its lease renewed, for the next Reserve of the same
// connection, for ten minutes at most. A request is never broken off: SQS would
// hand the next job to nobody. What comes when nobody wants it any more, because
// ctx ended or the connection closes, is made available again at once; the
// receive counts as an attempt all the same.
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

// hasKept says whether a job of these queues is kept.
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
	if c.closing.Err() != nil {
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
		p.waiters, p.unwanted = append(p.waiters, woken), false
		if len(p.kept) > 0 { // it came in this moment
			p.wake()
		}
		if !p.busy {
			p.busy, p.err = true, nil
			c.polling.Go(func() { c.poll(url, p) }) // waited for by Close
		}
	}
	return true
}

// leave undoes join. It returns the error of a request that failed.
func (c *Conn) leave(urls []string, woken chan struct{}, givenUp bool) (err error) {
	c.polls.mu.Lock()
	defer c.polls.mu.Unlock()
	for _, url := range urls {
		p := c.polls.byURL[url]
		if i := slices.Index(p.waiters, woken); i >= 0 {
			p.waiters = slices.Delete(p.waiters, i, i+1)
		}
		p.unwanted = givenUp && len(p.waiters) == 0
		if p.err != nil {
			err = p.err
		}
	}
	return err
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

// poll asks for one job as long as somebody waits for it, and keeps it until
// it is reserved.
func (c *Conn) poll(url string, p *poll) {
	for {
		// Neither ctx of a Wait nor Close ends the request, only time.
		ctx, cancel := context.WithTimeout(context.Background(), c.opts.PollFor+pollSlack)
		rs, err := c.receive(ctx, url, 1, c.opts.PollFor)
		cancel()
		c.polls.mu.Lock()
		switch {
		case len(rs) > 0 && (p.unwanted || c.closing.Err() != nil):
			p.busy = false
			c.polls.mu.Unlock()
			c.handBack(rs)
			return
		case len(rs) > 0:
			taken := make(chan struct{})
			p.kept, p.taken = rs, taken
			p.wake()
			c.polls.mu.Unlock()
			c.keep(p, taken)
			return
		case err != nil || len(p.waiters) == 0 || c.closing.Err() != nil:
			p.busy, p.err = false, err
			p.wake()
			c.polls.mu.Unlock()
			return
		}
		c.polls.mu.Unlock()
	}
}

// keep renews the lease of a job that Wait has received until it is taken.
func (c *Conn) keep(p *poll, taken <-chan struct{}) {
	renew := time.NewTicker(c.traits.Renew)
	defer renew.Stop()
	last := time.NewTimer(keepMost)
	defer last.Stop()
	for {
		select {
		case <-taken:
			return
		case <-renew.C:
			c.polls.mu.Lock()
			kept := slices.Clone(p.kept)
			c.polls.mu.Unlock()
			ctx, cancel := context.WithTimeout(context.Background(), pollSlack)
			_ = c.Extend(ctx, kept) // takeKept sees whether it worked
			cancel()
		case <-last.C:
			c.handBack(c.take(p, taken))
			return
		case <-c.closing.Done():
			c.handBack(c.take(p, taken))
			return
		}
	}
}

// take takes the job that is kept until taken is closed, unless another was
// faster.
func (c *Conn) take(p *poll, taken <-chan struct{}) []driver.Reservation {
	c.polls.mu.Lock()
	defer c.polls.mu.Unlock()
	if len(p.kept) == 0 || p.taken != taken {
		return nil
	}
	return p.give()
}

// takeAny takes a kept job of a queue, if there is one.
func (c *Conn) takeAny(url string) []driver.Reservation {
	c.polls.mu.Lock()
	defer c.polls.mu.Unlock()
	p := c.polls.byURL[url]
	if p == nil || len(p.kept) == 0 {
		return nil
	}
	return p.give()
}

// give gives the kept job away. The caller holds the lock.
func (p *poll) give() []driver.Reservation {
	rs := p.kept
	p.kept, p.busy = nil, false
	close(p.taken)
	return rs
}

// takeKept hands out the job that Wait has received, if there is one and its
// lease is whole.
func (c *Conn) takeKept(ctx context.Context, url string) []driver.Reservation {
	rs := c.takeAny(url)
	if len(rs) == 0 || rs[0].Receipt.(*receipt).began(c.traits.Lease) < fresh {
		return rs
	}
	if c.Extend(ctx, rs) != nil {
		return nil // lost, or it will be: SQS hands it out again
	}
	return rs
}

// began is how long ago the present lease began.
func (r *receipt) began(lease time.Duration) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return time.Since(r.ends.Add(-lease))
}

// handBack makes jobs available again that were received and not reserved.
func (c *Conn) handBack(rs []driver.Reservation) {
	ctx, cancel := context.WithTimeout(context.Background(), pollSlack)
	defer cancel()
	for _, r := range rs {
		r := r.Receipt.(*receipt)
		_, _ = c.changeVisibility(ctx, 0, once)(r.url, []*receipt{r}) // or they come back when their leases end
	}
}
