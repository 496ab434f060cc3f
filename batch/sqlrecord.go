package batch

import (
	"context"
	"database/sql"
	"slices"
	"strings"
	"time"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/sqldb"
)

var endColumns = []string{"batch_id", "job_uuid", "failed"}

// Record implements [spool.BatchCounter]: one transaction, in which each batch's
// row is locked, as Laravel locks it, and written once.
func (s *SQL) Record(ctx context.Context, ends []spool.BatchEnd) (changes []spool.BatchChange, err error) {
	beside, maxIDs, err := s.look(ctx)
	if err != nil || len(ends) == 0 {
		return nil, err
	}
	ids, of := byBatch(ends)
	err = s.db.Write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		changes = changes[:0] // it may be called again
		q := s.db.On(tx)
		// All locks come before the first plain read: MySQL's later reads see
		// what was there at that moment.
		rows, err := s.lock(ctx, q, ids)
		if err != nil {
			return err
		}
		for _, r := range rows {
			c, changed, err := s.recordOne(ctx, q, r, of[r.ID], beside, maxIDs)
			if err != nil {
				return err
			}
			if changed {
				changes = append(changes, c)
			}
		}
		return nil
	})
	return changes, err
}

// recordOne counts the ends of one batch, whose row is locked.
func (s *SQL) recordOne(ctx context.Context, q sqldb.Querier, r *row, ends []spool.BatchEnd, beside bool, maxIDs int) (c spool.BatchChange, changed bool, err error) {
	t := &tally{allow: true, failing: setOf(r.ids), order: r.ids, marks: map[string]mark{}}
	if t.BatchCounts, err = s.counts(ctx, q, r, beside, maxIDs); err != nil {
		return c, false, err
	}
	stored := map[string]mark{} // what the table of ends says by now
	if beside {
		if stored, err = s.insertMarks(ctx, q, r.ID, ends, t.marks); err != nil {
			return c, false, err
		}
	}
	var options spool.BatchOptions
	read := false
	for _, e := range ends {
		if e.Failed && !read && r.CancelledAt.IsZero() {
			if options, err = s.options(ctx, q, r.ID); err != nil {
				return c, false, err
			}
			t.allow, read = options.AllowFailures, true
		}
	}
	c = spool.BatchChange{ID: r.ID, Before: t.BatchCounts}
	for _, e := range ends {
		t.end(e.UUID, e.Failed)
	}
	if len(t.changed) == 0 {
		return c, false, nil
	}
	c.After = t.BatchCounts
	now := time.Now().Unix()
	if beside {
		if err := s.updateMarks(ctx, q, r.ID, t, stored); err != nil {
			return c, false, err
		}
		if events := c.Events(); len(events) > 0 {
			if !read {
				if options, err = s.options(ctx, q, r.ID); err != nil {
					return c, false, err
				}
			}
			if err := s.oweToPHP(ctx, q, r.ID, events, options.PHP); err != nil {
				return c, false, err
			}
		}
	}
	var failing []string
	if len(t.order) > 0 {
		failing = t.ids()
		failing = failing[:min(len(failing), maxIDs)]
	}
	return c, true, s.update(ctx, q, r, c.After, failing, now)
}

// options reads the options of a batch.
func (s *SQL) options(ctx context.Context, q sqldb.Querier, id string) (spool.BatchOptions, error) {
	var text sql.NullString
	if err := q.QueryRowContext(ctx, s.text("SELECT options FROM {t} WHERE id = ?", s.table), id).Scan(&text); err != nil {
		return spool.BatchOptions{}, err
	}
	return decodeOptions(text.String, s.db.Dialect().Name == sqldb.Postgres)
}

// padded returns a length for a list of placeholders, so that few different
// statements have to be prepared.
func padded(n int) int {
	for size := 1; ; size *= 4 {
		if n <= size {
			return size
		}
	}
}

// insertMarks stores the ends of members that had none, and returns what is
// stored now. How the others had ended before is put into marks.
func (s *SQL) insertMarks(ctx context.Context, q sqldb.Querier, id string, ends []spool.BatchEnd, marks map[string]mark) (stored map[string]mark, err error) {
	stored = make(map[string]mark, len(ends))
	uuids := make([]string, 0, len(ends))
	for _, e := range ends {
		if stored[e.UUID] == unended {
			uuids = append(uuids, e.UUID)
			if stored[e.UUID] = done; e.Failed {
				stored[e.UUID] = failed
			}
		}
	}
	// The batch is locked: nothing changes between the two.
	if err := s.readMarks(ctx, q, id, uuids, marks); err != nil {
		return nil, err
	}
	uuids = slices.DeleteFunc(uuids, func(uuid string) bool { return marks[uuid] != unended })
	if len(uuids) > 0 {
		_, err = q.ExecContext(ctx, s.insertEnds(len(uuids)), endArgs(id, uuids, stored)...)
	}
	for uuid, m := range marks {
		stored[uuid] = m
	}
	return stored, err
}

// insertEnds inserts rows for n members, some of them more than once, and passes
// over those there are.
func (s *SQL) insertEnds(n int) string {
	d := s.db.Dialect()
	update := " ON CONFLICT (batch_id, job_uuid) DO NOTHING"
	if d.Name == sqldb.MySQL {
		update = " ON DUPLICATE KEY UPDATE batch_id = VALUES(batch_id)"
	}
	return d.Insert(s.ends, endColumns, padded(n)) + update
}

// endArgs are the arguments of insertEnds.
func endArgs(id string, uuids []string, stored map[string]mark) []any {
	n := padded(len(uuids))
	args := make([]any, 0, n*len(endColumns))
	for i := range n {
		uuid, hasFailed := uuids[min(i, len(uuids)-1)], 0
		if stored[uuid] == failed {
			hasFailed = 1
		}
		args = append(args, id, uuid, hasFailed)
	}
	return args
}

// readMarks reads how members have ended before.
func (s *SQL) readMarks(ctx context.Context, q sqldb.Querier, id string, uuids []string, marks map[string]mark) error {
	args := make([]any, 1, 1+padded(len(uuids)))
	args[0] = id
	for i := range padded(len(uuids)) {
		args = append(args, uuids[min(i, len(uuids)-1)])
	}
	rows, err := q.QueryContext(ctx, s.text("SELECT job_uuid, failed FROM {t} WHERE batch_id = ? AND job_uuid IN ("+sqldb.Marks(len(args)-1)+")", s.ends), args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var uuid string
		var hasFailed int
		if err := rows.Scan(&uuid, &hasFailed); err != nil {
			return err
		}
		marks[uuid] = done
		if hasFailed != 0 {
			marks[uuid] = failed
		}
	}
	return rows.Err()
}

// updateMarks stores that members that had failed are done.
func (s *SQL) updateMarks(ctx context.Context, q sqldb.Querier, id string, t *tally, stored map[string]mark) error {
	var mended []string
	for _, uuid := range t.changed {
		if t.marks[uuid] == done && stored[uuid] == failed {
			stored[uuid] = done
			mended = append(mended, uuid)
		}
	}
	if len(mended) == 0 {
		return nil
	}
	where, args := in("job_uuid", mended)
	_, err := q.ExecContext(ctx, s.text("UPDATE {t} SET failed = 0 WHERE batch_id = ? AND "+where, s.ends), append([]any{id}, args...)...)
	return err
}

var callbackColumns = []string{"batch_id", "uuid", "event", "due_at", "claims"}

// The values of due_at besides the Unix time from which a callback may be
// claimed: null is one that was pushed, less than 0 one that has run.

// oweToPHP stores that PHP waits for events that a batch has come to.
func (s *SQL) oweToPHP(ctx context.Context, q sqldb.Querier, id string, events, php []spool.BatchEvent) error {
	for _, e := range events {
		for _, waits := range php {
			if e != waits {
				continue
			}
			query := s.db.Dialect().InsertNew(s.callbacks, callbackColumns, []string{"batch_id", "uuid"})
			if _, err := q.ExecContext(ctx, query, id, spool.PHPCallbackID(id, e), string(e), 0, 0); err != nil {
				return err
			}
		}
	}
	return nil
}

// Claim implements [spool.BatchCallbackStore].
func (s *SQL) Claim(ctx context.Context, id string, events []spool.BatchEvent) (claimed []spool.ClaimedCallback, err error) {
	beside, _, err := s.look(ctx)
	if err != nil {
		return nil, err
	}
	names := make([]string, len(events))
	for i, e := range events {
		names[i] = string(e)
	}
	if !beside {
		return s.declared(ctx, id, events)
	}
	err = s.db.Write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		claimed = claimed[:0]
		q := s.db.On(tx)
		now := time.Now()
		where, args := in("event", names)
		rows, err := q.QueryContext(ctx, s.text("SELECT uuid, event, claims FROM {t} WHERE batch_id = ? AND due_at BETWEEN 0 AND ? AND "+where+" ORDER BY uuid"+s.db.Dialect().LockRows, s.callbacks),
			append([]any{id, now.Unix()}, args...)...)
		if err != nil {
			return err
		}
		defer rows.Close()
		var uuids []string
		for rows.Next() {
			var c spool.ClaimedCallback
			if err := rows.Scan(&c.UUID, &c.Event, &c.N); err != nil {
				return err
			}
			c.N++
			claimed, uuids = append(claimed, c), append(uuids, c.UUID)
		}
		if err := rows.Err(); err != nil || len(uuids) == 0 {
			return err
		}
		rows.Close()
		where, args = in("uuid", uuids)
		_, err = q.ExecContext(ctx, s.text("UPDATE {t} SET due_at = ?, claims = claims + 1 WHERE batch_id = ? AND "+where, s.callbacks),
			append([]any{now.Add(claimTime).Unix(), id}, args...)...)
		return err
	})
	return claimed, err
}

// declared returns the callbacks of events where nothing says which are owed.
func (s *SQL) declared(ctx context.Context, id string, events []spool.BatchEvent) (cs []spool.ClaimedCallback, err error) {
	r, err := s.Find(ctx, id)
	for _, e := range events {
		for _, c := range r.Options.Callbacks {
			if c.Event == e {
				cs = append(cs, spool.ClaimedCallback{UUID: c.UUID, Event: e})
			}
		}
		for _, php := range r.Options.PHP {
			if php == e {
				cs = append(cs, spool.ClaimedCallback{UUID: spool.PHPCallbackID(id, e), Event: e})
			}
		}
	}
	return cs, err
}

// Mark implements [spool.BatchCallbackStore].
func (s *SQL) Mark(ctx context.Context, id, uuid string, state spool.CallbackState) error {
	if beside, _, err := s.look(ctx); err != nil || !beside {
		return err
	}
	set, and := "NULL", " AND due_at >= 0"
	if state == spool.CallbackRan {
		set, and = "-1", ""
	}
	return s.db.Run(ctx, func(ctx context.Context, q sqldb.Querier) error {
		_, err := q.ExecContext(ctx, s.text("UPDATE {t} SET due_at = "+set+" WHERE batch_id = ? AND uuid = ?"+and, s.callbacks), id, uuid)
		return err
	})
}

// Begin implements [spool.BatchCallbackStore].
func (s *SQL) Begin(ctx context.Context, id, uuid string, n int) (may bool, err error) {
	if beside, _, err := s.look(ctx); err != nil || !beside {
		return true, err
	}
	err = s.db.Run(ctx, func(ctx context.Context, q sqldb.Querier) error {
		res, err := q.ExecContext(ctx, s.text("UPDATE {t} SET due_at = NULL WHERE batch_id = ? AND uuid = ? AND claims = ? AND (due_at IS NULL OR due_at >= 0)", s.callbacks), id, uuid, n)
		if err != nil {
			return err
		}
		rows, err := res.RowsAffected()
		may = rows > 0
		return err
	})
	if err != nil || may {
		return may, err
	}
	known, err := s.column(ctx, s.text("SELECT uuid FROM {t} WHERE batch_id = ? AND uuid = ?", s.callbacks), id, uuid)
	return len(known) == 0, err
}

// owedPage is how many callbacks Owed reads at a time.
const owedPage = 500

// Owed implements [spool.BatchCallbackStore].
func (s *SQL) Owed(ctx context.Context, limit int) (owed []string, err error) {
	if beside, _, err := s.look(ctx); err != nil || !beside {
		return nil, err
	}
	for after := ""; ; {
		ids, events, err := s.unpushed(ctx, after)
		if err != nil || len(ids) == 0 {
			return owed, err
		}
		due, err := s.come(ctx, ids, events)
		if err != nil {
			return owed, err
		}
		if owed = append(owed, due...); len(owed) >= limit {
			return owed[:limit], nil
		}
		after = ids[len(ids)-1]
	}
}

// unpushed returns batches behind one that have callbacks to be claimed, and the
// events those wait for.
func (s *SQL) unpushed(ctx context.Context, after string) (ids []string, events map[string]string, err error) {
	rows, err := s.db.SQL().QueryContext(ctx, s.text("SELECT DISTINCT batch_id, event FROM {t} WHERE due_at BETWEEN 0 AND ? AND batch_id > ? ORDER BY batch_id LIMIT ?", s.callbacks),
		time.Now().Unix(), after, owedPage)
	if err != nil {
		return nil, nil, err
	}
	defer rows.Close()
	events = map[string]string{}
	n := 0
	for rows.Next() {
		var id, event string
		if err := rows.Scan(&id, &event); err != nil {
			return nil, nil, err
		}
		if n++; events[id] == "" {
			ids = append(ids, id)
		}
		events[id] += " " + event
	}
	if n == owedPage && len(ids) > 1 { // the last one may have more
		delete(events, ids[len(ids)-1])
		ids = ids[:len(ids)-1]
	}
	return ids, events, rows.Err()
}

// come returns which of the batches may have come to an event that they have
// callbacks for.
func (s *SQL) come(ctx context.Context, ids []string, events map[string]string) (due []string, err error) {
	where, args := in("id", ids)
	rows, err := s.db.SQL().QueryContext(ctx, s.text("SELECT "+numbers+" FROM {t} WHERE "+where, s.table), args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		r, err := scanNumbers(rows)
		if err != nil {
			return nil, err
		}
		c := r.BatchRecord.Counts()
		c.Failing = c.Failed // at most
		for _, e := range c.Events() {
			if strings.Contains(events[r.ID], string(e)) {
				due = append(due, r.ID)
				break
			}
		}
	}
	return due, rows.Err()
}
