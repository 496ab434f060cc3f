package spool

import (
	"context"
	"fmt"
	"time"

	"github.com/spoolq/spool/driver"
)

// Dispatcher is where jobs can be dispatched: a [Client], or a [Tx].
type Dispatcher interface {
	client() *Client
	// send stores messages that go to one queue, all or an accepted prefix.
	send(ctx context.Context, c *Connection, queue string, jobs []prepared) ([]string, error)
}

// Client dispatches jobs. It is safe for concurrent use.
type Client struct {
	manager *Manager
	extend  []func(*Draft)
}

// ClientOptions are the options of [NewClient].
type ClientOptions struct {
	// Extend is called with every job before it is encoded and may add to its
	// Extra keys, as Laravel's Queue::createPayloadUsing.
	Extend []func(*Draft)
}

// NewClient returns a client over the connections of m.
func NewClient(m *Manager, opts *ClientOptions) *Client {
	c := &Client{manager: m}
	if opts != nil {
		c.extend = opts.Extend
	}
	return c
}

// Connect returns a client with one connection, named "default".
func Connect(conn driver.Conn) *Client {
	m := NewManager(nil)
	m.Add(ConnectionConfig{Name: "default", Open: func(context.Context) (driver.Conn, error) { return conn, nil }})
	return NewClient(m, nil)
}

// Manager returns the connections of the client.
func (c *Client) Manager() *Manager { return c.manager }

// Ref names a job that was dispatched.
type Ref struct {
	Connection, Queue string
	UUID              string // the job's identity, retries included
	// ID is the backend's id; empty for one held until a commit.
	ID string
}

// prepared is a job ready to be sent.
type prepared struct {
	name, uuid string
	msg        driver.Message
}

// Dispatch stores a job and returns once the backend has accepted it. The
// job's type says its name (see [Named]) and may carry options ([Configured]).
// Concurrent dispatches to one queue go out together.
func Dispatch(ctx context.Context, d Dispatcher, job any, opts ...DispatchOption) (Ref, error) {
	name, err := nameOf(job)
	if err != nil {
		return Ref{}, err
	}
	return Push(ctx, d, name, job, opts...)
}

// Push stores a job under a name given by hand, e.g. of a PHP class
// ("App\Jobs\Legacy@run"). data becomes the job's JSON data.
func Push(ctx context.Context, d Dispatcher, name string, data any, opts ...DispatchOption) (Ref, error) {
	refs, err := dispatchAll(ctx, d, []string{name}, []any{data}, opts)
	if len(refs) == 0 {
		return Ref{}, err
	}
	return refs[0], err
}

// DispatchAll stores jobs in few round trips, all with the same options, in
// order. On an error it returns those that were accepted.
func DispatchAll[T any](ctx context.Context, d Dispatcher, jobs []T, opts ...DispatchOption) ([]Ref, error) {
	names, data := make([]string, len(jobs)), make([]any, len(jobs))
	for i, job := range jobs {
		name, err := nameOf(job)
		if err != nil {
			return nil, err
		}
		names[i], data[i] = name, job
	}
	if len(jobs) == 0 {
		return nil, nil
	}
	return dispatchAll(ctx, d, names, data, opts)
}

// maxBulk bounds how many jobs one Push of a driver gets.
const maxBulk = 1000

func dispatchAll(ctx context.Context, d Dispatcher, names []string, data []any, opts []DispatchOption) ([]Ref, error) {
	client := d.client()
	now := time.Now()
	var o dispatch
	if c, ok := data[0].(Configured); ok {
		for _, opt := range c.JobOptions() {
			opt.applyDispatch(&o)
		}
	}
	for _, opt := range opts {
		opt.applyDispatch(&o)
	}
	if !o.at.IsZero() {
		o.delay = o.at.Sub(now)
	}
	c, err := client.manager.Connection(ctx, o.connection)
	if err != nil {
		return nil, err
	}
	queue := c.QueueOr(o.queue)
	if t := txFrom(ctx); t != nil && d == Dispatcher(client) && o.wantsCommit(c) {
		d = t
	}
	refs := make([]Ref, 0, len(names))
	for len(names) > 0 {
		n := min(len(names), maxBulk)
		jobs, err := client.prepare(ctx, c, queue, names[:n], data[:n], &o, now)
		if err != nil {
			return refs, err
		}
		ids, err := d.send(ctx, c, queue, jobs)
		for i, id := range ids {
			refs = append(refs, Ref{Connection: c.Name, Queue: queue, UUID: jobs[i].uuid, ID: id})
		}
		if err != nil {
			return refs, err
		}
		names, data = names[n:], data[n:]
	}
	return refs, nil
}

func (d *dispatch) wantsCommit(c *Connection) bool {
	if d.afterCommit != nil {
		return *d.afterCommit
	}
	return c.AfterCommit
}

// prepare encodes jobs for one connection.
func (c *Client) prepare(ctx context.Context, conn *Connection, queue string, names []string, data []any, o *dispatch, now time.Time) ([]prepared, error) {
	counts := conn.conn.Traits().CountsInBody
	jobs := make([]prepared, len(names))
	for i, name := range names {
		draft := &Draft{
			UUID: NewUUID(), Name: name, DisplayName: o.display, Data: data[i], Policy: o.policy,
			Delay: o.delay, Created: now, CountsInBody: counts, Extra: o.extra,
		}
		if counts {
			draft.ID = newID()
		}
		for _, fn := range c.extend {
			fn(draft)
		}
		body, err := conn.Format.Encode(draft)
		if err != nil {
			return nil, fmt.Errorf("job %s: %w", name, err)
		}
		jobs[i] = prepared{name: name, uuid: draft.UUID, msg: driver.Message{ID: draft.ID, Body: body, Delay: o.delay}}
		Emit(ctx, conn.events, JobQueueing{Connection: conn.Name, Queue: queue, Name: name, UUID: draft.UUID, Body: body, Delay: o.delay})
	}
	return jobs, nil
}

func (c *Client) client() *Client { return c }

// send implements [Dispatcher]: it pushes at once.
func (c *Client) send(ctx context.Context, conn *Connection, queue string, jobs []prepared) (ids []string, err error) {
	if len(jobs) == 1 {
		var id string
		if id, err = conn.push(ctx, queue, jobs[0].msg); err == nil {
			ids = []string{id}
		}
	} else {
		ms := make([]driver.Message, len(jobs))
		for i, j := range jobs {
			ms[i] = j.msg
		}
		ids, err = conn.pushAll(ctx, queue, ms)
	}
	queued(ctx, conn, queue, jobs, ids)
	return ids, err
}

// queued raises JobQueued for the jobs that were accepted.
func queued(ctx context.Context, conn *Connection, queue string, jobs []prepared, ids []string) {
	if !Listening[JobQueued](conn.events) {
		return
	}
	for i, id := range ids {
		j := jobs[i]
		Emit(ctx, conn.events, JobQueued{Connection: conn.Name, Queue: queue, Name: j.name, UUID: j.uuid, ID: id, Body: j.msg.Body, Delay: j.msg.Delay})
	}
}
