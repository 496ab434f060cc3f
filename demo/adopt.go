package demo

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/driver"
)

// adopt looks at what the queues hold. Jobs that an earlier run has left are
// worked; anything else is none of the demo's business.
func (r *run) adopt(ctx context.Context) error {
	own := r.shop.handlers(r.books.watch)
	for _, q := range Queues() {
		size, err := r.conn.Size(ctx, q)
		if err != nil {
			return fmt.Errorf("queue %s: whether it holds jobs of others can't be seen: %w", q, err)
		}
		if size.Total() == 0 {
			continue
		}
		for _, state := range []driver.State{driver.Pending, driver.Delayed, driver.Reserved} {
			for cursor := ""; ; {
				entries, next, err := r.conn.List(ctx, q, state, cursor, 1000)
				if err != nil {
					return fmt.Errorf("queue %s holds %d jobs, and whose they are can't be seen: %w", q, size.Total(), err)
				}
				for _, e := range entries {
					p, err := r.ours(own, q, e)
					if err != nil {
						return err
					}
					r.books.adopted(p.UUID, p.Name, q, e.At)
				}
				if cursor = next; next == "" {
					break
				}
			}
		}
		// Where expired reservations don't come back by themselves.
		if _, err := r.conn.Rescue(ctx, q, int(size.Reserved)+1); err != nil && !errors.Is(err, errors.ErrUnsupported) {
			return err
		}
	}
	return nil
}

// ours decodes a job that the demo may work.
func (r *run) ours(own *spool.Mux, queue string, e driver.Entry) (*spool.Payload, error) {
	p, err := r.conn.Format.Decode(e.Body)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %s on connection %s holds what is no job; nothing was touched", ErrInUse, queue, r.conn.Name)
	case own.Lookup(p.Name) == nil:
		return nil, fmt.Errorf("%w: %s on connection %s holds a job %s, which is not the demo's; nothing was touched", ErrInUse, queue, r.conn.Name, printable(p.Name))
	case e.State == driver.Reserved && !e.Expired:
		return nil, fmt.Errorf("%w: a job on %s, connection %s, is being worked; another demo may be running, or one was killed and its jobs come back at %s",
			ErrInUse, queue, r.conn.Name, e.At.Local().Format(time.TimeOnly))
	}
	return p, nil
}

// printable keeps foreign text from steering the terminal.
func printable(s string) string {
	return strings.Map(func(c rune) rune {
		if c < ' ' || c >= 0x7f && c < 0xa0 {
			return '\uFFFD'
		}
		return c
	}, s)
}
