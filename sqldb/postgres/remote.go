package postgres

import (
	"context"
	"database/sql"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/spoolq/spool/sqldb"
	"github.com/spoolq/spool/sqldb/schema"
)

// notifyPause is the shortest time between two notifications of a process. The
// server commits transactions that notify one at a time, so pushes don't carry
// their own; they are told by a statement apart, in which what was announced
// meanwhile is merged.
const notifyPause = 3 * time.Millisecond

// remote carries announcements between processes. Its goroutines start when
// they are first needed and end with close.
type remote struct {
	pool    *sql.DB
	cfg     *pgx.ConnConfig
	signals *sqldb.Signals
	log     *slog.Logger

	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu      sync.Mutex
	closed  bool
	pending map[sqldb.Topic]struct{}
	kick    chan struct{} // pending is not empty; nil until the notifier runs
	tables  map[string]string
	more    chan struct{} // tables grew; nil until the listener runs
}

func newRemote(pool *sql.DB, cfg *pgx.ConnConfig, signals *sqldb.Signals, log *slog.Logger) *remote {
	r := &remote{pool: pool, cfg: cfg, signals: signals, log: log, pending: map[sqldb.Topic]struct{}{}, tables: map[string]string{}}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	return r
}

// close sends what is pending and ends the goroutines.
func (r *remote) close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.cancel()
	r.wg.Wait()
}

// Announce tells other processes of the topic within a few milliseconds.
func (r *remote) Announce(t sqldb.Topic) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return
	}
	r.pending[t] = struct{}{}
	if r.kick == nil {
		r.kick = make(chan struct{}, 1)
		r.wg.Go(r.notify)
	}
	select {
	case r.kick <- struct{}{}:
	default:
	}
}

// notify sends what is pending, then pauses while more gathers.
func (r *remote) notify() {
	for {
		select {
		case <-r.kick:
		case <-r.ctx.Done():
			r.flush()
			return
		}
		pause := notifyPause
		if !r.flush() {
			pause = time.Second // waiters poll meanwhile
		}
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-r.ctx.Done():
			t.Stop()
			r.flush()
			return
		}
	}
}

// flush notifies of everything pending. What failed stays pending.
func (r *remote) flush() bool {
	r.mu.Lock()
	topics := r.pending
	r.pending = map[sqldb.Topic]struct{}{}
	r.mu.Unlock()
	if len(topics) == 0 {
		return true
	}
	channels, queues := make([]string, 0, len(topics)), make([]string, 0, len(topics))
	for t := range topics {
		channels, queues = append(channels, schema.Channel(t.Table)), append(queues, t.Queue)
	}
	// Not r.ctx: the last announcements must get out when it has ended.
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	_, err := r.pool.ExecContext(ctx, "SELECT pg_notify(c, q) FROM unnest($1::text[], $2::text[]) AS m(c, q)", channels, queues)
	if err == nil {
		return true
	}
	r.mu.Lock()
	for t := range topics {
		r.pending[t] = struct{}{}
	}
	if !r.closed {
		select {
		case r.kick <- struct{}{}:
		default:
		}
	}
	r.mu.Unlock()
	return false
}

// Listen makes notifications about the table reach the signals.
func (r *remote) Listen(table string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	channel := schema.Channel(table)
	if _, known := r.tables[channel]; known || r.closed {
		return
	}
	r.tables[channel] = table
	if r.more == nil {
		r.more = make(chan struct{}, 1)
		r.wg.Go(r.listen)
	}
	select {
	case r.more <- struct{}{}:
	default:
	}
}

// wanted returns the channels to listen on, with their tables.
func (r *remote) wanted() map[string]string {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := make(map[string]string, len(r.tables))
	for c, t := range r.tables {
		m[c] = t
	}
	return m
}
