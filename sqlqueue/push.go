package sqlqueue

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strconv"
	"time"
	"unicode/utf16"
	"unicode/utf8"

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
	last := c.lastLetter(ctx)
	for i, m := range ms {
		body, ok := narrow(m.Body, last)
		if !ok {
			return nil, &driver.LimitError{Index: i, What: "text", Why: "the column payload of table " + c.table + " takes letters of three bytes only (utf8), and this body, which has longer ones, is no JSON in which they could be escaped: make the column utf8mb4"}
		}
		rows[i] = row{available: dueAt(now, m.Delay), created: now.Unix(), body: body}
	}
	return rows, nil
}

// lastLetter is the last letter that the payload column takes.
func (c *Conn) lastLetter(ctx context.Context) rune {
	if m, ok := c.flow.(*mysqlFlow); ok {
		if f, err := m.facts(ctx); err == nil {
			return f.last
		}
	}
	return utf8.MaxRune
}

// narrow makes a body fit for a column that takes letters up to last (MySQL's
// old utf8 ends at U+FFFF): JSON gets \u escapes, which mean the same. ok is
// false where that can't be.
func narrow(body []byte, last rune) (fit []byte, ok bool) {
	wide := func(r rune) bool { return r > last }
	if last >= utf8.MaxRune || !bytes.ContainsFunc(body, wide) {
		return body, true
	}
	if !json.Valid(body) {
		return nil, false
	}
	fit = make([]byte, 0, len(body)+len(body)/4)
	for len(body) > 0 {
		r, n := utf8.DecodeRune(body)
		if !wide(r) {
			fit = append(fit, body[:n]...)
		} else {
			high, low := utf16.EncodeRune(r)
			fit = fmt.Appendf(fit, `\u%04x\u%04x`, high, low)
		}
		body = body[n:]
	}
	return fit, true
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
