package spool

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/spoolq/spool/driver"
)

// passOver is how long a connection that has failed is passed over, so that not
// every dispatch waits for the timeout of a server that hangs.
const passOver = 5 * time.Second

// failover sends dispatches to the first of several connections that is up. It
// works above the drivers, because each connection has a payload of its own.
type failover struct {
	name  string
	names []string // the connections, in order

	mu      sync.Mutex
	failing map[string]time.Time // until when to pass over those that failed last
}

func newFailover(name string, names []string) *failover {
	return &failover{name: name, names: slices.Clone(names), failing: make(map[string]time.Time)}
}

// dispatch tries the connections in order until one has accepted the jobs. Jobs
// that one has accepted are not sent to the next; their uuids are the same on
// all, so that one whose outcome was unknown can be recognised.
func (f *failover) dispatch(ctx context.Context, d Dispatcher, w wanted) ([]Ref, error) {
	if w.uuids == nil {
		w.uuids = make([]string, len(w.names))
		for i := range w.uuids {
			w.uuids[i] = NewUUID()
		}
	}
	return f.try(ctx, d, w, f.inOrder(), nil)
}

// try is dispatch to these connections, after err of another one.
func (f *failover) try(ctx context.Context, d Dispatcher, w wanted, names []string, err error) (refs []Ref, _ error) {
	for i, name := range names {
		// What a Tx or a scope holds is sent later, and may fail then.
		again := func(ctx context.Context, w wanted, err error) (int, error) {
			if !f.down(ctx, d.client(), name, w, err) {
				return 0, err
			}
			o := *w.o
			o.delay -= time.Since(w.now)
			w.o = &o
			refs, err := f.try(ctx, d.client(), w, names[i+1:], err)
			return len(refs), err
		}
		var accepted []Ref
		accepted, err = dispatchTo(ctx, d, name, w, again)
		refs = append(refs, accepted...)
		w = w.part(len(accepted), len(w.names))
		if err == nil {
			f.up(name)
			return refs, nil
		}
		if !f.down(ctx, d.client(), name, w, err) {
			return refs, err
		}
	}
	return refs, fmt.Errorf("no connection of %s took the job, the last says: %w", f.name, err)
}

// inOrder returns the connections in the order in which to try them: those that
// have failed a moment ago last.
func (f *failover) inOrder() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	names := make([]string, 0, len(f.names))
	var last []string
	for _, name := range f.names {
		if now.Before(f.failing[name]) {
			last = append(last, name)
		} else {
			names = append(names, name)
		}
	}
	return append(names, last...)
}

func (f *failover) up(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.failing, name)
}

// down notes that a connection has failed, and raises the event unless it had
// failed the last time too. It returns false if err is no reason to try another
// connection.
func (f *failover) down(ctx context.Context, c *Client, name string, w wanted, err error) bool {
	if !c.outage(ctx, name, err) {
		return false
	}
	f.mu.Lock()
	_, before := f.failing[name]
	f.failing[name] = time.Now().Add(passOver)
	f.mu.Unlock()
	if !before {
		e := QueueFailedOver{Failover: f.name, Connection: name, Queue: w.o.queue, Err: err}
		if len(w.names) > 0 {
			e.Name, e.UUID = w.names[0], w.uuids[0]
		}
		Emit(ctx, c.manager.events, e)
	}
	return true
}

// outage says whether an error is the connection's, so that another one may do
// better, and not the caller's or the job's own.
func (c *Client) outage(ctx context.Context, name string, err error) bool {
	if ctx.Err() != nil || errors.Is(err, driver.ErrStored) {
		return false
	}
	if _, ok := errors.AsType[*driver.LimitError](err); ok {
		return false
	}
	e, ok := errors.AsType[*Error](err)
	if !ok {
		return false
	}
	if e.Op == "open" {
		return true
	}
	// A job that ran at once and failed must not run again elsewhere.
	conn, err := c.manager.backend(ctx, name)
	return err == nil && !conn.conn.Traits().Instant
}
