package sqlqueue

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/sqldb"
)

// clearBatch is how many rows one statement of Clear deletes, so that neither
// a transaction nor the lock of a SQLite file is held for long.
const clearBatch = 10000

// Size counts the jobs of a queue, in one snapshot.
func (c *Conn) Size(ctx context.Context, queue string) (driver.Size, error) {
	if c.closed() {
		return driver.Size{}, driver.ErrClosed
	}
	count := "(SELECT COUNT(*) FROM {table} WHERE queue = ?"
	now := time.Now().Unix()
	// The job that waits longest is the first that was never delayed, or the
	// delayed one that fell due first.
	oldest := "(SELECT {due} FROM {table} WHERE " + isReady + " ORDER BY queue, id LIMIT 1), (SELECT MIN({due}) FROM {table} WHERE " + isDue + ")"
	if c.db.Dialect().Name == sqldb.MySQL || !c.texts.layout.Indexed {
		free := "(SELECT MIN({due}) FROM {table} WHERE queue = ? AND {free} AND {due} <= ?)"
		oldest = free + ", " + free
	}
	var total, reserved, delayed int64
	var ready, due sql.NullInt64
	err := c.db.SQL().QueryRowContext(ctx, c.db.Rebind(c.texts.sql("SELECT "+count+"), "+
		count+" AND {held}), "+count+" AND {free} AND {due} > ?), "+oldest)),
		queue, queue, queue, now, queue, now, queue, now).Scan(&total, &reserved, &delayed, &ready, &due)
	if err != nil {
		return driver.Size{}, c.explain(err)
	}
	s := driver.Size{Pending: total - reserved - delayed, Delayed: delayed, Reserved: reserved}
	switch {
	case ready.Valid && (!due.Valid || ready.Int64 <= due.Int64):
		s.Oldest = time.Unix(ready.Int64, 0)
	case due.Valid:
		s.Oldest = time.Unix(due.Int64, 0)
	}
	return s, nil
}

// inState returns the condition of a state and its argument.
func inState(s driver.State) (where string, arg int64, err error) {
	now := time.Now().Unix()
	switch s {
	case driver.Pending:
		return "{free} AND {due} <= ?", now, nil
	case driver.Delayed:
		return "{free} AND {due} > ?", now, nil
	case driver.Reserved:
		return "{held} AND ? = 0", 0, nil
	}
	return "", 0, fmt.Errorf("sqlqueue: the state %q is not known", s)
}

// List returns entries by id; the cursor is the last id of a page.
func (c *Conn) List(ctx context.Context, queue string, state driver.State, cursor string, max int) ([]driver.Entry, string, error) {
	if c.closed() {
		return nil, "", driver.ErrClosed
	}
	where, now, err := inState(state)
	if err != nil {
		return nil, "", err
	}
	after := int64(0)
	if cursor != "" {
		if after, err = strconv.ParseInt(cursor, 10, 64); err != nil {
			return nil, "", fmt.Errorf("sqlqueue: the cursor %q is not one that List returned", cursor)
		}
	}
	if max <= 0 {
		return nil, cursor, nil
	}
	rows, err := c.db.SQL().QueryContext(ctx, c.db.Rebind(c.texts.sql("SELECT id, {count}, payload, COALESCE({at}, 0), COALESCE({due}, 0), COALESCE({made}, 0) FROM {table}"+
		" WHERE queue = ? AND "+where+" AND id > ? ORDER BY id LIMIT ?")), queue, now, after, max+1)
	if err != nil {
		return nil, "", c.explain(err)
	}
	defer rows.Close()
	var entries []driver.Entry
	for rows.Next() {
		var e driver.Entry
		var reserved, available, created int64
		if err := rows.Scan(&e.ID, &e.Attempts, &e.Body, &reserved, &available, &created); err != nil {
			return nil, "", err
		}
		if e.State = state; created > 0 {
			e.Created = time.Unix(created, 0)
		}
		switch state {
		case driver.Delayed:
			e.At = time.Unix(available, 0)
		case driver.Reserved:
			e.At = time.Unix(reserved+c.lease, 0)
			if c.texts.layout.CountsLater {
				e.Attempts++ // the delivery at hand
			}
			e.Expired = !e.At.After(time.Now())
		}
		entries = append(entries, e)
	}
	if len(entries) > max {
		entries = entries[:max]
		return entries, entries[max-1].ID, rows.Err()
	}
	return entries, "", rows.Err()
}

// Queues returns the names of the queues that hold jobs, one look into the
// index for each.
func (c *Conn) Queues(ctx context.Context) ([]string, error) {
	if c.closed() {
		return nil, driver.ErrClosed
	}
	t := c.db.Dialect().Ident(c.table)
	query := "WITH RECURSIVE q(name) AS (SELECT MIN(queue) FROM " + t +
		" UNION ALL SELECT (SELECT MIN(queue) FROM " + t + " WHERE queue > q.name) FROM q WHERE q.name IS NOT NULL)" +
		" SELECT name FROM q WHERE name IS NOT NULL"
	if f, ok := c.flow.(*mysqlFlow); ok {
		facts, err := f.facts(ctx)
		if err != nil {
			return nil, c.explain(err)
		}
		if facts.old { // and has no such recursion
			query = "SELECT DISTINCT queue FROM " + t + " WHERE queue IS NOT NULL"
		}
	}
	rows, err := c.db.SQL().QueryContext(ctx, query)
	if err != nil {
		return nil, c.explain(err)
	}
	defer rows.Close()
	var names []string
	for rows.Next() {
		var n string
		if err := rows.Scan(&n); err != nil {
			return nil, err
		}
		names = append(names, n)
	}
	slices.Sort(names) // the database's collation may order them otherwise
	return names, rows.Err()
}

// Clear deletes the jobs that the queue held when it was called, in batches.
func (c *Conn) Clear(ctx context.Context, queue string) (int64, error) {
	if c.closed() {
		return 0, driver.ErrClosed
	}
	t := c.db.Dialect().Ident(c.table)
	var last sql.NullInt64
	if err := c.db.SQL().QueryRowContext(ctx, c.db.Rebind("SELECT MAX(id) FROM "+t+" WHERE queue = ?"), queue).Scan(&last); err != nil {
		return 0, c.explain(err)
	}
	query := "DELETE FROM " + t + " WHERE id IN (SELECT id FROM " + t + " WHERE queue = ? AND id <= ? LIMIT ?)"
	if c.db.Dialect().Name == sqldb.MySQL {
		query = "DELETE FROM " + t + " WHERE queue = ? AND id <= ? LIMIT ?"
	}
	var total int64
	for {
		n, err := c.exec(ctx, query, queue, last.Int64, clearBatch)
		total += n
		if err != nil || n < clearBatch {
			return total, err
		}
	}
}

// Rescue makes jobs available whose lease has run out.
func (c *Conn) Rescue(ctx context.Context, queue string, max int) (int, error) {
	if c.closed() {
		return 0, driver.ErrClosed
	}
	if max <= 0 {
		return 0, nil
	}
	query := "UPDATE {table} SET {expire} WHERE id IN (SELECT id FROM {table} WHERE " + isLate + " ORDER BY {at}, id LIMIT ?" + c.db.Dialect().SkipLocked + ")"
	if c.db.Dialect().Name == sqldb.MySQL {
		query = "UPDATE {table} SET {expire} WHERE " + isLate + " ORDER BY {at}, id LIMIT ?"
	}
	n, err := c.exec(ctx, c.texts.sql(query), queue, time.Now().Unix()-c.lease, max)
	if n > 0 {
		c.db.Announce(c.topic(queue))
	}
	return int(n), err
}

// exec runs one statement and returns how many rows it changed.
func (c *Conn) exec(ctx context.Context, query string, args ...any) (int64, error) {
	var n int64
	err := c.db.Run(ctx, func(ctx context.Context, q sqldb.Querier) error {
		res, err := q.ExecContext(ctx, c.db.Rebind(query), args...)
		if err != nil {
			return err
		}
		n, err = res.RowsAffected()
		return err
	})
	return n, c.explain(err)
}
