package spool

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/internal/gather"
)

// ConnectionConfig describes a named connection to a backend.
type ConnectionConfig struct {
	Name string
	// Queue is where jobs go that don't name one; "" means "default".
	Queue string
	// AfterCommit holds dispatches until the transaction at hand has committed
	// (see [NewTxContext]); without one they are pushed at once.
	AfterCommit bool
	// Format is the payload layout; nil means [Native].
	Format Format
	// Deferred holds dispatches until the scope at hand ends (see [Deferred]);
	// without one they are pushed at once.
	Deferred bool
	// Failover names other connections instead of having a backend: dispatches
	// go to the first of them that is up, and everything else is done by the
	// first of all. The jobs have each connection's own queue and format.
	Failover []string
	// Open opens the backend; nil for a Failover.
	Open func(ctx context.Context) (driver.Conn, error)
}

// Connection is a connection that [Manager.Connection] has opened. All
// methods are safe for concurrent use. Its errors are [*Error]; what a backend
// can't do is errors.ErrUnsupported.
type Connection struct {
	ConnectionConfig
	events    *Events
	followers *Followers
	locks     Locks
	signals   Signals

	opening chan struct{} // holds one token while somebody opens it
	mu      sync.Mutex
	conn    driver.Conn // doesn't change once it is there
	closed  bool
	gathers sync.Map // queue -> *gather.Gather[driver.Message, string]
}

// open opens the backend unless that has been done; one caller at a time.
func (c *Connection) open(ctx context.Context) error {
	if done, err := c.opened(); done || err != nil {
		return err
	}
	select {
	case c.opening <- struct{}{}:
		defer func() { <-c.opening }()
	case <-ctx.Done():
		return wrap("open", c.Name, "", ctx.Err())
	}
	if done, err := c.opened(); done || err != nil {
		return err
	}
	conn, err := c.Open(ctx)
	if err != nil {
		return wrap("open", c.Name, "", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed { // meanwhile
		return wrap("open", c.Name, "", errors.Join(driver.ErrClosed, conn.Close()))
	}
	c.conn = conn
	return nil
}

// opened says whether the connection is there.
func (c *Connection) opened() (bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false, wrap("open", c.Name, "", driver.ErrClosed)
	}
	return c.conn != nil, nil
}

func (c *Connection) close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	if c.conn == nil {
		return nil
	}
	return wrap("close", c.Name, "", c.conn.Close())
}

// runsInline says whether it is open and runs jobs in this process.
func (c *Connection) runsInline() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.conn != nil && c.conn.Traits().Instant
}

// Driver returns the backend's connection.
func (c *Connection) Driver() driver.Conn { return c.conn }

// Events returns where the connection's events go.
func (c *Connection) Events() *Events { return c.events }

// Followers returns those that follow the connection's jobs.
func (c *Connection) Followers() *Followers { return c.followers }

// Locks returns where the manager keeps locks, nil if it has nowhere to.
func (c *Connection) Locks() Locks { return c.locks }

// Signals returns where the manager keeps marks, nil if it has nowhere to.
func (c *Connection) Signals() Signals { return c.signals }

// QueueOr returns queue, or the connection's default queue for "" and for what
// its format takes for that (see [DefaultNamer]).
func (c *Connection) QueueOr(queue string) string {
	d, ok := c.Format.(DefaultNamer)
	if queue == "" || ok && d.NamesDefault(queue) {
		return c.Queue
	}
	return queue
}

// maxGather bounds how many concurrent pushes go out as one.
const maxGather = 1000

// pushTimeout bounds a push whatever its caller's context: the outcome of one
// that was begun is waited for, because a caller that gave up can't know
// whether the job is there.
const pushTimeout = time.Minute

// push stores one message. Concurrent pushes to one queue go out together.
func (c *Connection) push(ctx context.Context, queue string, m driver.Message) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", wrap("push", c.Name, queue, err)
	}
	if err := c.conn.Traits().Check([]driver.Message{m}); err != nil {
		return "", wrap("push", c.Name, queue, err)
	}
	if c.conn.Traits().Instant {
		_, err := c.pushAll(ctx, queue, []driver.Message{m})
		return "", err
	}
	g, ok := c.gathers.Load(queue)
	if !ok {
		g, _ = c.gathers.LoadOrStore(queue, gather.New(maxGather, func(ctx context.Context, ms []driver.Message) ([]string, []error) {
			ctx, cancel := context.WithTimeout(ctx, pushTimeout)
			defer cancel()
			return c.pushGathered(ctx, queue, ms)
		}))
	}
	id, err := g.(*gather.Gather[driver.Message, string]).Do(ctx, m)
	return id, wrap("push", c.Name, queue, err)
}

// pushGathered pushes the messages of several callers. A message that the
// driver refuses takes none of the others with it.
func (c *Connection) pushGathered(ctx context.Context, queue string, ms []driver.Message) ([]string, []error) {
	errs := make([]error, len(ms))
	accepted, err := c.conn.Push(ctx, queue, ms)
	if err == nil {
		return accepted, errs
	}
	ids := make([]string, len(ms))
	at := make([]int, len(ms)) // where the messages still to be pushed belong
	for i := range at {
		at[i] = i
	}
	for {
		for i, id := range accepted {
			ids[at[i]] = id
		}
		if err == nil {
			break
		}
		limit, refused := errors.AsType[*driver.LimitError](err)
		if refused && len(accepted) == 0 && len(ms) > 1 && limit.Index < len(ms) {
			mine := *limit // of a caller with one message
			mine.Index = 0
			errs[at[limit.Index]] = &mine
			ms = append(append([]driver.Message{}, ms[:limit.Index]...), ms[limit.Index+1:]...)
			at = append(append([]int{}, at[:limit.Index]...), at[limit.Index+1:]...)
			accepted, err = c.conn.Push(ctx, queue, ms)
			continue
		}
		for _, i := range at[len(accepted):] {
			errs[i] = err
		}
		break
	}
	return ids, errs
}

// pushAll stores messages in order and returns the ids of those accepted.
func (c *Connection) pushAll(ctx context.Context, queue string, ms []driver.Message) ([]string, error) {
	if !c.conn.Traits().Instant { // what runs at once may take its time
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, pushTimeout)
		defer cancel()
	}
	ids, err := c.conn.Push(ctx, queue, ms)
	return ids, wrap("push", c.Name, queue, err)
}

// PushRaw stores a body as it is, e.g. one that had failed, and returns its
// id. Concurrent calls go out together.
func (c *Connection) PushRaw(ctx context.Context, queue string, body []byte, delay time.Duration) (string, error) {
	m := driver.Message{Body: body, Delay: delay}
	if p, _ := c.Format.Decode(body); p != nil { // what is no job has no id
		m.ID, m.Group = p.ID, p.Group
	}
	return c.push(ctx, c.QueueOr(queue), m)
}
