package worker

import (
	"context"
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

	stuck func(*task) // a handler hasn't returned in the grace

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

// hold starts watching tasks reserved by a call that began at since.
func (k *keeper) hold(ts []*task, since time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, t := range ts {
		t.slot = len(k.tasks)
		k.tasks = append(k.tasks, t)
		k.leased(t, since)
		k.wakeBy(k.due(t))
	}
}

// running starts the clock of a handler with a timeout, if there is one. It
// returns false if the handler must not begin: its lease can't be trusted any
// more, even if the clock has not looked yet.
func (k *keeper) running(t *task, timeout time.Duration) bool {
	now := time.Now()
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.trusted(t, now) {
		return false
	}
	if timeout > 0 {
		t.dueAt = now.Add(timeout)
		k.wakeBy(t.dueAt)
	}
	return true
}

// ended stops the clock of a handler that has returned; its lease is still kept.
func (k *keeper) ended(t *task) {
	k.mu.Lock()
	defer k.mu.Unlock()
	t.dueAt, t.stuckAt = time.Time{}, time.Time{}
}

// drop stops watching tasks whose end is stored, or that are lost.
func (k *keeper) drop(ts ...*task) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, t := range ts {
		if t.slot < 0 {
			continue
		}
		last := len(k.tasks) - 1
		k.tasks[t.slot] = k.tasks[last]
		k.tasks[t.slot].slot = t.slot
		k.tasks[last] = nil
		k.tasks = k.tasks[:last]
		t.slot = -1
	}
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
		k.cancel(t, ErrTimeout)
	}
	for _, t := range stuck {
		k.stuck(t)
	}
}

func passed(at, now time.Time) bool { return !at.IsZero() && !at.After(now) }
