package sqlqueue

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"time"

	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/sqldb"
)

// Push stores the messages. On PostgreSQL and SQLite all of them or none; on
// MySQL those of one statement (1,000, or as many as fit in a packet) together.
func (c *Conn) Push(ctx context.Context, queue string, ms []driver.Message) ([]string, error) {
	rows, err := c.accept(ctx, ms)
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	ids, err := c.flow.insert(ctx, queue, rows)
	if len(ids) > 0 {
		c.db.Announce(c.topic(queue))
	}
	return ids, c.explain(err)
}

// accept checks the messages and turns them into rows.
func (c *Conn) accept(ctx context.Context, ms []driver.Message) ([]row, error) {
	if c.closed() {
		return nil, driver.ErrClosed
	}
	t, err := c.traits(ctx)
	if err != nil {
		return nil, c.explain(err)
	}
	if err := t.Check(ms); err != nil {
		return nil, err
	}
	now := time.Now()
	rows := make([]row, len(ms))
	for i, m := range ms {
		rows[i] = row{available: dueAt(now, m.Delay), created: now.Unix(), body: m.Body}
	}
	return rows, nil
}

// PushTx is Push within tx, a *sql.Tx of the same database or a transaction
// type that the package that opened the database knows (pgx.Tx for
// PostgreSQL).
func (c *Conn) PushTx(ctx context.Context, tx any, queue string, ms []driver.Message) ([]string, error) {
	rows, err := c.accept(ctx, ms)
	if err != nil {
		return nil, err
	}
	t, ok := c.db.WrapTx(tx)
	if !ok {
		return nil, fmt.Errorf("%w: a %T is not one of %s", driver.ErrForeignTx, tx, c.db.Dialect().Name)
	}
	switch ours, err := c.db.Holds(ctx, t); {
	case err != nil:
		return nil, err
	case !ours:
		return nil, driver.ErrForeignTx
	}
	ids := make([]string, 0, len(rows))
	for len(rows) > 0 {
		n := min(len(rows), 500)
		some, err := c.insertTx(ctx, t, queue, rows[:n])
		if err != nil {
			return ids, c.explain(err)
		}
		ids = append(ids, some...)
		rows = rows[n:]
	}
	return ids, nil
}

// insertTx stores rows with text and arguments that any driver of the
// database understands, since the transaction may be one of another SDK.
func (c *Conn) insertTx(ctx context.Context, tx sqldb.Tx, queue string, rows []row) ([]string, error) {
	args := make([]any, 0, 4*len(rows))
	for _, r := range rows {
		args = append(args, queue, r.available, r.created, string(r.body))
	}
	query := c.texts.rows(len(rows))
	if c.db.Dialect().Returning {
		return tx.Column(ctx, c.db.Rebind(query+" RETURNING id"), args...)
	}
	if _, err := tx.Column(ctx, query, args...); err != nil {
		return nil, err
	}
	col, err := tx.Column(ctx, "SELECT LAST_INSERT_ID() UNION ALL SELECT @@auto_increment_increment")
	if err != nil || len(col) != 2 {
		return nil, fmt.Errorf("reading the ids of the new rows: %w", err)
	}
	first, err1 := strconv.ParseInt(col[0], 10, 64)
	step, err2 := strconv.ParseInt(col[1], 10, 64)
	if err1 != nil || err2 != nil {
		return nil, fmt.Errorf("reading the ids of the new rows: %q", col)
	}
	return sequence(first, step, len(rows)), nil
}

// sequence are the ids that a multi-row insert was given.
func sequence(first, step int64, n int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = strconv.FormatInt(first+int64(i)*step, 10)
	}
	return ids
}

// PushedTx wakes those who wait for the queue.
func (c *Conn) PushedTx(queue string) { c.db.Announce(c.topic(queue)) }

// Database returns the pool the jobs live in.
func (c *Conn) Database() *sql.DB { return c.db.SQL() }
