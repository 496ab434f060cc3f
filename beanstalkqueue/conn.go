// Package beanstalkqueue keeps queues in beanstalkd, as Laravel's beanstalkd
// driver does, so that PHP and Go share them in both directions: a queue is
// the tube of that name, the payload is the job's body, and attempts are the
// server's own count of reservations.
//
// # Reservations live on connections
//
// beanstalkd gives a job to a TCP connection, and takes it back when that
// connection ends, whatever the reason and at once. So a Conn that is closed
// hands back what it holds, and when a connection breaks all its reservations
// are lost together: [Conn.Lost] says so at once, so that a worker cancels what
// it runs before another has it, and every verb answers [driver.ErrLost] for
// them without asking the server. The next call connects anew.
//
// A server that is restarted with its log (-b) has all jobs, and has forgotten
// the deliveries since a job was last put, released, buried or kicked. One
// without a log has lost everything.
//
// All verbs share one connection, on which nothing ever blocks and whose
// commands are pipelined, so any number of workers may use a Conn. Wait blocks
// in the server on a further connection that holds nothing, because commands
// queue behind a blocked reserve. beanstalkd can't tell of a job without
// reserving it: Wait keeps the job for the next Reserve of its queue. If none
// comes, it hands the job back within ten seconds (a third of the lease, if that
// is less), and the server counts that as a delivery.
//
// # What beanstalkd can't do
//
// Deliveries are counted by the server and can't be taken back: there is no
// Return. A worker releases the job instead, and the delivery stays counted.
//
// Expired reservations are made available by the server itself, always: there
// is no way to leave them where they are (Laravel's retry_after null), and no
// Rescue.
//
// Among jobs of the same priority the oldest is next. So a released job goes
// before those pushed after it, not behind those that wait. Give it a delay if
// others should come first.
//
// A lease is the time to run (ttr) that the producer gave to the job. RetryAfter
// is given to those pushed here; those of a Laravel application have its
// retry_after. Extend renews each by its own, and Traits.Renew is a second, so
// that times to run down to 3 s are kept.
//
// A worker whose machine loses power leaves its connection open. beanstalkd
// misses the end of about a third of the leases of a connection on which nothing
// happens any more (a Conn sees to it that something does); such a job comes back
// only when the server's operating system finds the connection dead. Set its
// net.ipv4.tcp_keepalive_time to a few minutes instead of two hours.
//
// Only the next job of each state can be looked at: see [Conn.Peek]. There is
// no List.
//
// Buried jobs, which no Laravel worker ever sees again, are in no size. See
// [Conn.Buried], [Conn.Bury] and [Conn.Kick].
package beanstalkqueue

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/spoolq/spool/driver"
)

// Options configure a [Conn]. The zero value means the defaults.
type Options struct {
	// RetryAfter is the time to run of the jobs that are pushed, and what
	// Traits says of leases, rounded up to whole seconds. 0 means 90 s. Less than
	// [driver.MinLease] is refused.
	RetryAfter time.Duration
	// BlockFor bounds how long Wait blocks (Laravel's block_for); 0 means as
	// long as the caller asks.
	BlockFor time.Duration
	// Priority is that of the jobs that are pushed; smaller numbers come first.
	// 0 means 1024, as in Laravel.
	Priority uint32
	// Connections bounds how many connections are open at a time: one for all
	// verbs, the others for Wait. 0 means 16. With 1, or while all others hold
	// jobs, Wait looks at the tubes at intervals that grow to 200 ms.
	Connections int
	// DialTimeout bounds the making of a connection; 0 means 5 s.
	DialTimeout time.Duration
	// Timeout is how long the server may take for an answer; then the
	// connection is given up, and with it what it holds. 0 means 10 s.
	Timeout time.Duration
}

// defaultPriority is that of Laravel's driver.
const defaultPriority = 1024

// maxSeconds is the largest number the server takes, for delays too.
const maxSeconds = 1<<32 - 1

// Conn is a connection to a beanstalkd server, made of few TCP connections.
type Conn struct {
	opts    Options
	traits  driver.Traits
	network string
	addr    string

	closing context.Context // ends with Close
	stop    context.CancelFunc
	running sync.WaitGroup // readers, and those who hand back
	dialing chan struct{}  // holds the right to make the main connection
	woken   signal         // by Push
	lost    signal         // by connections that end with jobs

	mu       sync.Mutex
	closed   bool
	main     *session
	waiters  []*session        // those of Wait, alive or not
	inUse    map[*session]bool // waiters that a Wait has
	making   int               // waiters being made
	kept     map[string][]*found
	guess    map[string]int // jobs that the last Reserve of a queue got
	reserved time.Time      // the last Reserve
	failures int            // to connect, in a row
	lastErr  error          // of the last failure
	retryAt  time.Time      // when to try again
}

var (
	_ driver.Conn         = (*Conn)(nil)
	_ driver.Waiter       = (*Conn)(nil)
	_ driver.Extender     = (*Conn)(nil)
	_ driver.LossNotifier = (*Conn)(nil)
	_ driver.Sizer        = (*Conn)(nil)
	_ driver.Peeker       = (*Conn)(nil)
	_ driver.Kicker       = (*Conn)(nil)
	_ driver.QueueLister  = (*Conn)(nil)
	_ driver.Clearer      = (*Conn)(nil)
	_ driver.Pinger       = (*Conn)(nil)
	_ driver.Advisor      = (*Conn)(nil)
)

// Open connects to the server at addr, "host:port", "host" (port 11300) or
// "unix:/path", and asks it how large a job may be: that becomes
// Traits().MaxBody. It fails if no server answers there. Later the Conn
// reconnects by itself: a call that finds the server gone tries once, and for a
// while that grows to a second the following ones fail with the same error.
func Open(ctx context.Context, addr string, opts *Options) (*Conn, error) {
	c := &Conn{
		dialing: make(chan struct{}, 1), inUse: map[*session]bool{},
		kept: map[string][]*found{}, guess: map[string]int{},
	}
	if opts != nil {
		c.opts = *opts
	}
	o := &c.opts
	o.RetryAfter = driver.RoundUp(cmp.Or(o.RetryAfter, driver.DefaultLease), time.Second)
	if o.RetryAfter < driver.MinLease {
		return nil, fmt.Errorf("beanstalkqueue: RetryAfter is %v; the shortest is %v", o.RetryAfter, driver.MinLease)
	}
	if o.RetryAfter > maxSeconds*time.Second {
		return nil, fmt.Errorf("beanstalkqueue: RetryAfter is %v; the longest is %v", o.RetryAfter, maxSeconds*time.Second)
	}
	o.Priority = cmp.Or(o.Priority, defaultPriority)
	o.Connections = max(cmp.Or(o.Connections, 16), 1)
	o.DialTimeout = cmp.Or(o.DialTimeout, 5*time.Second)
	o.Timeout = cmp.Or(o.Timeout, 10*time.Second)
	c.network, c.addr = address(addr)
	c.closing, c.stop = context.WithCancel(context.Background())
	c.traits = driver.Traits{
		Driver:     "beanstalkd",
		MaxDelay:   maxSeconds * time.Second,
		Lease:      o.RetryAfter,
		Renew:      min(o.RetryAfter/3, time.Second),
		Resolution: time.Second,
	}
	stats, err := c.stats(ctx)
	if err != nil {
		_ = c.Close() // the error to tell is the first
		return nil, err
	}
	c.traits.MaxBody = int(count(stats, "max-job-size"))
	return c, nil
}

// Traits returns the fixed facts of the connection. MaxBody is what the server
// allowed (its -z) when it was opened.
func (c *Conn) Traits() driver.Traits { return c.traits }

// Close ends all connections, upon which the server makes the jobs that they
// hold available again.
func (c *Conn) Close() error {
	c.mu.Lock()
	if !c.closed {
		c.closed = true
		c.stop()
		if c.main != nil {
			c.main.close(driver.ErrClosed)
		}
		for _, s := range c.waiters {
			s.close(driver.ErrClosed)
		}
		for _, kept := range c.kept {
			for _, f := range kept {
				f.timer.Stop()
			}
		}
		c.kept = nil
	}
	c.mu.Unlock()
	c.running.Wait()
	return nil
}

// check says whether a call may begin.
func (c *Conn) check(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if c.closing.Err() != nil {
		return driver.ErrClosed
	}
	return nil
}
