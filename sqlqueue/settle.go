package sqlqueue

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/spoolq/spool/driver"
)

// fence says which delivery a change is meant for: the row's id and attempts
// and, where at is not negative, the time of the reservation.
type fence struct{ id, attempts, at int64 }

// kind of a change.
type kind int

const (
	toDelete kind = iota
	toRelease
	toReturn
	toExtend
)

// change is what happens to reservations. Times are unix seconds.
type change struct {
	kind      kind
	now       int64
	available int64 // of release and return
}

// Delete removes the jobs.
func (c *Conn) Delete(ctx context.Context, rs []driver.Reservation) error {
	return c.settle(ctx, change{kind: toDelete, now: time.Now().Unix()}, rs)
}

// Release makes the jobs available after delay, as new rows with new ids.
func (c *Conn) Release(ctx context.Context, rs []driver.Reservation, delay time.Duration) error {
	return c.handBack(ctx, toRelease, rs, delay)
}

// Return is Release with the attempt given back. The new ids keep an old
// reservation from hitting the next one, which has the same attempts.
func (c *Conn) Return(ctx context.Context, rs []driver.Reservation, delay time.Duration) error {
	return c.handBack(ctx, toReturn, rs, delay)
}

func (c *Conn) handBack(ctx context.Context, k kind, rs []driver.Reservation, delay time.Duration) error {
	now := time.Now()
	err := c.settle(ctx, change{kind: k, now: now.Unix(), available: dueAt(now, delay)}, rs)
	told := map[string]bool{}
	for i, r := range rs {
		if driver.ItemError(err, i) == nil && !told[r.Queue] {
			told[r.Queue] = true
			c.db.Announce(c.topic(r.Queue))
		}
	}
	return err
}

// Extend makes the leases end RetryAfter from now.
func (c *Conn) Extend(ctx context.Context, rs []driver.Reservation) error {
	return c.settle(ctx, change{kind: toExtend, now: time.Now().Unix()}, rs)
}

// settle applies the change and notes what happened.
func (c *Conn) settle(ctx context.Context, ch change, rs []driver.Reservation) error {
	if c.closed() {
		return driver.ErrClosed
	}
	errs := make([]error, len(rs))
	items := make([]fence, 0, len(rs))
	receipts := make([]*receipt, 0, len(rs))
	index := make([]int, 0, len(rs))
	for i, r := range rs {
		switch rc, ok := r.Receipt.(*receipt); {
		case !ok:
			errs[i] = fmt.Errorf("sqlqueue: the receipt of job %s is a %T, not one of this driver", r.ID, r.Receipt)
		default:
			items, receipts, index = append(items, rc.fence()), append(receipts, rc), append(index, i)
		}
	}
	if len(items) > 0 {
		hits, err := c.flow.settle(ctx, ch, items)
		if err != nil {
			return c.explain(err)
		}
		for k, hit := range hits {
			switch {
			case !hit:
				errs[index[k]] = driver.ErrLost
			case ch.kind == toExtend:
				receipts[k].reservedAt.Store(ch.now)
			}
		}
	}
	return driver.Outcomes(errs)
}

// DeleteTx deletes the job of r and runs also in one transaction. also must be
// brief, use the context it is given, and may be called more than once when
// the server rolls the transaction back.
func (c *Conn) DeleteTx(ctx context.Context, r driver.Reservation, also func(ctx context.Context, tx *sql.Tx) error) error {
	if c.closed() {
		return driver.ErrClosed
	}
	rc, ok := r.Receipt.(*receipt)
	if !ok {
		return fmt.Errorf("sqlqueue: the receipt of job %s is a %T, not one of this driver", r.ID, r.Receipt)
	}
	err := c.db.Write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		hit, err := c.flow.settleIn(ctx, c.db.On(tx), change{kind: toDelete}, rc.fence())
		if err != nil {
			return c.explain(err)
		}
		if !hit {
			return driver.ErrLost
		}
		return also(ctx, tx)
	})
	if errors.Is(err, driver.ErrLost) {
		return driver.ErrLost
	}
	return c.explain(err)
}
