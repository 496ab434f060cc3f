// Package memqueue is a queue in the memory of the process.
//
// It is the reference driver: what it does is what the contract of package
// driver says, exactly and at once, and driver/drivertest compares the other
// drivers with it. It also serves tests, which it lets run under
// testing/synctest (it starts no goroutines, and waits only on channels and
// timers made by the waiting call), and programs whose jobs may die with them.
//
// It imports package driver and the standard library.
package memqueue

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/spoolq/spool/driver"
)

// Options are the settings of a queue in memory.
type Options struct {
	// RetryAfter is how long a reservation lasts unless it is extended: 90 s if
	// zero, and never under [driver.MinLease].
	RetryAfter time.Duration
	// KeepExpired leaves expired reservations where they are until Rescue is
	// called (retry_after null).
	KeepExpired bool
}

// Conn is a store in memory and the one connection to it. All methods are safe
// for concurrent use. Bodies are copied on the way in and on the way out.
type Conn struct {
	traits      driver.Traits
	keepExpired bool

	mu      sync.Mutex
	closed  bool
	queues  map[string]*queue
	records map[string]record // of workers, by id
	seq     uint64            // of the last change of place, and the source of ids
}

var (
	_ driver.Conn        = (*Conn)(nil)
	_ driver.Extender    = (*Conn)(nil)
	_ driver.Returner    = (*Conn)(nil)
	_ driver.Waiter      = (*Conn)(nil)
	_ driver.Sizer       = (*Conn)(nil)
	_ driver.Lister      = (*Conn)(nil)
	_ driver.QueueLister = (*Conn)(nil)
	_ driver.Clearer     = (*Conn)(nil)
	_ driver.Rescuer     = (*Conn)(nil)
	_ driver.Pinger      = (*Conn)(nil)
	_ driver.Selector    = (*Conn)(nil)
)

// delivery is the receipt of a reservation. A job points back at its latest
// one, so a holder that was replaced can tell.
type delivery struct {
	conn *Conn
	q    *queue
	j    *job
}

// New returns an empty store. It panics if o.RetryAfter is negative or under
// [driver.MinLease]: check what users give beforehand.
func New(o *Options) *Conn {
	if o == nil {
		o = &Options{}
	}
	lease := o.RetryAfter
	if lease == 0 {
		lease = driver.DefaultLease
	}
	if lease < driver.MinLease {
		panic(fmt.Sprintf("memqueue: RetryAfter is %v; the shortest is %v", o.RetryAfter, driver.MinLease))
	}
	return &Conn{
		traits: driver.Traits{
			Driver:     "memory",
			Lease:      lease,
			Renew:      lease / 3,
			Resolution: time.Nanosecond,
		},
		keepExpired: o.KeepExpired,
		queues:      map[string]*queue{},
	}
}

// Traits returns the fixed facts of the store.
func (c *Conn) Traits() driver.Traits { return c.traits }

// Ping returns [driver.ErrClosed] after Close.
func (c *Conn) Ping(ctx context.Context) error {
	if err := c.enter(ctx); err != nil {
		return err
	}
	c.mu.Unlock()
	return nil
}

// Close drops all jobs and unblocks waiters. The jobs go with the store, the
// one thing in which this driver can't behave like the others.
func (c *Conn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for _, q := range c.queues {
		q.wake()
	}
	c.queues = nil
	return nil
}

// enter locks the store, unless it is closed or ctx is done.
func (c *Conn) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return driver.ErrClosed
	}
	return nil
}

// queue returns the queue of this name with its due jobs made ready. It makes
// the queue if there is none. c.mu must be held.
func (c *Conn) queue(name string, now time.Time) *queue {
	q := c.queues[name]
	if q == nil {
		q = &queue{}
		c.queues[name] = q
	}
	q.promote(now)
	return q
}

// place puts a job where it waits for its time, or behind those that are ready.
func (c *Conn) place(q *queue, j *job, now time.Time, delay time.Duration) {
	c.seq++
	j.seq = c.seq
	if delay > 0 {
		j.at = now.Add(delay)
		q.delayed.push(j)
		return
	}
	j.at = now
	q.ready.push(j)
}

// Push stores copies of the messages. The ids are those of the messages, or
// numbers of its own for those that have none.
func (c *Conn) Push(ctx context.Context, queue string, ms []driver.Message) ([]string, error) {
	if err := c.enter(ctx); err != nil {
		return nil, err
	}
	defer c.mu.Unlock()
	now := time.Now()
	q := c.queue(queue, now)
	ids := make([]string, len(ms))
	for i, m := range ms {
		j := &job{id: m.ID, body: bytes.Clone(m.Body), created: now}
		c.place(q, j, now, m.Delay)
		if j.id == "" {
			j.id = strconv.FormatUint(j.seq, 10)
		}
		ids[i] = j.id
	}
	q.wake()
	return ids, nil
}

// Reserve takes the jobs that became ready first. Expired reservations go
// behind those that are ready by then.
func (c *Conn) Reserve(ctx context.Context, queue string, max int) ([]driver.Reservation, error) {
	if err := c.enter(ctx); err != nil {
		return nil, err
	}
	defer c.mu.Unlock()
	now := time.Now()
	q := c.queue(queue, now)
	if !c.keepExpired {
		c.rescue(q, now, q.reserved.len)
	}
	n := min(max, q.ready.len)
	if n <= 0 {
		return nil, nil
	}
	js := make([]*job, n)
	for i := range js {
		js[i] = q.ready.pop()
	}
	return c.deliver(queue, q, js, now), nil
}

// ReserveMatching takes the jobs that s matches, wherever they stand.
func (c *Conn) ReserveMatching(ctx context.Context, queue string, max int, s *driver.Selection) ([]driver.Reservation, error) {
	if err := c.enter(ctx); err != nil {
		return nil, err
	}
	defer c.mu.Unlock()
	now := time.Now()
	q := c.queue(queue, now)
	if !c.keepExpired {
		c.rescue(q, now, q.reserved.len)
	}
	var js []*job
	for j := q.ready.head; j != nil && len(js) < max; {
		next := j.next
		if s.Matches(j.body) {
			q.ready.remove(j)
			js = append(js, j)
		}
		j = next
	}
	return c.deliver(queue, q, js, now), nil
}

// deliver leases jobs that were taken from the ready ones.
func (c *Conn) deliver(name string, q *queue, js []*job, now time.Time) []driver.Reservation {
	rs := make([]driver.Reservation, len(js))
	ds := make([]delivery, len(js))
	for i, j := range js {
		j.attempts++
		j.at = now.Add(c.traits.Lease)
		ds[i] = delivery{conn: c, q: q, j: j}
		j.held = &ds[i]
		q.reserved.push(j)
		rs[i] = driver.Reservation{ID: j.id, Queue: name, Body: bytes.Clone(j.body), Attempts: j.attempts, Receipt: &ds[i]}
	}
	return rs
}

// Delete removes the jobs for good.
func (c *Conn) Delete(ctx context.Context, rs []driver.Reservation) error {
	return c.settle(ctx, rs, func(q *queue, j *job, _ time.Time) {
		q.reserved.remove(j)
		j.held, j.body = nil, nil // receipts of its batch may keep j alive
	})
}

// Release puts the jobs back behind those that are ready, now or after delay.
func (c *Conn) Release(ctx context.Context, rs []driver.Reservation, delay time.Duration) error {
	return c.settle(ctx, rs, func(q *queue, j *job, now time.Time) {
		c.putBack(q, j, now, delay)
	})
}

// Return is Release with the attempt given back.
func (c *Conn) Return(ctx context.Context, rs []driver.Reservation, delay time.Duration) error {
	return c.settle(ctx, rs, func(q *queue, j *job, now time.Time) {
		j.attempts--
		c.putBack(q, j, now, delay)
	})
}

// Extend makes the leases end RetryAfter from now. A lease that has run out is
// renewed too, as long as nobody else took the job.
func (c *Conn) Extend(ctx context.Context, rs []driver.Reservation) error {
	return c.settle(ctx, rs, func(q *queue, j *job, now time.Time) {
		q.reserved.remove(j)
		j.at = now.Add(c.traits.Lease)
		q.reserved.push(j)
	})
}

// putBack ends a reservation and makes its job wait again.
func (c *Conn) putBack(q *queue, j *job, now time.Time, delay time.Duration) {
	q.reserved.remove(j)
	j.held = nil
	c.place(q, j, now, delay)
	q.wake()
}

// rescue puts up to max jobs whose lease has run out behind those that are
// ready, and returns how many they were.
func (c *Conn) rescue(q *queue, now time.Time, max int) (n int) {
	for ; n < max && q.expired(now); n++ {
		c.putBack(q, q.reserved.head, now, 0)
	}
	return n
}

// settle does the verb for each reservation that is still the caller's.
func (c *Conn) settle(ctx context.Context, rs []driver.Reservation, verb func(*queue, *job, time.Time)) error {
	if err := c.enter(ctx); err != nil {
		return err
	}
	defer c.mu.Unlock()
	now := time.Now()
	var errs []error
	for i := range rs {
		d, ok := rs[i].Receipt.(*delivery)
		if !ok || d == nil || d.conn != c || d.j.held != d {
			if errs == nil {
				errs = make([]error, len(rs))
			}
			errs[i] = driver.ErrLost
			continue
		}
		d.q.promote(now)
		verb(d.q, d.j, now)
	}
	return driver.Outcomes(errs)
}
