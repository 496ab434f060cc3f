// Package chain finds out how far a chain has come. Commands and the dashboard
// share it.
//
// Nothing keeps a list of chains: a chain is what its link carries. So its link
// is looked for, in the queues and among the failed jobs. What is found neither
// here nor there has come to its end, or is where nobody can look.
package chain

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/failed"
)

// Failed is the state of a link that is among the failed jobs. The others are
// those of package driver: of a link that runs, driver.Reserved.
const Failed driver.State = "failed"

// Link is a link of a chain that was found.
type Link struct {
	Connection, Queue string
	State             driver.State
	UUID, Name        string
	Attempts          int // so far; 0 of a failed one
	// At is when a delayed one is due, when the lease of a reserved one ends, or
	// when a failed one failed; else zero.
	At time.Time
	// Expired says that the lease of a reserved one has ended.
	Expired bool
	// Chain is what the link knows of the chain: how many links went before, and
	// which ones are to come.
	Chain spool.ChainInfo
}

// Status is how far a chain has come.
type Status struct {
	ID string
	// Links are those found: one while the chain goes on, or more where a crash
	// has had one dispatched twice, or a failed one is being retried. None: the
	// chain has come to its end, or its link is in what follows.
	Links []Link
	// Looked is how many jobs were looked at.
	Looked int
	// Unlisted are queues, or with "*" all queues of connections, that can't be
	// looked at, as connection:queue.
	Unlisted []string
	// Cut says that a queue, or the failed jobs, had more jobs than were to be
	// looked at.
	Cut bool
}

// Options are the settings of [Find].
type Options struct {
	// Connections are those to look at; all.
	Connections []string
	// Most is how many jobs of each queue and state, and of the failed ones, are
	// looked at; 10,000. Negative means all.
	Most int
}

// page is how many jobs are read at a time.
const page = 100

// Find looks for the link at which a chain stands, by the chain's id or that
// link's uuid. store may be nil. Links that move meanwhile may be missed. It
// reads every job of every queue, up to Most: it is for people, not for loops.
func Find(ctx context.Context, m *spool.Manager, store failed.Store, id string, o *Options) (*Status, error) {
	f := finder{m: m, s: &Status{ID: id}, most: 10_000}
	names := m.Names()
	if o != nil {
		if o.Connections != nil {
			names = o.Connections
		}
		if o.Most != 0 {
			f.most = o.Most
		}
	}
	if id == "" {
		return nil, errors.New("the chain has no id: it is what its dispatch returned")
	}
	for _, name := range names {
		if err := f.connection(ctx, name); err != nil {
			return nil, err
		}
	}
	if store != nil {
		if err := f.failed(ctx, store); err != nil {
			return nil, fmt.Errorf("failed jobs: %w", err)
		}
	}
	return f.s, nil
}

type finder struct {
	m    *spool.Manager
	s    *Status
	most int
}

// connection looks at the queues of a connection.
func (f *finder) connection(ctx context.Context, name string) error {
	conn, err := f.m.Connection(ctx, name)
	if err != nil {
		return err
	}
	if conn.Driver().Traits().Instant {
		return nil
	}
	if _, ok := conn.Driver().(driver.Lister); !ok {
		f.s.Unlisted = append(f.s.Unlisted, conn.Name+":*")
		return nil
	}
	queues, err := conn.Queues(ctx)
	if errors.Is(err, errors.ErrUnsupported) {
		queues, err = []string{conn.Queue}, nil
	}
	if err != nil {
		return err
	}
	for _, queue := range queues {
		for _, state := range []driver.State{driver.Pending, driver.Delayed, driver.Reserved} {
			if err := f.queue(ctx, conn, queue, state); err != nil {
				return err
			}
		}
	}
	return nil
}

// queue looks at the jobs of a queue in one state.
func (f *finder) queue(ctx context.Context, conn *spool.Connection, queue string, state driver.State) error {
	n := 0
	for cursor := ""; ; {
		entries, next, err := conn.List(ctx, queue, state, cursor, page)
		if errors.Is(err, errors.ErrUnsupported) {
			f.s.Unlisted = append(f.s.Unlisted, conn.Name+":"+queue)
			return nil
		}
		if err != nil {
			return err
		}
		for _, e := range entries {
			if l := f.link(conn, e.Body); l != nil {
				l.Queue, l.State, l.Attempts, l.At, l.Expired = queue, state, e.Attempts, e.At, e.Expired
				f.s.Links = append(f.s.Links, *l)
			}
		}
		n += len(entries)
		f.s.Looked += len(entries)
		if next == "" {
			return nil
		}
		if f.most >= 0 && n >= f.most {
			f.s.Cut = true
			return nil
		}
		cursor = next
	}
}

// failed looks at the failed jobs.
func (f *finder) failed(ctx context.Context, store failed.Store) error {
	n := 0
	for cursor := ""; ; {
		recs, next, err := store.List(ctx, failed.Filter{WithoutException: true}, cursor, page)
		if err != nil {
			return err
		}
		for _, r := range recs {
			if !bytes.Contains(r.Payload, []byte(f.s.ID)) {
				continue
			}
			conn, err := f.m.Connection(ctx, r.Connection)
			if err != nil {
				continue // one that is gone, or of another application
			}
			if l := f.link(conn, r.Payload); l != nil {
				l.Connection, l.Queue, l.State, l.At = r.Connection, r.Queue, Failed, r.FailedAt
				f.s.Links = append(f.s.Links, *l)
			}
		}
		n += len(recs)
		f.s.Looked += len(recs)
		if next == "" {
			return nil
		}
		if f.most >= 0 && n >= f.most {
			f.s.Cut = true
			return nil
		}
		cursor = next
	}
}

// link returns a job as a link of the chain, nil if it is none.
func (f *finder) link(conn *spool.Connection, body []byte) *Link {
	if !bytes.Contains(body, []byte(f.s.ID)) {
		return nil
	}
	p, _ := conn.Format.Decode(body)
	if p == nil {
		return nil
	}
	info, err := spool.ChainOf(p)
	if info == nil || err != nil || info.ID != f.s.ID && p.UUID != f.s.ID {
		return nil
	}
	return &Link{Connection: conn.Name, UUID: p.UUID, Name: p.DisplayName, Chain: *info}
}
