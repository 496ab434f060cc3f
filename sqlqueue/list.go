package sqlqueue

import (
	"context"
	"database/sql"
	"errors"
	"slices"

	"github.com/spoolq/spool/sqldb"
)

// errMissed says that a statement hit fewer rows than it should have.
var errMissed = errors.New("some reservations are lost")

// maxList is the largest list of ids in one statement.
const maxList = 512

// lister settles reservations by lists of ids, on databases where a statement
// can't join an array. It first tries all of them in one statement a group of
// equal attempts; only when the count is short does it undo that and look
// which of them are lost.
type lister struct {
	db    *sqldb.DB
	texts *texts
	// pad rounds the length of lists up, so that few texts are prepared.
	pad bool
}

func (l *lister) settle(ctx context.Context, ch change, items []fence) ([]bool, error) {
	hits := make([]bool, len(items))
	err := l.db.Write(ctx, func(ctx context.Context, tx *sql.Tx) error { return l.all(ctx, l.db.On(tx), ch, items) })
	if err == nil {
		for i := range hits {
			hits[i] = true
		}
		return hits, nil
	}
	if !errors.Is(err, errMissed) {
		return nil, err
	}
	err = l.db.Write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		clear(hits)
		q := l.db.On(tx)
		held, err := l.standing(ctx, q, items)
		if err != nil {
			return err
		}
		var stand []fence
		for i, it := range items {
			// A delivery that is named twice is settled once.
			if hits[i] = held[it.id] == it || it.at < 0 && held[it.id].same(it); hits[i] {
				stand = append(stand, it)
				delete(held, it.id)
			}
		}
		return l.all(ctx, q, ch, stand)
	})
	return hits, err
}

// same compares all but the time of the reservation.
func (f fence) same(g fence) bool { return f.id == g.id && f.attempts == g.attempts }

func (l *lister) settleIn(ctx context.Context, q sqldb.Querier, ch change, item fence) (bool, error) {
	err := l.all(ctx, q, ch, []fence{item})
	if errors.Is(err, errMissed) {
		return false, nil
	}
	return err == nil, err
}

// standing returns the items whose rows are reserved, by id.
func (l *lister) standing(ctx context.Context, q sqldb.Querier, items []fence) (map[int64]fence, error) {
	held := make(map[int64]fence, len(items))
	for chunk := range slices.Chunk(items, maxList) {
		if err := l.look(ctx, q, chunk, held); err != nil {
			return nil, err
		}
	}
	return held, nil
}

// look adds the rows of a chunk of items to held, locked.
func (l *lister) look(ctx context.Context, q sqldb.Querier, chunk []fence, held map[int64]fence) error {
	where, args := l.in(chunk)
	rows, err := q.QueryContext(ctx, l.texts.sql("SELECT id, attempts, {at} FROM {table} WHERE "+where+" AND {held}")+l.texts.d.LockRows, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var f fence
		if err := rows.Scan(&f.id, &f.attempts, &f.at); err != nil {
			return err
		}
		held[f.id] = f
	}
	return rows.Err()
}

// all applies the change to every item, or returns errMissed.
func (l *lister) all(ctx context.Context, q sqldb.Querier, ch change, items []fence) error {
	for len(items) > 0 {
		group := []fence{items[0]}
		var rest []fence
		for _, it := range items[1:] {
			if it.attempts == items[0].attempts && it.at == items[0].at && len(group) < maxList {
				group = append(group, it)
			} else {
				rest = append(rest, it)
			}
		}
		if err := l.group(ctx, q, ch, group); err != nil {
			return err
		}
		items = rest
	}
	return nil
}

// group applies the change to items of equal attempts and time.
func (l *lister) group(ctx context.Context, q sqldb.Querier, ch change, items []fence) error {
	where, args := l.in(items)
	where = " WHERE " + where + " AND attempts = ? AND " + l.texts.held
	args = append(args, items[0].attempts)
	if items[0].at >= 0 {
		where += " AND " + l.texts.layout.ReservedAt + " = ?"
		args = append(args, items[0].at)
	}
	run := func(text string, first ...any) error {
		res, err := q.ExecContext(ctx, text, append(first, args...)...)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n != int64(len(items)) {
			return errors.Join(err, errMissed)
		}
		return nil
	}
	switch ch.kind {
	case toExtend:
		return run(l.texts.extend+where, ch.now)
	case toRelease, toReturn:
		again := l.texts.release
		if ch.kind == toReturn {
			again = l.texts.back
		}
		if err := run(again+where+" ORDER BY id", ch.available, ch.now); err != nil {
			return err
		}
	}
	return run(l.texts.remove + where)
}

// in returns the condition on the ids of items and its arguments.
func (l *lister) in(items []fence) (string, []any) {
	n := len(items)
	if l.pad {
		for n = 1; n < len(items); n *= 2 {
		}
	}
	args := make([]any, n, n+4)
	for i := range args {
		args[i] = items[min(i, len(items)-1)].id
	}
	return "id IN (" + sqldb.Marks(n) + ")", args
}
