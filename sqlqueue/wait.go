package sqlqueue

import (
	"context"
	"database/sql"
	"sync"
	"time"

	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/sqldb"
)

// Bounds of the polling interval. On SQLite a look costs microseconds, so the
// interval never grows beyond what a person notices.
const (
	shortestPoll = 5 * time.Millisecond
	longestFile  = 50 * time.Millisecond
	idleShare    = 6 // of the time that was idle, the part waited before the next look
)

// activity is what a Conn remembers about one queue.
type activity struct {
	mu   sync.Mutex
	seen uint64    // version of the topic that the last Reserve has looked at; 0: look again
	last time.Time // when there was something

	found found // of the last selection
}

func (c *Conn) activity(queue string) *activity {
	c.mu.Lock()
	defer c.mu.Unlock()
	a := c.queues[queue]
	if a == nil {
		a = &activity{last: time.Now()}
		c.queues[queue] = a
	}
	return a
}

// reserved notes the outcome of a Reserve that began at the given version.
func (a *activity) reserved(version uint64, got, max int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.seen = version; got == max {
		a.seen = 0 // there may be more
	}
	if got > 0 {
		a.last = time.Now()
	}
}

// pending says that something happened since the last Reserve.
func (a *activity) pending(version uint64) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.seen != 0 && version > a.seen {
		a.last = time.Now()
	}
	return version != a.seen
}

func (a *activity) idle() time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	return time.Since(a.last)
}

// Wait returns at once when a push through this database (in any process, on
// PostgreSQL) came since the last Reserve of these queues, or comes. Otherwise
// it returns after a sixth of the time that the queues have been idle, at
// least 5 ms and on SQLite at most 50 ms, and when a delayed job or a lease
// falls due.
func (c *Conn) Wait(ctx context.Context, queues []string, max time.Duration) error {
	if c.closed() {
		return driver.ErrClosed
	}
	c.db.Listen(c.table)
	topics := make([]sqldb.Topic, len(queues))
	for i, q := range queues {
		topics[i] = c.topic(q)
	}
	sub := c.db.Signals().Subscribe(topics...)
	defer sub.Close()

	idle := max * idleShare
	for i, q := range queues {
		a := c.activity(q)
		if a.pending(c.db.Signals().Version(topics[i])) {
			return ctx.Err()
		}
		idle = min(idle, a.idle())
	}
	d := min(idle/idleShare, max)
	if c.db.Dialect().Name == sqldb.SQLite {
		d = min(d, longestFile)
	}
	if d = c.beforeDue(ctx, queues, d); d < shortestPoll {
		d = min(shortestPoll, max)
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-sub.C():
		for _, q := range queues {
			a := c.activity(q)
			a.mu.Lock()
			a.last = time.Now()
			a.mu.Unlock()
		}
		return nil
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-c.done:
		return driver.ErrClosed
	}
}

// beforeDue shortens a wait that would miss the moment at which a delayed job
// or a lease falls due. An error leaves the wait as it is: the Reserve that
// follows will meet it too.
func (c *Conn) beforeDue(ctx context.Context, queues []string, d time.Duration) time.Duration {
	if d <= longestFile {
		return d
	}
	now := time.Now()
	for _, q := range queues {
		due, err := c.nextDue(ctx, q, now.Unix())
		if err != nil || due == 0 {
			continue
		}
		d = min(d, max(time.Unix(due, 0).Sub(now), 0)+time.Millisecond)
	}
	return d
}

// nextDueText selects when the first delayed job becomes due, and when the
// oldest reservation was made.
func (c *Conn) nextDueText(queue string, now int64) (string, []any) {
	delayed := "SELECT MIN({due}) FROM {table} WHERE queue = ? AND {free} AND {due} > ?"
	if c.db.Dialect().Name != sqldb.MySQL && c.texts.layout.Indexed {
		delayed += "{later}" // what the index holds
	}
	return c.texts.sql("SELECT (" + delayed + "), (SELECT MIN({at}) FROM {table} WHERE queue = ? AND {held})"), []any{queue, now, queue}
}

// nextDue returns the unix second at which the next job of the queue becomes
// available; 0 means that none is delayed or reserved.
func (c *Conn) nextDue(ctx context.Context, queue string, now int64) (int64, error) {
	query, args := c.nextDueText(queue, now)
	var due, lease sql.NullInt64
	err := c.db.SQL().QueryRowContext(ctx, c.db.Rebind(query), args...).Scan(&due, &lease)
	if err != nil {
		return 0, err
	}
	next := due.Int64
	if lease.Valid && !c.keep && (!due.Valid || lease.Int64+c.lease < next) {
		next = lease.Int64 + c.lease
	}
	return next, nil
}
