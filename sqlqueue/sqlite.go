package sqlqueue

import (
	"context"
	"database/sql"
	"slices"
	"strconv"
	"sync"

	"github.com/spoolq/spool/sqldb"
)

// sqliteFlow moves jobs on SQLite, through the one writer of the file.
type sqliteFlow struct {
	db    *sqldb.DB
	texts *texts
	peek  string // ids of jobs that can be reserved
	take  string // reserves them

	empty sync.Map // queue -> true: the last reserve found nothing
}

func newSQLiteFlow(db *sqldb.DB, texts *texts) *sqliteFlow {
	peek := texts.sql("SELECT id FROM (" +
		"SELECT id FROM (SELECT id FROM {table} WHERE " + isReady + " ORDER BY id LIMIT ?)" +
		" UNION ALL SELECT id FROM (SELECT id FROM {table} WHERE " + isDue + " ORDER BY {due}, id LIMIT ?)" +
		" UNION ALL SELECT id FROM (SELECT id FROM {table} WHERE " + isLate + " ORDER BY {at}, id LIMIT ?)" +
		") ORDER BY id LIMIT ?")
	return &sqliteFlow{
		db: db, texts: texts, peek: peek,
		take: texts.sql("UPDATE {table} SET {mark} = ?, attempts = {next} WHERE id IN (") + peek + ") RETURNING id, attempts, payload",
	}
}

func (f *sqliteFlow) lister() *lister { return &lister{db: f.db, texts: f.texts, pad: true} }

func (f *sqliteFlow) settle(ctx context.Context, ch change, items []fence) ([]bool, error) {
	return f.lister().settle(ctx, ch, items)
}

func (f *sqliteFlow) settleIn(ctx context.Context, q sqldb.Querier, ch change, item fence) (bool, error) {
	return f.lister().settleIn(ctx, q, ch, item)
}

// insert runs the prepared statement of one row again and again, which costs
// less than parsing a long one. Bodies are bound as text, as PHP reads them.
func (f *sqliteFlow) insert(ctx context.Context, queue string, rows []row) ([]string, error) {
	var ids []string
	err := f.db.Write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		q := f.db.On(tx)
		ids = make([]string, 0, len(rows))
		for _, r := range rows {
			res, err := q.ExecContext(ctx, f.texts.insert, queue, r.available, r.created, string(r.body))
			if err != nil {
				return err
			}
			id, err := res.LastInsertId()
			if err != nil {
				return err
			}
			ids = append(ids, strconv.FormatInt(id, 10))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return ids, nil
}

func (f *sqliteFlow) reserve(ctx context.Context, queue string, now, expired int64, max int) ([]taken, error) {
	args := []any{queue, now, max, queue, now, window, queue, expired, window, max}
	if _, idle := f.empty.Load(queue); idle {
		// Look first, without the write lock.
		args := []any{queue, now, 1, queue, now, 1, queue, expired, 1, 1}
		var id int64
		switch err := f.db.SQL().QueryRowContext(ctx, f.peek, args...).Scan(&id); err {
		case nil:
		case sql.ErrNoRows:
			return nil, nil
		default:
			return nil, err
		}
	}
	var ts []taken
	err := f.db.Write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		ts = nil
		rows, err := f.db.On(tx).QueryContext(ctx, f.take, append([]any{now}, args...)...)
		if err != nil {
			return err
		}
		ts, err = scan(rows, 0)
		return err
	})
	if err != nil {
		return nil, err
	}
	if len(ts) == 0 {
		f.empty.Store(queue, true)
	} else {
		f.empty.Delete(queue)
	}
	return ts, nil
}

// scan reads reserved rows and sorts them by id. attempts of full and more
// can't be counted further; 0 means that there is no such number.
func scan(rows *sql.Rows, full int64) ([]taken, error) {
	defer rows.Close()
	var ts []taken
	for rows.Next() {
		var t taken
		if err := rows.Scan(&t.id, &t.attempts, &t.body); err != nil {
			return nil, err
		}
		t.full = full > 0 && t.attempts >= full
		ts = append(ts, t)
	}
	slices.SortFunc(ts, func(a, b taken) int {
		if a.id < b.id {
			return -1
		}
		return 1
	})
	return ts, rows.Err()
}
