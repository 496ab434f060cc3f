package beanstalkqueue

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/spoolq/spool/driver"
)

const (
	// longestBlock bounds one blocking reserve.
	longestBlock = time.Hour
	// keepMost bounds how long Wait keeps a job for a Reserve.
	keepMost = 10 * time.Second
	// freshFor is how long a job that Wait keeps may be handed out without
	// renewing its lease.
	freshFor = 500 * time.Millisecond
	// reservesLately is how long ago the last Reserve may be of somebody who
	// waits in order to reserve.
	reservesLately = 10 * time.Second
	// shortestLook and longestLook are the intervals of looking where Wait
	// can't block in the server.
	shortestLook, longestLook = 5 * time.Millisecond, 200 * time.Millisecond
)

// Wait blocks in the server until one of the tubes has a job, for whole
// seconds; what is left of max is not waited for unless it is less than one in
// all. The job is kept for the next Reserve: see the package's comment. Where
// no Reserve was called in the last ten seconds, as by a process that only
// watches, Wait doesn't touch the job: it looks at the tubes at intervals that
// grow to 200 ms.
func (c *Conn) Wait(ctx context.Context, queues []string, max time.Duration) error {
	if err := c.check(ctx); err != nil {
		return err
	}
	for _, q := range queues {
		if err := checkName(q); err != nil {
			return err
		}
	}
	if c.opts.BlockFor > 0 {
		max = min(max, c.opts.BlockFor)
	}
	kept, reserves := c.keeps(queues)
	if kept {
		return nil
	}
	if max >= time.Second && len(queues) > 0 && reserves {
		s, err := c.waiter(ctx)
		if err != nil {
			return err
		}
		if s != nil {
			defer c.giveBack(s)
			return c.block(ctx, s, queues, min(max.Truncate(time.Second), longestBlock))
		}
	}
	return c.look(ctx, queues, max)
}

// block waits on a connection that holds nothing.
func (c *Conn) block(ctx context.Context, s *session, queues []string, d time.Duration) error {
	p := part{r: &request{watch: distinct(queues), n: 1, block: d}}
	p.r.text = append(strconv.AppendInt([]byte("reserve-with-timeout "), int64(d/time.Second), 10), "\r\n"...)
	p.r.finish = func(s *session, r *request) { p.receipts, p.bodies = s.register(r, "") }
	if err := s.do(ctx, p.r); err != nil && ctx.Err() != nil {
		select {
		case <-p.r.done:
		default:
			s.close(errAbandoned) // it holds nothing, and would take a job that nobody wants
			<-p.r.done
		}
	}
	if p.r.err != nil {
		return gaveUp(ctx, p.r.err)
	}
	switch w := p.r.answers[0].word; w {
	case wordTimedOut:
		return ctx.Err()
	case wordReserved:
	default:
		err := &ServerError{Command: "reserve-with-timeout", Word: w}
		s.close(err) // it may hold a job that nobody knows of
		return err
	}
	p.stats = statsOf(p.receipts)
	if err := s.do(context.Background(), p.stats); err != nil {
		return gaveUp(ctx, err)
	}
	for _, res := range s.known(nil, &p, time.Time{}) {
		c.keep(res)
	}
	return ctx.Err()
}

// gaveUp prefers to say that the caller did.
func gaveUp(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// distinct returns the names, each once, in a slice of its own.
func distinct(names []string) []string {
	names = slices.Clone(names)
	slices.Sort(names)
	return slices.Compact(names)
}

// look looks at the tubes at growing intervals until one has a job.
func (c *Conn) look(ctx context.Context, queues []string, max time.Duration) error {
	deadline := time.Now().Add(max)
	for interval := shortestLook; ; interval = min(2*interval, longestLook) {
		woken := c.woken.next()
		ready, err := c.ready(ctx, queues)
		if err != nil || ready {
			return err
		}
		d := min(interval, time.Until(deadline))
		if d <= 0 {
			return nil
		}
		t := time.NewTimer(d)
		select {
		case <-t.C:
			continue
		case <-woken:
			return nil
		case <-ctx.Done():
			err = ctx.Err()
		case <-c.closing.Done():
			err = driver.ErrClosed
		}
		t.Stop()
		return err
	}
}

// ready says whether one of the tubes has a job to reserve.
func (c *Conn) ready(ctx context.Context, queues []string) (bool, error) {
	tubes, err := c.tubes(ctx, queues)
	for _, stats := range tubes {
		if count(stats, "current-jobs-ready") > 0 && count(stats, "pause-time-left") == 0 {
			return true, err
		}
	}
	return false, err
}

// found is a job that Wait has reserved, on its way to a Reserve.
type found struct {
	res   driver.Reservation
	at    time.Time
	timer *time.Timer // hands it back
}

// keeps says whether a job of one of the queues is kept, and whether somebody
// reserves jobs of this Conn at all.
func (c *Conn) keeps(queues []string) (kept, reserves bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	kept = slices.ContainsFunc(queues, func(q string) bool { return len(c.kept[q]) > 0 })
	return kept, time.Since(c.reserved) < reservesLately
}

// keep keeps a job for the next Reserve of its queue, for a while.
func (c *Conn) keep(res driver.Reservation) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	f := &found{res: res, at: time.Now()}
	f.timer = time.AfterFunc(min(f.receipt().ttr/3, keepMost), func() { c.handBack(f) })
	c.kept[res.Queue] = append(c.kept[res.Queue], f)
}

func (f *found) receipt() *receipt { return f.res.Receipt.(*receipt) } //nolint:forcetypeassert // made here

// handBack makes a job available that nobody has fetched.
func (c *Conn) handBack(f *found) {
	c.mu.Lock()
	kept := c.kept[f.res.Queue]
	i := slices.Index(kept, f)
	if i < 0 || c.closed {
		c.mu.Unlock()
		return
	}
	c.forgetKept(f.res.Queue, slices.Delete(kept, i, i+1))
	c.running.Add(1)
	c.mu.Unlock()
	defer c.running.Done()
	// If it fails the job comes back when its lease ends.
	_, _ = f.receipt().s.settle(c.closing, release(0), []*receipt{f.receipt()})
}

// forgetKept stores what is left of the kept jobs of a queue. c.mu is held.
func (c *Conn) forgetKept(queue string, kept []*found) {
	if len(kept) == 0 {
		delete(c.kept, queue)
	} else {
		c.kept[queue] = kept
	}
}

// fetch returns up to max kept jobs of the queue.
func (c *Conn) fetch(queue string, max int) []driver.Reservation {
	c.mu.Lock()
	c.reserved = time.Now()
	kept := c.kept[queue]
	n := min(max, len(kept))
	got := slices.Clone(kept[:n])
	if n > 0 {
		c.forgetKept(queue, slices.Delete(kept, 0, n))
	}
	c.mu.Unlock()
	var rs []driver.Reservation
	for _, f := range got {
		f.timer.Stop()
		if r := f.receipt(); time.Since(f.at) > freshFor {
			errs, err := r.s.settle(c.closing, touch, []*receipt{r})
			if err != nil || errs != nil {
				continue
			}
		} else if !r.s.alive() {
			continue
		}
		rs = append(rs, f.res)
	}
	return rs
}

// signal wakes all who wait for its next time.
type signal struct {
	mu sync.Mutex
	ch chan struct{}
}

func (g *signal) next() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ch == nil {
		g.ch = make(chan struct{})
	}
	return g.ch
}

func (g *signal) send() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ch != nil {
		close(g.ch)
		g.ch = nil
	}
}
