package sqlqueue

import (
	"context"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/sqldb"
)

// receipt is the handle of one delivery.
type receipt struct {
	id, attempts int64
	// full says that attempts is at the column's maximum and fences nothing;
	// reservedAt, the last time that was confirmed, does so instead.
	full       bool
	reservedAt atomic.Int64
}

func (r *receipt) fence() fence {
	f := fence{id: r.id, attempts: r.attempts, at: -1}
	if r.full {
		f.at = r.reservedAt.Load()
	}
	return f
}

// Reserve takes up to max jobs, at most 1,000 in one call.
func (c *Conn) Reserve(ctx context.Context, queue string, max int) ([]driver.Reservation, error) {
	if c.closed() {
		return nil, driver.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if max <= 0 {
		return nil, nil
	}
	max = min(max, maxBatch)
	a := c.activity(queue)
	version := c.db.Signals().Version(c.topic(queue))
	now := time.Now().Unix()
	expired := now - c.lease
	if c.keep {
		expired = -1
	}
	ts, err := c.flow.reserve(ctx, queue, now, expired, max)
	if err != nil {
		return nil, c.explain(err)
	}
	a.reserved(version, len(ts), max)
	return c.deliveries(queue, now, ts), nil
}

// deliveries are the reservations of rows that were taken at now.
func (c *Conn) deliveries(queue string, now int64, ts []taken) []driver.Reservation {
	rs := make([]driver.Reservation, len(ts))
	for i, t := range ts {
		r := &receipt{id: t.id, attempts: t.attempts, full: t.full}
		r.reservedAt.Store(now)
		rs[i] = driver.Reservation{ID: strconv.FormatInt(t.id, 10), Queue: queue, Body: t.body, Attempts: int(t.attempts), Receipt: r}
		if c.texts.layout.CountsLater {
			rs[i].Attempts++ // the delivery at hand
		}
	}
	return rs
}

// moving is the context of statements that move jobs: they are not cut off
// half-way by the caller's context.
func moving(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), longestRun)
}

func (c *Conn) topic(queue string) sqldb.Topic { return sqldb.Topic{Table: c.table, Queue: queue} }
