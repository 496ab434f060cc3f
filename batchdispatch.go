package spool

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"time"

	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/internal/phpjson"
)

// The keys of a payload that are a batch's: whose member the job is, or, with an
// event, whose callback. PHP has the first inside the objects of class jobs.
const (
	batchKey      = "batchId"
	batchEventKey = "batchEvent"
	batchClaimKey = "batchClaim"
)

// Batchable is implemented by jobs that carry the ID of their batch in their own
// data, as PHP's class jobs do.
type Batchable interface {
	// WithBatch returns a copy of the job that belongs to the batch.
	WithBatch(id string) (job any)
}

// PendingBatch is a batch about to be dispatched; see [Client.Batch]. It is not
// safe for concurrent use.
type PendingBatch struct {
	c         *Client
	name      string
	jobs      []any
	o         BatchOptions
	before    []func(ctx context.Context, b *Batch) error
	callbacks []struct {
		event BatchEvent
		job   any
	}
}

// Batch returns a batch of jobs, which may have options of their own ([With])
// and so be on several queues and connections. Nothing is stored before
// Dispatch. A [*Chain] may be among them: all its links are members, and if one
// fails, those behind it count as failed too, until they are done after all.
func (c *Client) Batch(jobs ...any) *PendingBatch { return (&PendingBatch{c: c}).Add(jobs...) }

// Add adds members. It returns p, as the other methods do.
func (p *PendingBatch) Add(jobs ...any) *PendingBatch {
	p.jobs = append(p.jobs, jobs...)
	return p
}

// Name names the batch for people.
func (p *PendingBatch) Name(name string) *PendingBatch {
	p.name = name
	return p
}

// OnConnection says where members and callbacks go that don't say so.
func (p *PendingBatch) OnConnection(name string) *PendingBatch {
	p.o.Connection = name
	return p
}

// OnQueue says on which queue members and callbacks go that don't say so.
func (p *PendingBatch) OnQueue(name string) *PendingBatch {
	p.o.Queue = name
	return p
}

// AllowFailures keeps the batch going when members fail: otherwise the first
// failure cancels it.
func (p *PendingBatch) AllowFailures() *PendingBatch {
	p.o.AllowFailures = true
	return p
}

// Before has fn called by Dispatch when the batch is stored and before its
// members are. An error ends the dispatch, and forgets the batch.
func (p *PendingBatch) Before(fn func(ctx context.Context, b *Batch) error) *PendingBatch {
	p.before = append(p.before, fn)
	return p
}

// Progress dispatches jobs when members have succeeded or failed: at most once a
// second for each process that works them, and at the end.
func (p *PendingBatch) Progress(jobs ...any) *PendingBatch { return p.on(BatchProgress, jobs) }

// Then dispatches jobs, once, when every member has succeeded.
func (p *PendingBatch) Then(jobs ...any) *PendingBatch { return p.on(BatchThen, jobs) }

// Catch dispatches jobs, once, when the first member has failed.
func (p *PendingBatch) Catch(jobs ...any) *PendingBatch { return p.on(BatchCatch, jobs) }

// Finally dispatches jobs, once, when every member has ended, well or not.
func (p *PendingBatch) Finally(jobs ...any) *PendingBatch { return p.on(BatchFinally, jobs) }

func (p *PendingBatch) on(e BatchEvent, jobs []any) *PendingBatch {
	for _, job := range jobs {
		p.callbacks = append(p.callbacks, struct {
			event BatchEvent
			job   any
		}{e, job})
	}
	return p
}

// Dispatch stores the batch and its members and returns it as it is then. A
// batch without members is finished at once. If not all members could be stored,
// the batch counts those that were, is cancelled, and is returned beside the
// error; if none was, it is forgotten.
func (p *PendingBatch) Dispatch(ctx context.Context) (*Batch, error) {
	b, err := p.c.manager.batches()
	if err != nil {
		return nil, err
	}
	store, err := b.opened(ctx)
	if err != nil {
		return nil, err
	}
	r := BatchRecord{ID: newBatchID(time.Now()), Name: p.name, Options: p.o, CreatedAt: time.Now()}
	for _, c := range p.callbacks {
		call, err := p.c.callback(ctx, &r, c.event, c.job)
		if err != nil {
			return nil, fmt.Errorf("batch: %s callback: %w", c.event, err)
		}
		r.Options.Callbacks = append(r.Options.Callbacks, call)
	}
	members, err := b.members(r.ID, &r.Options, p.jobs)
	if err != nil {
		return nil, err
	}
	if err := store.Create(ctx, r); err != nil {
		return nil, err
	}
	batch := &Batch{BatchRecord: r, b: b}
	for _, fn := range p.before {
		if err := fn(ctx, batch); err != nil {
			return nil, errors.Join(err, batch.Delete(context.WithoutCancel(ctx)))
		}
	}
	stored, err := b.push(ctx, p.c, r.ID, members)
	if err != nil {
		ctx := context.WithoutCancel(ctx)
		if stored == 0 {
			return nil, errors.Join(err, batch.Delete(ctx))
		}
		err = errors.Join(err, batch.Cancel(ctx))
		if fresh, ferr := batch.Fresh(ctx); ferr == nil {
			batch = fresh
		}
		return batch, err
	}
	Emit(ctx, b.m.events, BatchDispatched{ID: r.ID, Name: r.Name, Total: stored})
	return batch.Fresh(ctx)
}

// add is Batch.Add.
func (b *batching) add(ctx context.Context, r *BatchRecord, jobs []any) error {
	members, err := b.members(r.ID, &r.Options, jobs)
	if err != nil || len(jobs) == 0 {
		return err
	}
	_, err = b.push(ctx, b.m.client(), r.ID, members)
	return err
}

// members returns the jobs as members of a batch; each element has options of
// its own.
func (b *batching) members(id string, options *BatchOptions, jobs []any) ([]wanted, error) {
	var all []wanted
	now := time.Now()
	var last *dispatch // the options of the last job, before they were the batch's
	lastPlain := false
	for i, job := range jobs {
		if c, ok := job.(*Chain); ok {
			w, err := b.chainMember(id, options, c, now)
			if err != nil {
				return nil, fmt.Errorf("batch: job %d of %d: %w", i+1, len(jobs), err)
			}
			all, last = append(all, w), nil
			continue
		}
		name, data, o, err := optioned(job)
		if err != nil {
			return nil, fmt.Errorf("batch: job %d of %d: %w", i+1, len(jobs), err)
		}
		own, ok := data.(Batchable)
		if ok {
			data = own.WithBatch(id)
		}
		plain := isPlain(job)
		same := last != nil && (plain && lastPlain || reflect.DeepEqual(*last, o))
		if !same || (all[len(all)-1].o.extra[batchKey] == nil) != ok {
			last = new(o)
			all = append(all, wanted{o: o.member(id, options, ok, now), now: now})
		}
		lastPlain = plain
		w := &all[len(all)-1]
		w.names, w.data = append(w.names, name), append(w.data, data)
	}
	return all, nil
}

// isPlain says that a job has no options of its own.
func isPlain(job any) bool {
	switch job.(type) {
	case Optioned, Configured:
		return false
	}
	return true
}

// member returns the options of a job as those of a member; carries says that
// the job knows its batch itself.
func (d dispatch) member(id string, options *BatchOptions, carries bool, now time.Time) *dispatch {
	d.connection, d.queue = cmp.Or(d.connection, options.Connection), cmp.Or(d.queue, options.Queue)
	if !d.at.IsZero() {
		d.delay = d.at.Sub(now)
	}
	if !carries {
		d.extra = with(d.extra, batchKey, id)
	}
	return &d
}

// push counts members and pushes them, and returns how many were stored.
func (b *batching) push(ctx context.Context, c *Client, id string, members []wanted) (stored int, err error) {
	store, err := b.opened(ctx)
	if err != nil {
		return 0, err
	}
	n := 0
	for _, w := range members {
		n += len(w.names) * w.each()
	}
	// Before they are there: they may end at once.
	change, err := store.Grow(ctx, id, n)
	if err != nil {
		return 0, err
	}
	if n == 0 {
		b.changed(ctx, change, "")
		return 0, nil
	}
	var short error // of members that are stored all the same
	for _, w := range members {
		var refs []Ref
		refs, err = dispatchWanted(ctx, c, w)
		if errors.Is(err, driver.ErrStored) {
			short, err = err, nil
		}
		for _, r := range refs {
			if r.UUID != "" { // not one that another one's lock keeps away
				stored += w.each()
			}
		}
		if err != nil {
			break
		}
	}
	if stored < n {
		ctx := context.WithoutCancel(ctx)
		change, gerr := store.Grow(ctx, id, stored-n)
		if gerr != nil {
			return stored, errors.Join(err, gerr)
		}
		if stored > 0 || err == nil {
			b.changed(ctx, change, "")
		}
	}
	if err == nil && stored > 0 && short != nil {
		b.o.Logger.Warn("members of a batch are stored, but not as safely as they should be", "batch", id, "error", short)
	}
	return stored, err
}

// callback encodes a job that will be pushed at an event.
func (c *Client) callback(ctx context.Context, r *BatchRecord, e BatchEvent, job any) (BatchCallback, error) {
	name, data, o, err := optioned(job)
	if err != nil {
		return BatchCallback{}, err
	}
	if o.connection == "" {
		o.connection = r.Options.Connection
	}
	if o.queue == "" {
		o.queue = r.Options.Queue
	}
	conn, err := c.manager.Connection(ctx, o.connection)
	if err != nil {
		return BatchCallback{}, err
	}
	d := &Draft{
		UUID: NewUUID(), Name: name, DisplayName: o.display, Data: data, Policy: o.policy, Delay: o.delay,
		Created: r.CreatedAt, CountsInBody: conn.conn.Traits().CountsInBody,
		Extra: with(with(with(o.extra, batchKey, r.ID), batchEventKey, string(e)), batchClaimKey, 0),
	}
	if d.CountsInBody {
		d.ID = newID()
	}
	for _, fn := range c.extend {
		fn(d)
	}
	body, err := conn.Format.Encode(d)
	return BatchCallback{Event: e, UUID: d.UUID, Connection: o.connection, Queue: o.queue, Delay: o.delay, Body: body}, err
}

// pushAgain pushes a body that was encoded earlier; fresh makes it a job of its
// own.
func (c *Client) pushAgain(ctx context.Context, call BatchCallback, claim int, fresh bool) error {
	conn, err := c.manager.Connection(ctx, call.Connection)
	if err != nil {
		return err
	}
	now := time.Now()
	body, err := conn.Format.Retry(call.Body, now)
	if err != nil {
		return err
	}
	uuid := call.UUID
	if fresh {
		uuid = NewUUID()
	}
	if body, err = renew(body, uuid, fresh, claim, now); err != nil {
		return err
	}
	queue := conn.QueueOr(call.Queue)
	id, err := conn.PushRaw(ctx, queue, body, call.Delay)
	if err == nil {
		Emit(ctx, conn.events, JobQueued{Connection: conn.Name, Queue: queue, UUID: uuid, ID: id, Body: body, Delay: call.Delay})
	}
	return err
}

// renew returns a body as if it had been made now, with ids of its own if it is
// another job.
func renew(body []byte, uuid string, fresh bool, claim int, now time.Time) ([]byte, error) {
	var edits []edit
	err := phpjson.Fields(body, func(key string, at int, v []byte) error {
		switch {
		case key == "createdAt" && string(v) != "null":
			edits = append(edits, edit{at, v, fmt.Sprint(now.Unix())})
		case key == batchClaimKey:
			edits = append(edits, edit{at, v, fmt.Sprint(claim)})
		case key == "uuid" && fresh:
			edits = append(edits, edit{at, v, `"` + uuid + `"`})
		case key == "id" && fresh:
			edits = append(edits, edit{at, v, `"` + newID() + `"`})
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("payload: %w", err)
	}
	return apply(body, edits), nil
}

// pushAs dispatches a job under a given UUID.
func (c *Client) pushAs(ctx context.Context, job any, connection, queue, uuid string) error {
	name, data, o, err := optioned(job)
	if err != nil {
		return err
	}
	if o.connection == "" && o.queue == "" {
		o.connection, o.queue = connection, queue
	}
	_, err = dispatchWanted(ctx, c, wanted{names: []string{name}, data: []any{data}, uuids: []string{uuid}, o: &o, now: time.Now()})
	return err
}

// with returns a copy of extra keys with one more.
func with(extra map[string]any, key string, value any) map[string]any {
	extra = maps.Clone(extra)
	if extra == nil {
		extra = make(map[string]any, 2)
	}
	extra[key] = value
	return extra
}

// newBatchID returns a UUID that sorts by time (version 7), as Laravel's do.
func newBatchID(now time.Time) string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], uint64(now.UnixMilli()))
	copy(b[:6], ms[2:])
	b[6] = b[6]&0x0f | 0x70
	b[8] = b[8]&0x3f | 0x80
	return uuidText(b)
}
