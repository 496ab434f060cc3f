package sqlqueue

import (
	"context"
	"database/sql"
	"slices"
	"strings"
	"time"

	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/sqldb"
)

// maxWide is how many candidates of a selection are looked for at most, when
// others keep taking them.
const maxWide = 10 * maxBatch

// ReserveMatching takes up to max jobs that s matches, at most 1,000 in one
// call. The database reads every available job of the queue that stands before
// them, without locking it.
func (c *Conn) ReserveMatching(ctx context.Context, queue string, max int, s *driver.Selection) ([]driver.Reservation, error) {
	if c.closed() {
		return nil, driver.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if max <= 0 || len(s.Keys) == 0 || len(s.Names) == 0 {
		return nil, nil
	}
	max = min(max, maxBatch)
	a := c.activity(queue)
	version := c.db.Signals().Version(c.topic(queue))
	now := time.Now().Unix()
	expired := now - c.lease
	if c.keep {
		expired = -1
	}
	ts, err := c.choose(ctx, queue, now, expired, max, s)
	if err != nil {
		return nil, c.explain(err)
	}
	a.reserved(version, len(ts), max)
	return c.deliveries(queue, now, ts), nil
}

// choose looks for candidates without locks, and then takes those of them that
// are still there. Where others were quicker it looks further.
func (c *Conn) choose(ctx context.Context, queue string, now, expired int64, max int, s *driver.Selection) ([]taken, error) {
	for wide := 2*max + 100; ; wide *= 4 {
		ids, err := c.matching(ctx, queue, now, expired, wide, s)
		if err != nil || len(ids) == 0 {
			return nil, err
		}
		ts, err := c.flow.claim(ctx, ids, now, expired, max)
		if err != nil || len(ts) > 0 || len(ids) < wide || wide > maxWide {
			return ts, err
		}
	}
}

// matching returns the ids of up to n jobs that s matches and that can be
// reserved, sorted.
func (c *Conn) matching(ctx context.Context, queue string, now, expired int64, n int, s *driver.Selection) ([]int64, error) {
	query, args := c.matchingText(queue, now, expired, n, s)
	rows, err := c.db.SQL().QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var ids []int64
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids[:min(len(ids), n)], rows.Err()
}

// matchingText selects candidates of each kind. Text is compared byte by byte,
// whatever the collation of the column.
func (c *Conn) matchingText(queue string, now, expired int64, n int, s *driver.Selection) (string, []any) {
	has, of, order := "instr(payload, ?) > 0", "queue = ?", "id"
	switch c.db.Dialect().Name {
	case sqldb.MySQL:
		has = "LOCATE(CAST(? AS BINARY), payload) > 0"
	case sqldb.Postgres:
		// As in Reserve, a range, so that the index on (queue, id) serves it.
		has, of, order = "strpos(payload, ?) > 0", "queue >= ? AND queue <= ?", "queue, id"
	}
	texts := s.Texts()
	wanted := " AND (" + has + strings.Repeat(" OR "+has, len(texts)-1) + ")"
	var args []any
	kind := func(of, state, order string, queues int, at int64) string {
		for range queues {
			args = append(args, queue)
		}
		args = append(args, at)
		for _, t := range texts {
			args = append(args, t)
		}
		args = append(args, n)
		return "(SELECT id FROM {table} WHERE " + of + state + wanted + " ORDER BY " + order + " LIMIT ?)"
	}
	ready := kind(of, strings.TrimPrefix(isReady, "queue = ?"), order, strings.Count(of, "?"), now)
	due := kind("", isDue, "{due}, id", 1, now)
	late := kind("", isLate, "{at}, id", 1, expired)
	return c.db.Rebind(c.texts.sql("SELECT id FROM " + ready + " AS r UNION SELECT id FROM " + due + " AS d UNION SELECT id FROM " + late + " AS l")), args
}

// stillFree is the condition of a candidate that can be reserved; its arguments
// are now and the time of expiry.
const stillFree = "({free} AND {due} <= ? OR {held} AND {at} <= ?)"

func (f *sqliteFlow) claim(ctx context.Context, ids []int64, now, expired int64, max int) ([]taken, error) {
	text := f.texts.sql("UPDATE {table} SET {mark} = ?, attempts = {next} WHERE id IN (SELECT id FROM {table} WHERE id IN (" +
		sqldb.Marks(len(ids)) + ") AND " + stillFree + " ORDER BY id LIMIT ?) RETURNING id, attempts, payload")
	args := append([]any{now}, anys(ids)...)
	args = append(args, now, expired, max)
	var ts []taken
	err := f.db.Write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		rows, err := tx.QueryContext(ctx, text, args...)
		if err != nil {
			return err
		}
		ts, err = scan(rows, 0)
		return err
	})
	return ts, err
}

func (f *mysqlFlow) claim(ctx context.Context, ids []int64, now, expired int64, max int) ([]taken, error) {
	facts, err := f.facts(ctx)
	if err != nil {
		return nil, err
	}
	return f.take(ctx, ids, now, expired, max, facts)
}

func (f *pgsqlFlow) claim(ctx context.Context, ids []int64, now, expired int64, max int) ([]taken, error) {
	ctx, cancel := moving(ctx)
	defer cancel()
	text := f.db.Rebind(f.texts.sql("UPDATE {table} SET {mark} = ?, attempts = CASE WHEN {count} < 32767 THEN {next} ELSE attempts END" +
		" WHERE id = ANY(ARRAY(SELECT id FROM {table} WHERE id = ANY(?::bigint[]) AND " + stillFree +
		" ORDER BY id LIMIT ? FOR UPDATE SKIP LOCKED)) RETURNING id, attempts, payload"))
	var ts []taken
	err := f.db.Run(ctx, func(ctx context.Context, q sqldb.Querier) error {
		rows, err := q.QueryContext(ctx, text, now, ids, now, expired, max)
		if err != nil {
			return err
		}
		ts, err = scan(rows, smallintMax)
		return err
	})
	return ts, err
}

func anys(ids []int64) []any {
	as := make([]any, len(ids))
	for i, id := range ids {
		as[i] = id
	}
	return as
}
