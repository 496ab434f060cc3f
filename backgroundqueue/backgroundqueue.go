// Package backgroundqueue is a queue that runs each job in this process, beside
// the caller of Push: in a goroutine, so many at a time, and drained when the
// connection is closed. What running means is given to New. It imports package
// driver and the standard library.
//
// Nothing is stored: what waits or runs when the process is killed is lost. A
// job has one attempt, and its delay is ignored, as with the sync driver.
package backgroundqueue

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/spoolq/spool/driver"
)

// Options configure a [Conn]. The zero value means the defaults.
type Options struct {
	// Name is the driver's name in messages; "background".
	Name string
	// Concurrency is how many jobs run at a time; 10.
	Concurrency int
	// Backlog is how many more wait for their turn before Push blocks; 1,000.
	Backlog int
	// Grace is how long Close waits for the jobs at hand, those that wait
	// included, before it cancels the context of those that run; 25 s. Negative
	// is without limit.
	Grace time.Duration
	// CancelGrace is how long Close waits after that for handlers to return; 5 s.
	CancelGrace time.Duration
	// Failed is told of a job that ended with an error, or was not run because
	// Grace had passed ([ErrDropped]); nil tells nobody. It must be safe for
	// concurrent use.
	Failed func(queue, id string, body []byte, err error)
}

// ErrDropped is what Options.Failed is told of a job that waited when the grace
// of Close had passed.
var ErrDropped = errors.New("not run: the process ends")

// Conn runs what is pushed to it. It is safe for concurrent use.
type Conn struct {
	run func(ctx context.Context, queue string, body []byte) error
	o   Options

	waiting chan job
	closing chan struct{} // closed by Close
	life    context.Context
	end     context.CancelFunc // of life: cancels what runs
	running sync.WaitGroup
	once    sync.Once
	err     error // of Close

	mu      sync.Mutex
	closed  bool
	runners int
	dropped int
}

type job struct {
	queue, id string
	body      []byte
}

var _ driver.Conn = (*Conn)(nil)

// New returns a connection whose Push has run called for each message, in a
// goroutine of the connection, with a body that is run's to keep. The context
// of run is not that of Push, whose caller doesn't wait: it ends when Close
// gives up. run must be safe for concurrent use.
func New(run func(ctx context.Context, queue string, body []byte) error, opts *Options) *Conn {
	var o Options
	if opts != nil {
		o = *opts
	}
	o.Name = cmp.Or(o.Name, "background")
	o.Concurrency = max(cmp.Or(o.Concurrency, 10), 1)
	o.Backlog = max(cmp.Or(o.Backlog, 1000), 0)
	o.Grace = cmp.Or(o.Grace, 25*time.Second)
	o.CancelGrace = cmp.Or(o.CancelGrace, 5*time.Second)
	if o.Failed == nil {
		o.Failed = func(string, string, []byte, error) {}
	}
	c := &Conn{run: run, o: o, waiting: make(chan job, o.Backlog), closing: make(chan struct{})}
	c.life, c.end = context.WithCancel(context.Background())
	return c
}

// Traits says that jobs are run here.
func (c *Conn) Traits() driver.Traits {
	return driver.Traits{Driver: c.o.Name, Resolution: time.Nanosecond, Instant: true}
}

// Push has the messages run and returns once they have their turn or wait for
// it. It blocks while Backlog jobs wait already, until ctx ends. Delays are
// ignored.
func (c *Conn) Push(ctx context.Context, queue string, ms []driver.Message) (ids []string, err error) {
	for _, m := range ms {
		j := job{queue: queue, id: cmp.Or(m.ID, rand.Text()), body: bytes.Clone(m.Body)}
		if err := c.accept(ctx, j); err != nil {
			return ids, err
		}
		ids = append(ids, j.id)
	}
	return ids, nil
}

// accept starts a job, or has it wait.
func (c *Conn) accept(ctx context.Context, j job) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		switch {
		case c.closed:
			return driver.ErrClosed
		case ctx.Err() != nil:
			return ctx.Err()
		case c.runners < c.o.Concurrency:
			c.runners++
			c.running.Go(func() { c.work(j) }) // Close waits for it
			return nil
		}
		select {
		case c.waiting <- j: // somebody runs, and looks again before he ends
			return nil
		default:
		}
		if err := c.room(ctx); err != nil {
			return err
		}
	}
}

// roomEvery is how often a Push that is blocked looks whether there is room.
const roomEvery = 5 * time.Millisecond

// room waits a moment without the lock.
func (c *Conn) room(ctx context.Context) error {
	c.mu.Unlock()
	defer c.mu.Lock()
	t := time.NewTimer(roomEvery)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-c.closing:
		return driver.ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

// work runs a job and then those that wait.
func (c *Conn) work(j job) {
	for {
		if c.life.Err() != nil {
			c.drop(j)
		} else if err := c.safely(j); err != nil {
			c.o.Failed(j.queue, j.id, j.body, err)
		}
		c.mu.Lock()
		select {
		case j = <-c.waiting:
			c.mu.Unlock()
		default:
			c.runners--
			c.mu.Unlock()
			return
		}
	}
}

func (c *Conn) drop(j job) {
	c.mu.Lock()
	c.dropped++
	c.mu.Unlock()
	c.o.Failed(j.queue, j.id, j.body, ErrDropped)
}

// safely runs a job; a panic is its error, for nobody is there to recover it.
func (c *Conn) safely(j job) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return c.run(c.life, j.queue, bytes.Clone(j.body))
}

// Reserve never finds a job.
func (c *Conn) Reserve(context.Context, string, int) ([]driver.Reservation, error) {
	return nil, c.check(nil)
}

// Delete finds every reservation lost: none was made here.
func (c *Conn) Delete(_ context.Context, rs []driver.Reservation) error { return c.check(rs) }

// Release finds every reservation lost: none was made here.
func (c *Conn) Release(_ context.Context, rs []driver.Reservation, _ time.Duration) error {
	return c.check(rs)
}

// Close accepts no further job and waits for those at hand, at most Grace; then
// it cancels those that run, drops those that wait, and returns an error that
// says how many. So it takes longer than that of a driver with a store.
func (c *Conn) Close() error {
	c.once.Do(func() {
		c.mu.Lock()
		c.closed = true
		c.mu.Unlock()
		close(c.closing)
		c.err = c.drain()
		c.end()
	})
	return c.err
}

func (c *Conn) drain() error {
	done := make(chan struct{})
	go func() { c.running.Wait(); close(done) }() // ends with the last job
	var late <-chan time.Time
	if c.o.Grace >= 0 {
		t := time.NewTimer(c.o.Grace)
		defer t.Stop()
		late = t.C
	}
	select {
	case <-done:
		return nil
	case <-late:
	}
	c.mu.Lock()
	cut := c.runners
	c.mu.Unlock()
	c.end()
	t := time.NewTimer(c.o.CancelGrace)
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	err := fmt.Errorf("%s: after %v, %d running jobs were cancelled and %d that waited were dropped", c.o.Name, c.o.Grace, cut, c.dropped+len(c.waiting))
	if c.runners > 0 {
		err = fmt.Errorf("%w; %d have not returned yet", err, c.runners)
	}
	return err
}

func (c *Conn) check(rs []driver.Reservation) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return driver.ErrClosed
	}
	errs := make([]error, len(rs))
	for i := range errs {
		errs[i] = driver.ErrLost
	}
	return driver.Outcomes(errs)
}
