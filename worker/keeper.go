package worker

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/spoolq/spool/driver"
)

// keeper watches over the jobs in hand: it renews their leases, from the
// reserve until their end is stored, and ends handlers whose time is up or
// whose lease can't be trusted any more, store reachable or not.
type keeper struct {
	conn   driver.Conn
	log    *slog.Logger
	grace  time.Duration // from a cancelled context to stuck
	lease  time.Duration // 0: reservations don't expire
	renew  time.Duration // 0: they can't be renewed
	margin time.Duration

	timedOut func(*task) // the timeout of a task has just ended its handler
	stuck    func(*task) // a handler hasn't returned in the grace

	mu    sync.Mutex
	tasks []*task
	next  time.Time // when the clock looks next
	poke  chan struct{}
}

func newKeeper(conn driver.Conn, log *slog.Logger, grace time.Duration) *keeper {
	t := conn.Traits()
	k := &keeper{conn: conn, log: log, grace: grace, lease: t.Lease, poke: make(chan struct{}, 1)}
	if k.lease > 0 {
		k.margin = leaseMargin(t)
		if _, ok := conn.(driver.Extender); ok {
			k.renew = renewEvery(t)
		}
	}
	return k
}

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

// hold starts watching a task reserved by a call that began at since.
func (k *keeper) hold(t *task, since time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	t.slot = len(k.tasks)
	k.tasks = append(k.tasks, t)
	k.leased(t, since)
	k.wakeBy(k.due(t))
}

// leased notes that the lease of t was confirmed by a call that began at
// since. The caller holds the lock.
func (k *keeper) leased(t *task, since time.Time) {
	if k.lease == 0 {
		return
	}
	t.leaseEnd = since.Add(k.lease)
	t.guardAt = t.leaseEnd.Add(-k.margin)
	if k.renew > 0 {
		t.renewAt = since.Add(k.renew)
	}
}

// running starts the clock of a handler with a timeout.
func (k *keeper) running(t *task, timeout time.Duration) {
	if timeout <= 0 {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	t.dueAt = time.Now().Add(timeout)
	k.wakeBy(t.dueAt)
}

// ended stops the clock of a handler that has returned; its lease is still kept.
func (k *keeper) ended(t *task) {
	k.mu.Lock()
	defer k.mu.Unlock()
	t.dueAt, t.stuckAt = time.Time{}, time.Time{}
}

// drop stops watching a task whose end is stored, or that is lost.
func (k *keeper) drop(t *task) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if t.slot < 0 {
		return
	}
	last := len(k.tasks) - 1
	k.tasks[t.slot] = k.tasks[last]
	k.tasks[t.slot].slot = t.slot
	k.tasks[last] = nil
	k.tasks = k.tasks[:last]
	t.slot = -1
}

// held returns the tasks in hand.
func (k *keeper) held() []*task {
	k.mu.Lock()
	defer k.mu.Unlock()
	return append([]*task(nil), k.tasks...)
}

// cancelAll ends every handler with a cause; those that don't return in the
// grace become stuck.
func (k *keeper) cancelAll(cause error) {
	for _, t := range k.held() {
		k.cancel(t, cause)
	}
}

// cancel ends one handler and starts its grace.
func (k *keeper) cancel(t *task, cause error) bool {
	if !t.end(cause) {
		return false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	t.dueAt = time.Time{}
	t.stuckAt = time.Now().Add(k.grace)
	k.wakeBy(t.stuckAt)
	return true
}

// due is when t needs the clock next. The caller holds the lock.
func (k *keeper) due(t *task) time.Time {
	var at time.Time
	for _, c := range [...]time.Time{t.guardAt, t.dueAt, t.stuckAt} {
		if !c.IsZero() && (at.IsZero() || c.Before(at)) {
			at = c
		}
	}
	return at
}

// wakeBy has the clock look at the latest at that time. The caller holds the
// lock.
func (k *keeper) wakeBy(at time.Time) {
	if at.IsZero() || !k.next.IsZero() && !at.Before(k.next) {
		return
	}
	k.next = at
	select {
	case k.poke <- struct{}{}:
	default:
	}
}

// watch runs the clock until ctx ends.
func (k *keeper) watch(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		k.mu.Lock()
		k.next = time.Time{}
		for _, t := range k.tasks {
			if at := k.due(t); !at.IsZero() && (k.next.IsZero() || at.Before(k.next)) {
				k.next = at
			}
		}
		sleep := time.Hour
		if !k.next.IsZero() {
			sleep = time.Until(k.next)
		}
		k.mu.Unlock()
		timer.Reset(sleep)
		select {
		case <-ctx.Done():
			return
		case <-k.poke:
		case <-timer.C:
			k.tick(time.Now())
		}
	}
}

// tick acts on every task whose time has come.
func (k *keeper) tick(now time.Time) {
	var late, stuck, doubtful []*task
	k.mu.Lock()
	for _, t := range k.tasks {
		if passed(t.dueAt, now) {
			t.dueAt = time.Time{}
			late = append(late, t)
		}
		if passed(t.stuckAt, now) {
			t.stuckAt = time.Time{}
			stuck = append(stuck, t)
		}
		if passed(t.guardAt, now) {
			t.guardAt = time.Time{}
			doubtful = append(doubtful, t)
		}
	}
	k.mu.Unlock()
	for _, t := range doubtful {
		if k.cancel(t, ErrLeaseLost) {
			k.log.Warn("lease could not be renewed in time: job cancelled", "job", t.res.ID, "queue", t.res.Queue)
		}
	}
	for _, t := range late {
		if k.cancel(t, ErrTimeout) {
			k.timedOut(t)
		}
	}
	for _, t := range stuck {
		k.stuck(t)
	}
}

func passed(at, now time.Time) bool { return !at.IsZero() && !at.After(now) }

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
	lost := k.lost()
	for {
		select {
		case <-ctx.Done():
			return
		case <-lost:
			lost = k.lost()
			k.renewAll()
		case <-tick.C:
		}
		for batch := k.toRenew(time.Now()); len(batch) > 0; batch = batch[min(maxExtend, len(batch)):] {
			k.extend(ctx, batch[:min(maxExtend, len(batch))])
		}
	}
}

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
	ctx, cancel := context.WithTimeout(ctx, max(k.renew, time.Second))
	defer cancel()
	err := k.conn.(driver.Extender).Extend(ctx, rs)
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
