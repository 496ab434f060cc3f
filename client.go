package spool

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/spoolq/spool/driver"
)

// Dispatcher is where jobs can be dispatched: a [Client], or a [Tx].
type Dispatcher interface {
	client() *Client
	// send stores what goes to one queue, all or an accepted prefix.
	send(ctx context.Context, s sending) ([]string, error)
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

// NewClient returns a client over the connections of m. The first one that m
// gets also dispatches the links of chains that follow others.
func NewClient(m *Manager, opts *ClientOptions) *Client {
	c := &Client{manager: m}
	if opts != nil {
		c.extend = opts.Extend
	}
	m.linker.CompareAndSwap(nil, c)
	return c
}

// client returns the client that dispatches what follows others: the first
// one, whose Extend is the application's.
func (m *Manager) client() *Client {
	if c := m.linker.Load(); c != nil {
		return c
	}
	return &Client{manager: m}
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
	// ID is the backend's id; empty for one held until a commit, or whose push has
	// failed with driver.ErrStored.
	ID string
	// Skipped says that the job was not dispatched, because another one has its
	// lock (see [Unique]); UUID and ID are empty then.
	Skipped bool
}

// prepared is a job ready to be sent.
type prepared struct {
	name, uuid string
	msg        driver.Message
	unique     *Claim // the lock it has
	debounced  *Claim // what it takes the place of
}

// sending is what goes to one queue in one call.
type sending struct {
	conn  *Connection
	queue string
	jobs  []prepared
	// again sends the jobs but the first few, which were accepted, elsewhere
	// after err, and returns how many more were accepted; nil: there is nowhere
	// else.
	again func(ctx context.Context, accepted int, err error) (int, error)
}

// Dispatch stores a job and returns once the backend has accepted it. The
// job's type says its name (see [Named]) and may carry options ([Configured]);
// it may be an [Optioned], over whose options opts win. Concurrent dispatches to
// one queue go out together.
func Dispatch(ctx context.Context, d Dispatcher, job any, opts ...DispatchOption) (Ref, error) {
	name, err := JobName(job)
	if err != nil {
		return Ref{}, err
	}
	if o, ok := job.(Optioned); ok {
		job, opts = o.job, slices.Concat(o.opts, opts)
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

// DispatchAs is [Dispatch] under a uuid of the caller's, such as [UUIDOf] makes,
// instead of a random one. The job may be an [Optioned]; opts win over its
// options. Spool doesn't look whether there is a job with this uuid already.
func DispatchAs(ctx context.Context, d Dispatcher, uuid string, job any, opts ...DispatchOption) (Ref, error) {
	name, data, o, err := optioned(job)
	if err != nil {
		return Ref{}, err
	}
	for _, opt := range opts {
		opt.applyDispatch(&o)
	}
	w := wanted{names: []string{name}, data: []any{data}, uuids: []string{uuid}, o: &o, now: time.Now()}
	if !o.at.IsZero() {
		o.delay = o.at.Sub(w.now)
	}
	refs, err := dispatchWanted(ctx, d, w)
	if len(refs) == 0 {
		return Ref{}, err
	}
	return refs[0], err
}

// DispatchAll stores jobs in few round trips, all with the same options (those
// that the first job carries, then opts), in order. On an error it returns those
// that were accepted.
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
	return dispatchWanted(ctx, d, wanted{names: names, data: data, o: &o, now: now})
}

// dispatchWanted dispatches jobs to the connection that their options name.
func dispatchWanted(ctx context.Context, d Dispatcher, w wanted) ([]Ref, error) {
	if w.o.dedup != "" && len(w.data) > 1 {
		return nil, fmt.Errorf("%d jobs can't have the deduplication id %q: all but one would be dropped; have each say its own, see Deduplicated", len(w.data), w.o.dedup)
	}
	name, f := d.client().manager.target(w.o.connection)
	if f != nil {
		return f.dispatch(ctx, d, w)
	}
	return dispatchTo(ctx, d, name, w, nil)
}

// wanted are jobs to be dispatched with the same options.
type wanted struct {
	names []string
	data  []any
	uuids []string // nil: new ones
	// members is how many members of its batch each job stands for; 0 is one.
	members int
	o       *dispatch
	now     time.Time
}

// part returns the jobs from one index up to another.
func (w wanted) part(from, to int) wanted {
	w.names, w.data = w.names[from:to], w.data[from:to]
	if w.uuids != nil {
		w.uuids = w.uuids[from:to]
	}
	return w
}

// at returns the jobs of these indexes; nil means all.
func (w wanted) at(indexes []int) wanted {
	if indexes == nil {
		return w
	}
	some := wanted{o: w.o, now: w.now}
	for _, i := range indexes {
		some.names, some.data = append(some.names, w.names[i]), append(some.data, w.data[i])
		if w.uuids != nil {
			some.uuids = append(some.uuids, w.uuids[i])
		}
	}
	return some
}

// dispatchTo dispatches jobs to one connection and returns those accepted, which
// are all of them where the error is driver.ErrStored.
func dispatchTo(ctx context.Context, d Dispatcher, connection string, w wanted, again func(ctx context.Context, w wanted, err error) (int, error)) ([]Ref, error) {
	client := d.client()
	c, err := client.manager.backend(ctx, connection)
	if err != nil {
		return nil, err
	}
	queue := c.QueueOr(w.o.queue)
	if t := txFrom(ctx); t != nil && d == Dispatcher(client) && w.o.wantsCommit(c) && !t.ended() {
		d = t
	}
	refs := make([]Ref, 0, len(w.names))
	var stored error // what is wrong though jobs are stored
	for len(w.names) > 0 {
		n := min(len(w.names), maxBulk)
		part := w.part(0, n)
		jobs, at, err := client.prepare(ctx, c, queue, part)
		if err != nil {
			return refs, err
		}
		s := sending{conn: c, queue: queue, jobs: jobs}
		if again != nil {
			live := part.at(at)
			s.again = func(ctx context.Context, accepted int, err error) (int, error) {
				return again(ctx, live.part(accepted, len(live.names)), err)
			}
		}
		var ids []string
		if len(jobs) > 0 {
			ids, err = d.send(ctx, s)
		}
		sent := n // of part, those skipped between them included
		switch {
		case errors.Is(err, driver.ErrStored): // all of them: the others are not to be left out
			stored, err = err, nil
		case err != nil:
			client.unlock(ctx, jobs[len(ids):])
			if sent = len(ids); sent < len(at) {
				sent = at[sent]
			}
		}
		for i := range sent {
			r := Ref{Connection: c.Name, Queue: queue, Skipped: true}
			k, ok := i, true
			if at != nil {
				k, ok = slices.BinarySearch(at, i)
			}
			if ok {
				r.UUID, r.Skipped = jobs[k].uuid, false
				if k < len(ids) {
					r.ID = ids[k]
				}
			}
			refs = append(refs, r)
		}
		if err != nil {
			return refs, err
		}
		w = w.part(n, len(w.names))
	}
	return refs, stored
}

func (d *dispatch) wantsCommit(c *Connection) bool {
	if d.afterCommit != nil {
		return *d.afterCommit
	}
	return c.AfterCommit
}

// keys returns the message group and the deduplication id of a job.
func (d *dispatch) keys(job any) (group, dedup string) {
	group, dedup = d.group, d.dedup
	if g, ok := job.(Grouped); ok && group == "" {
		group = g.MessageGroup()
	}
	if k, ok := job.(Deduplicated); ok && dedup == "" {
		dedup = k.DeduplicationID()
	}
	return group, dedup
}

// prepare encodes jobs for one connection, and takes the locks of those that are
// unique. at are the indexes of those that have got theirs, or need none; nil
// means that these are all.
func (c *Client) prepare(ctx context.Context, conn *Connection, queue string, w wanted) (jobs []prepared, at []int, err error) {
	jobs = make([]prepared, 0, len(w.names))
	for i := range w.names {
		j, ok, err := c.prepareOne(ctx, conn, w, i)
		if err != nil {
			c.unlock(ctx, append(jobs, j))
			return nil, nil, fmt.Errorf("job %s: %w", w.names[i], err)
		}
		if !ok {
			Emit(ctx, conn.events, UniqueJobSkipped{Connection: conn.Name, Queue: queue, Name: j.name, Key: j.unique.Key})
			if at == nil {
				at = make([]int, i, len(w.names))
				for k := range at {
					at[k] = k
				}
			}
			continue
		}
		if jobs = append(jobs, j); at != nil {
			at = append(at, i)
		}
		Emit(ctx, conn.events, JobQueueing{Connection: conn.Name, Queue: queue, Name: j.name, UUID: j.uuid, Body: j.msg.Body, Delay: j.msg.Delay})
	}
	return jobs, at, nil
}

// prepareOne prepares one job; ok is false if another one has its lock.
func (c *Client) prepareOne(ctx context.Context, conn *Connection, w wanted, i int) (j prepared, ok bool, err error) {
	counts, o := conn.conn.Traits().CountsInBody, w.o
	j = prepared{name: w.names[i]}
	draft := &Draft{Name: j.name, DisplayName: o.display, Data: w.data[i], Policy: o.policy, Created: w.now, CountsInBody: counts}
	if w.uuids != nil {
		draft.UUID = w.uuids[i]
	} else {
		draft.UUID = NewUUID()
	}
	if j.unique, ok, err = c.lock(ctx, conn, w, i, draft.UUID); !ok || err != nil {
		return j, false, err
	}
	if j.debounced, draft.Delay, err = c.debounced(ctx, conn, w, i); err != nil {
		return j, false, err
	}
	draft.Unique, draft.Debounced = j.unique, j.debounced
	group, dedup := o.keys(w.data[i])
	draft.Extra = withKeys(o.extra, group, j.unique, j.debounced)
	if len(c.extend) > 0 { // which may add to it, for this job
		if draft.Extra = maps.Clone(draft.Extra); draft.Extra == nil {
			draft.Extra = make(map[string]any)
		}
	}
	if counts {
		draft.ID = newID()
	}
	for _, fn := range c.extend {
		fn(draft)
	}
	body, err := conn.Format.Encode(draft)
	if err != nil {
		return j, false, err
	}
	j.uuid, j.msg = draft.UUID, driver.Message{ID: draft.ID, Body: body, Delay: draft.Delay, Group: group, Deduplication: dedup}
	return j, true, nil
}

func (c *Client) client() *Client { return c }

// send implements [Dispatcher]: it pushes at once, but holds what is deferred.
func (c *Client) send(ctx context.Context, s sending) (ids []string, err error) {
	if s.conn.Deferred {
		if scope := scopeFrom(ctx); scope != nil && scope.hold(c, s) {
			return make([]string, len(s.jobs)), nil
		}
	}
	if len(s.jobs) == 1 {
		var id string
		if id, err = s.conn.push(ctx, s.queue, s.jobs[0].msg); err == nil {
			ids = []string{id}
		}
	} else {
		ms := make([]driver.Message, len(s.jobs))
		for i, j := range s.jobs {
			ms[i] = j.msg
		}
		ids, err = s.conn.pushAll(ctx, s.queue, ms)
	}
	c.queued(ctx, s.conn, s.queue, s.jobs, ids)
	return ids, err
}

// queued raises JobQueued for the jobs that were accepted.
func (c *Client) queued(ctx context.Context, conn *Connection, queue string, jobs []prepared, ids []string) {
	c.markLast(ctx, jobs[:len(ids)])
	if !Listening[JobQueued](conn.events) {
		return
	}
	for i, id := range ids {
		j := jobs[i]
		Emit(ctx, conn.events, JobQueued{Connection: conn.Name, Queue: queue, Name: j.name, UUID: j.uuid, ID: id, Body: j.msg.Body, Delay: j.msg.Delay})
	}
}
