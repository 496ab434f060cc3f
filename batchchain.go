package spool

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spoolq/spool/driver"
)

// This file is where chains and batches meet: a chain as a member of a batch, a
// batch as a link of a chain.

// member returns a job as a member of a batch.
func member(job any, id string) any {
	given, ok := job.(Optioned)
	if !ok {
		given.job = job
	}
	if own, ok := given.job.(Batchable); ok {
		given.job = own.WithBatch(id)
	} else {
		given.opts = append(slices.Clone(given.opts), Extra(batchKey, id))
	}
	return given
}

// chainMember returns a chain whose links are members of a batch.
func (b *batching) chainMember(id string, options *BatchOptions, c *Chain, now time.Time) (wanted, error) {
	in := *c
	in.links = make([]any, len(c.links))
	for i, job := range c.links {
		if _, ok := job.(*PendingBatch); ok {
			return wanted{}, errors.New("a batch can't be in a chain that is in a batch")
		}
		in.links[i] = member(job, id)
	}
	if in.connection == "" {
		in.connection = options.Connection
	}
	if in.queue == "" {
		in.queue = options.Queue
	}
	first, body, err := in.first()
	if err != nil {
		return wanted{}, err
	}
	body.ID = NewUUID()
	first.o.put(chainKey, body)
	if !first.o.at.IsZero() {
		first.o.delay = first.o.at.Sub(now)
	}
	return wanted{
		names: []string{first.name}, data: []any{first.data}, uuids: []string{body.ID}, o: &first.o, now: now, members: len(c.links),
	}, nil
}

// each is how many members every job of w stands for.
func (w *wanted) each() int { return max(w.members, 1) }

// membersBehind returns the uuids of the links behind a job that are members of
// its batch. They fail with it: they won't run unless it is retried.
func (j *Job) membersBehind() ([]string, error) {
	if !j.linked() {
		return nil, nil
	}
	body, err := j.Payload.chainBody()
	if err != nil {
		return nil, err
	}
	next, _, err := j.Payload.rest(&body)
	if err != nil {
		return nil, err
	}
	var uuids []string
	uuid := j.UUID
	for _, l := range next {
		if uuid = followingUUID(uuid, "next", 0); l.Batch == j.Payload.BatchID {
			uuids = append(uuids, uuid)
		}
	}
	return uuids, nil
}

// batchLinkName is the name of a link that is a batch. It is never on a queue.
const batchLinkName = "spool:batch"

// batchLink is a batch as a link of a chain, as it is stored.
type batchLink struct {
	Name          string          `json:"name,omitempty"`
	Connection    string          `json:"connection,omitempty"`
	Queue         string          `json:"queue,omitempty"`
	AllowFailures bool            `json:"allowFailures,omitempty"`
	Jobs          []string        `json:"jobs,omitempty"`
	Callbacks     []batchLinkCall `json:"callbacks,omitempty"`
}

type batchLinkCall struct {
	Event BatchEvent `json:"event"`
	Job   string     `json:"job"`
}

// link returns the batch as a link of a chain.
func (p *PendingBatch) link() (*link, error) {
	if len(p.before) > 0 {
		return nil, errors.New("a batch in a chain can't have functions to be called before it: they can't be stored")
	}
	b := batchLink{Name: p.name, Connection: p.o.Connection, Queue: p.o.Queue, AllowFailures: p.o.AllowFailures}
	for _, job := range p.jobs {
		switch job.(type) {
		case *Chain, *PendingBatch:
			return nil, errors.New("a batch in a chain can't have chains or batches as members")
		}
	}
	var err error
	if b.Jobs, err = linkTexts(nil, p.jobs); err != nil {
		return nil, fmt.Errorf("batch: %w", err)
	}
	for _, c := range p.callbacks {
		texts, err := linkTexts(nil, []any{c.job})
		if err != nil {
			return nil, fmt.Errorf("batch: %s callback: %w", c.event, err)
		}
		b.Callbacks = append(b.Callbacks, batchLinkCall{c.event, texts[0]})
	}
	return &link{name: batchLinkName, data: b}, nil
}

// asJob returns a link as a job with its options.
func (l *link) asJob() any {
	o := l.o
	return Optioned{name: l.name, job: l.data, opts: []DispatchOption{dispatchOption(func(d *dispatch) { *d = o })}}
}

// dispatchBatch begins a link that is a batch, whose id is made from that of
// the link before it. It may have been begun before a crash: then its members
// are pushed again, under the same uuids, and count once. The rest of the chain
// becomes a callback of the batch.
func (c *Client) dispatchBatch(ctx context.Context, l *link, id string) (Ref, error) {
	r, members, err := c.batchOf(ctx, l, id)
	if err != nil {
		return Ref{}, err
	}
	b, err := c.manager.batches()
	if err != nil {
		return Ref{}, err
	}
	store, err := b.opened(ctx)
	if err != nil {
		return Ref{}, wrap("batch", r.Options.Connection, "", err)
	}
	have, err := store.Find(ctx, id)
	if errors.Is(err, ErrBatchNotFound) {
		have, err = *r, store.Create(ctx, *r)
	}
	if err != nil {
		return Ref{}, wrap("batch", r.Options.Connection, "", err)
	}
	if have.Total == 0 {
		change, err := store.Grow(ctx, id, len(members))
		if err != nil {
			return Ref{}, wrap("batch", r.Options.Connection, "", err)
		}
		if len(members) == 0 {
			b.changed(ctx, change, "")
		}
		Emit(ctx, b.m.events, BatchDispatched{ID: id, Name: r.Name, Total: len(members)})
	}
	for i, m := range members {
		if _, err := c.dispatchLink(ctx, c, m, followingUUID(id, "member", i)); err != nil && !errors.Is(err, driver.ErrStored) {
			return Ref{}, err
		}
	}
	return Ref{Connection: r.Options.Connection, Queue: r.Options.Queue, UUID: id}, nil
}

// batchOf returns the batch that a link stands for, and its members.
func (c *Client) batchOf(ctx context.Context, l *link, id string) (*BatchRecord, []*link, error) {
	stored, ok := l.data.(batchLink)
	if raw, isRaw := l.data.(json.RawMessage); isRaw {
		if err := json.Unmarshal(raw, &stored); err != nil {
			return nil, nil, fmt.Errorf("batch of a chain: %w", err)
		}
		ok = true
	}
	if !ok {
		return nil, nil, fmt.Errorf("batch of a chain: %T", l.data)
	}
	r := &BatchRecord{ID: id, Name: stored.Name, CreatedAt: time.Now(), Options: BatchOptions{
		Connection: stored.Connection, Queue: stored.Queue, AllowFailures: stored.AllowFailures,
	}}
	if r.Options.Connection == "" {
		r.Options.Connection = l.o.connection
	}
	if r.Options.Queue == "" {
		r.Options.Queue = l.o.queue
	}
	add := func(e BatchEvent, job *link) error {
		call, err := c.callback(ctx, r, e, job.asJob())
		r.Options.Callbacks = append(r.Options.Callbacks, call)
		return err
	}
	for _, call := range stored.Callbacks {
		job, err := parseLink(call.Job)
		if err == nil {
			err = add(call.Event, job)
		}
		if err != nil {
			return nil, nil, fmt.Errorf("batch of a chain: %s callback: %w", call.Event, err)
		}
	}
	if err := c.chainBehind(l, stored.AllowFailures, add); err != nil {
		return nil, nil, err
	}
	members := make([]*link, len(stored.Jobs))
	for i, text := range stored.Jobs {
		m, err := parseLink(text)
		if err != nil {
			return nil, nil, fmt.Errorf("batch of a chain: %w", err)
		}
		m.at(r.Options.Connection, r.Options.Queue)
		m.o.put(batchKey, id)
		members[i] = m
	}
	return r, members, nil
}

// chainBehind makes what follows a batch in its chain callbacks of the batch:
// the next link when all members have succeeded, or ended where failures are
// allowed; and what is told of a failure otherwise.
func (c *Client) chainBehind(l *link, allowFailures bool, add func(e BatchEvent, job *link) error) error {
	body, ok := l.o.extra[chainKey].(*chainBody)
	if !ok {
		return nil
	}
	if len(body.Next) > 0 {
		next, err := parseLink(body.Next[0])
		if err != nil {
			return err
		}
		if next.name == batchLinkName {
			return errors.New("a batch can't follow a batch in a chain: put a job between them")
		}
		next.at(body.Connection, body.Queue)
		rest := *body
		rest.At, rest.Next = body.At+1, body.Next[1:]
		next.o.put(chainKey, &rest)
		event := BatchThen
		if allowFailures {
			event = BatchFinally
		}
		if err := add(event, next); err != nil {
			return err
		}
	}
	if allowFailures {
		return nil
	}
	for _, text := range body.Catch {
		job, err := parseLink(text)
		if err != nil {
			return err
		}
		job.at(body.Connection, body.Queue)
		if err := add(BatchCatch, job); err != nil {
			return err
		}
	}
	return nil
}

// goesOn says whether a callback of a batch may run that is the next link of a
// chain: not if somebody has cancelled the batch. One that was cancelled because
// a member had failed has succeeded after all when this event comes.
func (b *batching) goesOn(ctx context.Context, p *Payload) (bool, error) {
	if p.chain == nil {
		return true, nil
	}
	batch, err := b.find(ctx, p.BatchID)
	if errors.Is(err, ErrBatchNotFound) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	return !batch.Cancelled() || p.BatchEvent == BatchThen && batch.Failed > 0, nil
}
