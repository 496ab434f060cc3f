package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spoolq/spool/driver"
)

// verbsContestant is Spool's driver alone, without worker and client: what is
// between it and Spool is the cost of those two, and what is between it and
// the raw store that of the driver.
func verbsContestant() *contestant {
	return &contestant{
		name: "verbs",
		about: func(*store) string {
			return "Push, Reserve and Delete of Spool's driver, bodies ready-made and not decoded"
		},
		widths: storeWidths,
		open:   openVerbs,
	}
}

// storeWidths are those of contestants without handlers.
func storeWidths(_ *store, c *testcase) []int {
	switch {
	case c.task.Kind == latency, c.task.Work > 0:
		return nil
	case c.drains() && c.task.Width == 0:
		return []int{100, 1000}
	}
	return []int{c.task.Width}
}

type verbsPlayer struct {
	conn  driver.Conn
	body  *envelope
	store *store
	shut  func() error
}

func openVerbs(ctx context.Context, s *store) (player, error) {
	body, err := newEnvelope(s)
	if err != nil {
		return nil, err
	}
	conn, shut, err := openDriver(ctx, s)
	if err != nil {
		return nil, err
	}
	return &verbsPlayer{conn: conn, body: body, store: s, shut: shut}, nil
}

func (p *verbsPlayer) reset(ctx context.Context) error { return clearJobs(ctx, p.store, p.conn) }
func (p *verbsPlayer) close() error                    { return p.shut() }

func (p *verbsPlayer) run(ctx context.Context, t task) (result, error) {
	switch t.Kind {
	case push:
		took, err := concurrently(t.Jobs, t.Width, func(i int) error { return p.push(ctx, i, 1) })
		return result{Elapsed: took}, err
	case bulk:
		begun := time.Now()
		for from := 0; from < t.Jobs; from += t.Width {
			if err := p.push(ctx, from, min(t.Width, t.Jobs-from)); err != nil {
				return result{}, err
			}
		}
		return result{Elapsed: time.Since(begun)}, nil
	case drain:
		return p.drain(ctx, t)
	}
	return result{}, errors.ErrUnsupported
}

func (p *verbsPlayer) push(ctx context.Context, from, n int) error {
	ms := make([]driver.Message, n)
	for i := range ms {
		ms[i].Body = []byte(p.body.body(from + i))
	}
	_, err := p.conn.Push(ctx, "default", ms)
	return err
}

func (p *verbsPlayer) drain(ctx context.Context, t task) (result, error) {
	begun := time.Now()
	for done := 0; done < t.Jobs; {
		rs, err := p.conn.Reserve(ctx, "default", t.Width)
		if err == nil && len(rs) == 0 {
			err = fmt.Errorf("nothing left after %d of %d jobs", done, t.Jobs)
		}
		if err == nil {
			err = p.conn.Delete(ctx, rs)
		}
		if err != nil {
			return result{}, err
		}
		done += len(rs)
	}
	return result{Elapsed: time.Since(begun)}, nil
}
