package sqlqueue

import (
	"context"
	"database/sql"
	"strconv"

	"github.com/spoolq/spool/sqldb"
)

// smallintMax is the largest number of attempts that Laravel's column holds on
// PostgreSQL.
const smallintMax = 32767

// pgsqlFlow moves jobs on PostgreSQL. Every verb is one statement that the
// server commits by itself.
type pgsqlFlow struct {
	db    *sqldb.DB
	texts *texts
	take  string // reserves jobs: queue, now, expired, max, window
}

// newPgsqlFlow writes the statement that locks candidates of each kind and
// takes those with the lowest ids. Its condition on the queue is written as a
// range and the order begins with it, so that only the index on (queue, id)
// can serve it: the primary key would walk over every delayed and reserved row.
func newPgsqlFlow(db *sqldb.DB, texts *texts) *pgsqlFlow {
	take := "WITH ready AS MATERIALIZED (SELECT id FROM {table}" +
		" WHERE queue >= $1 AND queue <= $1 AND {free}{never} AND {due} <= $2 ORDER BY queue, id LIMIT $4 FOR UPDATE SKIP LOCKED)," +
		" due AS MATERIALIZED (SELECT id FROM {table} WHERE id = ANY(ARRAY(SELECT id FROM {table}" +
		" WHERE queue = $1 AND {free}{later} AND {due} <= $2 ORDER BY {due}, id LIMIT $5))" +
		" AND {free} ORDER BY id LIMIT $4 FOR UPDATE SKIP LOCKED)," +
		" late AS MATERIALIZED (SELECT id FROM {table} WHERE id = ANY(ARRAY(SELECT id FROM {table}" +
		" WHERE queue = $1 AND {held} AND {at} <= $3 ORDER BY {at}, id LIMIT $5))" +
		" AND {held} AND {at} <= $3 ORDER BY id LIMIT $4 FOR UPDATE SKIP LOCKED)" +
		" UPDATE {table} SET {mark} = $2, attempts = CASE WHEN {count} < 32767 THEN {next} ELSE attempts END" +
		" WHERE id = ANY(ARRAY(SELECT id FROM (SELECT id FROM ready UNION ALL SELECT id FROM due UNION ALL SELECT id FROM late) AS c ORDER BY id LIMIT $4))" +
		" RETURNING id, attempts, payload"
	return &pgsqlFlow{db: db, texts: texts, take: texts.sql(take)}
}

func (f *pgsqlFlow) insert(ctx context.Context, queue string, rows []row) ([]string, error) {
	var ids []string
	err := f.db.Run(ctx, func(ctx context.Context, q sqldb.Querier) error {
		ids = make([]string, 0, len(rows))
		var res *sql.Rows
		var err error
		if len(rows) == 1 {
			r := rows[0]
			res, err = q.QueryContext(ctx, f.db.Rebind(f.texts.insert+" RETURNING id"), queue, r.available, r.created, string(r.body))
		} else {
			available, bodies := make([]int64, len(rows)), make([]string, len(rows))
			for i, r := range rows {
				available[i], bodies[i] = r.available, string(r.body)
			}
			res, err = q.QueryContext(ctx, f.texts.sql("INSERT INTO {table} ({columns})"+
				" SELECT $1, 0, {none}, m.a, $2, m.p FROM unnest($3::bigint[], $4::text[]) WITH ORDINALITY AS m(a, p, o) ORDER BY m.o RETURNING id"),
				queue, rows[0].created, available, bodies)
		}
		if err != nil {
			return err
		}
		defer res.Close()
		for res.Next() {
			var id int64
			if err := res.Scan(&id); err != nil {
				return err
			}
			ids = append(ids, strconv.FormatInt(id, 10))
		}
		return res.Err()
	})
	if err != nil {
		return nil, err
	}
	return ids, nil
}

func (f *pgsqlFlow) reserve(ctx context.Context, queue string, now, expired int64, max int) ([]taken, error) {
	ctx, cancel := moving(ctx)
	defer cancel()
	var ts []taken
	err := f.db.Run(ctx, func(ctx context.Context, q sqldb.Querier) error {
		rows, err := q.QueryContext(ctx, f.take, queue, now, expired, max, window)
		if err != nil {
			return err
		}
		ts, err = scan(rows, smallintMax)
		return err
	})
	return ts, err
}

func (f *pgsqlFlow) settle(ctx context.Context, ch change, items []fence) ([]bool, error) {
	hits := make([]bool, len(items))
	err := f.db.Run(ctx, func(ctx context.Context, q sqldb.Querier) error {
		clear(hits)
		return f.apply(ctx, q, ch, items, hits)
	})
	return hits, err
}

func (f *pgsqlFlow) settleIn(ctx context.Context, q sqldb.Querier, ch change, item fence) (bool, error) {
	hits := make([]bool, 1)
	err := f.apply(ctx, q, ch, []fence{item}, hits)
	return hits[0], err
}

// apply runs the one statement of a change and notes which items it hit.
func (f *pgsqlFlow) apply(ctx context.Context, q sqldb.Querier, ch change, items []fence, hits []bool) error {
	ids, attempts, at := make([]int64, len(items)), make([]int64, len(items)), make([]int64, len(items))
	index := make(map[int64]int, len(items))
	for i, it := range items {
		ids[i], attempts[i], at[i] = it.id, it.attempts, it.at
		if _, twice := index[it.id]; !twice {
			index[it.id] = i
		}
	}
	args := []any{ids, attempts, at}
	const from = "unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS r(id, attempts, at)"
	const match = " WHERE j.id = r.id AND j.attempts = r.attempts AND {j.held} AND (r.at < 0 OR j.{at} = r.at)"
	var text string
	switch ch.kind {
	case toDelete:
		text = "DELETE FROM {table} AS j USING " + from + match + " RETURNING j.id"
	case toExtend:
		text = "UPDATE {table} AS j SET {at} = $4 FROM " + from + match + " RETURNING j.id"
		args = append(args, ch.now)
	case toRelease, toReturn:
		count := "{again}"
		if ch.kind == toReturn {
			count = "{back}"
		}
		text = "WITH gone AS (DELETE FROM {table} AS j USING " + from + match + " RETURNING j.id, j.queue, j.attempts, j.payload)," +
			" again AS (INSERT INTO {table} ({columns})" +
			" SELECT queue, " + count + ", {none}, $4, $5, payload FROM gone ORDER BY id) SELECT id FROM gone"
		args = append(args, ch.available, ch.now)
	}
	rows, err := q.QueryContext(ctx, f.texts.sql(text), args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return err
		}
		hits[index[id]] = true
	}
	return rows.Err()
}
