package worker

import (
	"context"
	"errors"
	"time"

	"github.com/spoolq/spool/driver"
)

// All times here carry the monotonic clock, so that a wall clock which is put
// forward or back neither ends a lease nor prolongs it.

// leaseMargin is how long before its end a lease is no longer trusted: a fifth
// of it, at least 1 s, or 2 s where times are whole seconds (there a lease may
// end up to one second early, seen from here).
func leaseMargin(t driver.Traits) time.Duration {
	least := time.Second
	if t.Resolution >= time.Second {
		least = 2 * time.Second
	}
	return max(t.Lease/5, least)
}

// renewEvery is the driver's own interval, or less if two renewals would not
// fit before the margin.
func renewEvery(t driver.Traits) time.Duration {
	return min(or(t.Renew, t.Lease/3), (t.Lease-leaseMargin(t))/2)
}

// leased notes that the lease of t was confirmed by a call that began at
// since. The caller holds the lock.
func (k *keeper) leased(t *task, since time.Time) {
	if k.lease == 0 {
		return
	}
	t.guardAt = since.Add(k.lease - k.margin)
	if k.renew > 0 {
		t.renewAt = since.Add(k.renew)
	}
}

// maxExtend bounds one renewal call, so that one slow call doesn't endanger
// the leases of all.
const maxExtend = 500

// keepLeases renews leases until ctx ends.
func (k *keeper) keepLeases(ctx context.Context) {
	if k.renew == 0 {
		return
	}
	tick := time.NewTicker(max(k.renew/8, 50*time.Millisecond))
	defer tick.Stop()
	last := time.Now()
	lost := k.lost()
	for {
		select {
		case <-ctx.Done():
			return
		case <-lost:
			lost = k.lost()
			k.renewAll()
		case <-tick.C:
			now := time.Now()
			if slept(now.Round(0).Sub(last.Round(0)), now.Sub(last)) {
				k.renewAll()
			}
			last = now
		}
		for batch := k.toRenew(time.Now()); len(batch) > 0; batch = batch[min(maxExtend, len(batch)):] {
			k.extend(ctx, batch[:min(maxExtend, len(batch))])
		}
	}
}

// slept says whether the machine was suspended while so much time went by on
// the wall and on the monotonic clock: that one stands still meanwhile, but
// leases run out. It is also true of a wall clock that was put forward, where
// looking at the leases does no harm.
func slept(wall, monotonic time.Duration) bool { return wall-monotonic > time.Second }

// lost returns a channel that is closed when the backend notices that leases
// are gone; nil if it wouldn't.
func (k *keeper) lost() <-chan struct{} {
	if n, ok := k.conn.(driver.LossNotifier); ok {
		return n.Lost()
	}
	return nil
}

// renewAll makes the renewal of every lease due.
func (k *keeper) renewAll() {
	now := time.Now()
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, t := range k.tasks {
		if !t.renewAt.IsZero() {
			t.renewAt = now
		}
	}
}

// toRenew returns the tasks whose renewal is due, or nearly, so that renewals
// go out together.
func (k *keeper) toRenew(now time.Time) []*task {
	now = now.Add(k.renew / 8)
	k.mu.Lock()
	defer k.mu.Unlock()
	var due []*task
	for _, t := range k.tasks {
		if passed(t.renewAt, now) {
			due = append(due, t)
		}
	}
	return due
}

// extend renews the leases of a batch and notes each outcome.
func (k *keeper) extend(ctx context.Context, batch []*task) {
	rs := make([]driver.Reservation, len(batch))
	for i, t := range batch {
		rs[i] = t.res
	}
	since := time.Now()
	limited, cancel := context.WithTimeout(ctx, max(k.renew, time.Second))
	defer cancel()
	err := k.conn.(driver.Extender).Extend(limited, rs)
	for i, t := range batch {
		k.extended(t, since, driver.ItemError(err, i))
	}
	if err != nil && ctx.Err() == nil && !errors.Is(err, driver.ErrLost) {
		k.log.Warn("leases could not be renewed, trying again", "jobs", len(batch), "error", err)
	}
}

// extended notes the outcome of one renewal.
func (k *keeper) extended(t *task, since time.Time, err error) {
	k.mu.Lock()
	if t.slot < 0 { // settled meanwhile: gone is as it should be
		k.mu.Unlock()
		return
	}
	switch {
	case err == nil:
		k.leased(t, since)
	case errors.Is(err, driver.ErrLost):
		t.renewAt, t.guardAt = time.Time{}, time.Time{}
	default:
		t.renewAt = time.Now().Add(min(time.Second, k.renew/2))
	}
	k.mu.Unlock()
	if errors.Is(err, driver.ErrLost) {
		k.cancel(t, ErrLeaseLost)
	}
}

// confirm renews the lease of one job now, and says driver.ErrLost if it is
// gone. Where leases can't be renewed it does nothing.
func (k *keeper) confirm(ctx context.Context, t *task) error {
	e, ok := k.conn.(driver.Extender)
	if !ok {
		return nil
	}
	since := time.Now()
	err := driver.ItemError(e.Extend(ctx, []driver.Reservation{t.res}), 0)
	k.mu.Lock()
	defer k.mu.Unlock()
	if err == nil && t.slot >= 0 {
		k.leased(t, since)
	}
	return err
}

// trusts says whether the lease of a job is certainly ours at this moment.
func (k *keeper) trusts(t *task) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.trusted(t, time.Now())
}

// trusted is trusts for a caller that holds the lock.
func (k *keeper) trusted(t *task, now time.Time) bool {
	return k.lease == 0 || !t.guardAt.IsZero() && now.Before(t.guardAt)
}
