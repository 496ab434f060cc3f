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

// A look through a queue costs the more the more others stand in it, so what it
// finds is kept: up to maxFound jobs, which the next calls then try to take by
// their ids, for foundLasts, or for lookShare times what the look took.
const (
	maxFound   = maxBatch
	foundLasts = time.Second
	lookShare  = 20
)

// found is what a look through a queue has left.
type found struct {
	s     *driver.Selection
	ids   []int64 // not tried yet, sorted
	above int64   // ready jobs up to this id are looked through; 0: begin anew
	until time.Time
}

// ReserveMatching takes up to max jobs that s matches, at most 1,000 in one
// call. To find them the database reads all available jobs of the queue that
// stand before them, without locking any. It finds up to a thousand at once, for
// the next calls; so a job that becomes available meanwhile, with a lower id, may
// come up to a second later (longer where reading takes so long).
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
	f := a.takeFound(s)
	now := time.Now().Unix()
	ts, err := c.choose(ctx, queue, now, max, s, &f)
	a.keepFound(f)
	if err != nil {
		return nil, c.explain(err)
	}
	got := max
	if len(ts) == 0 {
		got = 0 // else there may be more
	}
	a.reserved(version, got, max)
	return c.deliveries(queue, now, ts), nil
}

// takeFound returns what is known of a queue. Another call begins anew meanwhile.
func (a *activity) takeFound(s *driver.Selection) found {
	a.mu.Lock()
	defer a.mu.Unlock()
	f := a.found
	a.found = found{}
	if f.s != s || time.Now().After(f.until) {
		return found{s: s}
	}
	return f
}

func (a *activity) keepFound(f found) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.found = f
}

// choose takes jobs that were found, and looks for more where there are none.
func (c *Conn) choose(ctx context.Context, queue string, now int64, max int, s *driver.Selection, f *found) ([]taken, error) {
	expired := now - c.lease
	if c.keep {
		expired = -1
	}
	for anew := 0; ; {
		if ts, err := c.claimFound(ctx, now, expired, max, f); err != nil || len(ts) > 0 {
			return ts, err
		}
		begun, above := time.Now(), f.above
		ids, err := c.matching(ctx, queue, now, expired, above, s)
		if err != nil {
			return nil, err
		}
		f.ids = ids
		if above == 0 {
			anew++
			took := time.Since(begun)
			f.until = begun.Add(took + lookShare*took)
			if d := begun.Add(foundLasts); d.After(f.until) {
				f.until = d
			}
		}
		switch {
		case len(ids) >= maxFound:
			f.above = ids[len(ids)-1]
		case len(ids) == 0 && above == 0, anew > 3: // others are quicker each time
			return nil, nil
		default:
			f.above = 0
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
}

// claimFound takes up to max of the jobs that were found and are still there.
func (c *Conn) claimFound(ctx context.Context, now, expired int64, max int, f *found) ([]taken, error) {
	for wide := 2 * max; len(f.ids) > 0; wide *= 4 {
		try := f.ids[:min(wide, len(f.ids))]
		ts, err := c.flow.claim(ctx, try, now, expired, max)
		if err != nil {
			return nil, err
		}
		// Those with the lowest ids are taken, so what stands before the last of
		// them is others' by now, and so is all of it if they are fewer.
		if len(ts) == max {
			at, _ := slices.BinarySearch(f.ids, ts[len(ts)-1].id)
			f.ids = f.ids[at+1:]
		} else {
			f.ids = f.ids[len(try):]
		}
		if len(ts) > 0 {
			return ts, nil
		}
	}
	return nil, nil
}

// matching returns the ids of up to maxFound jobs that s matches and that can be
// reserved, sorted. Of those that were never delayed it looks only at the ones
// above an id.
func (c *Conn) matching(ctx context.Context, queue string, now, expired, above int64, s *driver.Selection) ([]int64, error) {
	query, args := c.matchingText(queue, now, expired, above, s)
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
	return ids[:min(len(ids), maxFound)], rows.Err()
}

// matchingText selects candidates of each kind. Text is compared byte by byte,
// whatever the collation of the column.
func (c *Conn) matchingText(queue string, now, expired, above int64, s *driver.Selection) (string, []any) {
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
	kind := func(of, state, order string, first ...any) string {
		args = append(args, first...)
		for _, t := range texts {
			args = append(args, t)
		}
		args = append(args, maxFound)
		return "(SELECT id FROM {table} WHERE " + of + state + wanted + " ORDER BY " + order + " LIMIT ?)"
	}
	queues := []any{queue, queue}[:strings.Count(of, "?")]
	ready := kind(of, strings.TrimPrefix(isReady, "queue = ?")+" AND id > ?", order, append(queues, now, above)...)
	due := kind("", isDue, "{due}, id", queue, now)
	late := kind("", isLate, "{at}, id", queue, expired)
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
