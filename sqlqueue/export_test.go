package sqlqueue

import (
	"context"

	"github.com/spoolq/spool/sqldb"
)

// SkipsLocked is for tests: servers without it are not at hand.
var SkipsLocked = skipsLocked

// AsOnAnOldServer has a connection to MySQL or MariaDB lock rows as it does on
// servers without SKIP LOCKED.
func AsOnAnOldServer(ctx context.Context, c *Conn) error {
	f := c.flow.(*mysqlFlow)
	known, err := f.facts(ctx)
	if err != nil {
		return err
	}
	known.old = true
	f.mu.Lock()
	defer f.mu.Unlock()
	f.known = &known
	return nil
}

// Statement is one of the hot path, with the indexes that must serve it.
type Statement struct {
	Query   string
	Args    []any
	Indexes []string
}

// HotPath returns the statements whose plans matter.
func HotPath(db *sqldb.DB, queue string, now int64) map[string]Statement {
	c, err := New(db, nil)
	if err != nil {
		panic(err)
	}
	old := now - 90
	all := map[string]Statement{}
	switch f := c.flow.(type) {
	case *sqliteFlow:
		args := []any{queue, now, 10, queue, now, window, queue, old, window, 10}
		all["peek"] = Statement{f.peek, args, []string{"jobs_spool_ready", "jobs_spool_due", "jobs_spool_lease"}}
		all["reserve"] = Statement{f.take, append([]any{now}, args...), all["peek"].Indexes}
		all["delete"] = Statement{"DELETE FROM jobs WHERE id IN (?, ?, ?) AND attempts = ? AND reserved_at IS NOT NULL", []any{1, 2, 3, 1}, []string{"INTEGER PRIMARY KEY"}}
	case *mysqlFlow:
		query, args := f.candidateText(queue, now, old, 120)
		all["candidates"] = Statement{query, args, []string{"jobs_spool_due"}}
		all["delete"] = Statement{"DELETE FROM jobs WHERE id IN (?, ?, ?) AND attempts = ? AND reserved_at IS NOT NULL", []any{1, 2, 3, 1}, []string{"PRIMARY"}}
	case *pgsqlFlow:
		all["reserve"] = Statement{f.take, []any{queue, now, old, 10, window}, []string{"jobs_spool_ready", "jobs_spool_due", "jobs_spool_lease", "jobs_pkey"}}
	}
	due, args := c.nextDueText(queue, now)
	indexes := []string{"jobs_spool_due", "jobs_spool_lease"}
	if db.Dialect().Name == sqldb.MySQL {
		indexes = nil // answered from the index while planning
	}
	all["next due"] = Statement{db.Rebind(due), args, indexes}
	return all
}
