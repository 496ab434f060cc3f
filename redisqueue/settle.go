package redisqueue

import (
	"context"
	"fmt"
	"time"

	"github.com/spoolq/spool/driver"
)

// Delete removes the jobs for good. An item is [driver.ErrLost] if this very
// delivery of it isn't reserved any more: it was settled, or taken again, even
// by a server that had lost the delivery and counted the attempt anew.
func (c *Conn) Delete(ctx context.Context, rs []driver.Reservation) error {
	return c.settle(ctx, rs, func(k keys, held []*receipt) ([]int64, error) {
		return c.run(ctx, c.scripts.delete, []string{k.reserved}, members(nil, held)).AsIntSlice()
	})
}

// Release makes the jobs available again after delay, their attempts counted.
// As in Laravel they wait in the delayed set even if there is no delay, and go
// behind those that are ready when the next worker looks.
func (c *Conn) Release(ctx context.Context, rs []driver.Reservation, delay time.Duration) error {
	return c.settle(ctx, rs, func(k keys, held []*receipt) ([]int64, error) {
		return c.run(ctx, c.scripts.release, []string{k.reserved, k.delayed},
			members([]string{seconds(delay)}, held)).AsIntSlice()
	})
}

// Return is Release with the payload as it was before the delivery, byte for
// byte.
func (c *Conn) Return(ctx context.Context, rs []driver.Reservation, delay time.Duration) error {
	return c.settle(ctx, rs, func(k keys, held []*receipt) ([]int64, error) {
		args := make([]string, 0, 1+3*len(held))
		args = append(args, seconds(delay))
		for _, r := range held {
			args = append(args, r.member, r.mark, r.original())
		}
		return c.run(ctx, c.scripts.giveBack, []string{k.reserved, k.delayed}, args).AsIntSlice()
	})
}

// Extend makes the leases end a full lease from now.
func (c *Conn) Extend(ctx context.Context, rs []driver.Reservation) error {
	return c.settle(ctx, rs, func(k keys, held []*receipt) ([]int64, error) {
		return c.run(ctx, c.scripts.extend, []string{k.reserved},
			members([]string{c.lease}, held)).AsIntSlice()
	})
}

func members(args []string, held []*receipt) []string {
	all := make([]string, 0, len(args)+2*len(held))
	all = append(all, args...)
	for _, r := range held {
		all = append(all, r.member, r.mark)
	}
	return all
}

// settle calls do once for each queue that rs are from. do returns the indices
// of those that were lost.
func (c *Conn) settle(ctx context.Context, rs []driver.Reservation, do func(keys, []*receipt) ([]int64, error)) error {
	if err := c.check(ctx); err != nil {
		return err
	}
	held, err := receipts(rs)
	if err != nil || len(rs) == 0 {
		return err
	}
	if !oneQueue(rs) {
		return c.settleEach(rs, held, do)
	}
	lost, err := do(c.keys(rs[0].Queue), held)
	if err != nil || len(lost) == 0 {
		return err
	}
	errs := make([]error, len(rs))
	for _, i := range lost {
		errs[i] = driver.ErrLost
	}
	return driver.Outcomes(errs)
}

// settleEach is settle for reservations of several queues.
func (c *Conn) settleEach(rs []driver.Reservation, held []*receipt, do func(keys, []*receipt) ([]int64, error)) error {
	groups, order := map[string][]int{}, []string{}
	for i := range rs {
		q := rs[i].Queue
		if groups[q] == nil {
			order = append(order, q)
		}
		groups[q] = append(groups[q], i)
	}
	errs := make([]error, len(rs))
	for _, q := range order {
		group := make([]*receipt, len(groups[q]))
		for j, i := range groups[q] {
			group[j] = held[i]
		}
		lost, err := do(c.keys(q), group)
		if err != nil { // unknown for this queue, known for the others
			for _, i := range groups[q] {
				errs[i] = err
			}
		}
		for _, j := range lost {
			errs[groups[q][j]] = driver.ErrLost
		}
	}
	return driver.Outcomes(errs)
}

func receipts(rs []driver.Reservation) ([]*receipt, error) {
	held := make([]*receipt, len(rs))
	for i := range rs {
		r, ok := rs[i].Receipt.(*receipt)
		if !ok {
			return nil, fmt.Errorf("redisqueue: item %d has the receipt %T of another driver", i, rs[i].Receipt)
		}
		held[i] = r
	}
	return held, nil
}

func oneQueue(rs []driver.Reservation) bool {
	for i := 1; i < len(rs); i++ {
		if rs[i].Queue != rs[0].Queue {
			return false
		}
	}
	return true
}
