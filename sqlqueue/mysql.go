package sqlqueue

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/spoolq/spool/sqldb"
)

// mysqlFlow moves jobs on MySQL and MariaDB.
type mysqlFlow struct {
	db    *sqldb.DB
	texts *texts
	table string

	mu    sync.Mutex
	known *facts
}

// facts are what depends on the server and the table.
type facts struct {
	maxBody int
	step    int64 // between the ids of one insert
	full    int64 // the largest number of attempts that the column holds
	last    rune  // the last letter that the payload column takes
	old     bool  // the server has no SKIP LOCKED
}

// facts asks once. While the server can't be reached they are guesses on the
// safe side, and the error says so.
func (f *mysqlFlow) facts(ctx context.Context) (facts, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.known != nil {
		return *f.known, nil
	}
	safe := facts{maxBody: 1 << 20, step: 1, full: 255}
	var packet int64
	var version string
	err := f.db.SQL().QueryRowContext(ctx, "SELECT @@max_allowed_packet, @@auto_increment_increment, VERSION()").Scan(&packet, &safe.step, &version)
	if err != nil {
		return safe, err
	}
	got := facts{maxBody: int(min(packet-1024, MaxBody)), step: safe.step, full: 255, last: utf8.MaxRune, old: !skipsLocked(version)}
	column, err := f.column(ctx, "attempts")
	if err != nil {
		return safe, err
	}
	got.full = largest(column)
	if column, err = f.column(ctx, "payload"); err != nil {
		return safe, err
	}
	if strings.Contains(column, "utf8_") || strings.Contains(column, "utf8mb3_") {
		got.last = 0xffff
	}
	f.known = &got
	return got, nil
}

// largest is the largest number that a column of this type holds.
func largest(column string) int64 {
	unsigned := strings.Contains(column, "unsigned")
	switch {
	case strings.HasPrefix(column, "tinyint") && unsigned:
		return 255
	case strings.HasPrefix(column, "tinyint"):
		return 127
	case strings.HasPrefix(column, "smallint") && unsigned:
		return 65535
	case strings.HasPrefix(column, "smallint"):
		return 32767
	}
	return 1<<31 - 1
}

// column returns the type of a column and its collation: "tinyint unsigned",
// "longtext utf8_general_ci".
func (f *mysqlFlow) column(ctx context.Context, name string) (string, error) {
	rows, err := f.db.SQL().QueryContext(ctx, "SHOW FULL COLUMNS FROM "+f.texts.table+" LIKE '"+name+"'")
	if err != nil {
		return "", err
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		return "", err
	}
	if !rows.Next() {
		if err := rows.Err(); err != nil {
			return "", err
		}
		return "", fmt.Errorf("table %s has no column %s: it is no jobs table", f.table, name)
	}
	values := make([]sql.RawBytes, len(names)) // name, type, collation, and more that differ between servers
	targets := make([]any, len(names))
	for i := range values {
		targets[i] = &values[i]
	}
	if err := rows.Scan(targets...); err != nil {
		return "", err
	}
	return strings.ToLower(string(values[1]) + " " + string(values[2])), rows.Err()
}

// skipsLocked says whether a server of this version has SKIP LOCKED: MySQL since
// 8.0.1, MariaDB since 10.6. Without it workers lock rows as Laravel and
// think-queue do there, and wait for one another.
func skipsLocked(version string) bool {
	v := strings.TrimPrefix(version, "5.5.5-") // old MariaDB servers hide behind it
	var major, minor int
	if _, err := fmt.Sscanf(v, "%d.%d", &major, &minor); err != nil {
		return true // a fork that numbers otherwise
	}
	if strings.Contains(strings.ToLower(version), "mariadb") {
		return major > 10 || major == 10 && minor >= 6
	}
	return major >= 8
}

func (f *mysqlFlow) lister() *lister { return &lister{db: f.db, texts: f.texts} }

func (f *mysqlFlow) settle(ctx context.Context, ch change, items []fence) ([]bool, error) {
	if len(items) > 1 || ch.kind == toRelease {
		return f.lister().settle(ctx, ch, items)
	}
	// One statement of one row needs no transaction to know what it hit.
	hits := []bool{false}
	err := f.db.Run(ctx, func(ctx context.Context, q sqldb.Querier) (err error) {
		hits[0], err = f.settleIn(ctx, q, ch, items[0])
		return err
	})
	return hits, err
}

func (f *mysqlFlow) settleIn(ctx context.Context, q sqldb.Querier, ch change, item fence) (bool, error) {
	return f.lister().settleIn(ctx, q, ch, item)
}

// insert sends as many rows as fit in one statement; each statement is a
// transaction. The server gives the rows of one such insert consecutive ids.
func (f *mysqlFlow) insert(ctx context.Context, queue string, rows []row) ([]string, error) {
	facts, err := f.facts(ctx)
	if err != nil {
		return nil, err
	}
	var ids []string
	for len(rows) > 0 {
		n, size := 0, 0
		for n < min(len(rows), maxBatch) {
			// Half, since text in a statement is escaped.
			if size += len(rows[n].body) + 2*len(queue) + 64; n > 0 && size > facts.maxBody/2 {
				break
			}
			n++
		}
		args := make([]any, 0, 4*n)
		for _, r := range rows[:n] {
			args = append(args, queue, r.available, r.created, string(r.body))
		}
		var first int64
		err := f.db.Run(ctx, func(ctx context.Context, q sqldb.Querier) error {
			res, err := q.ExecContext(ctx, f.texts.rows(n), args...)
			if err != nil {
				return err
			}
			first, err = res.LastInsertId()
			return err
		})
		if err != nil {
			return ids, err
		}
		ids = append(ids, sequence(first, facts.step, n)...)
		rows = rows[n:]
	}
	return ids, nil
}

// reserve picks candidates without locking them, then locks and takes those
// that are still free. Locking as it searched, InnoDB would lock every row it
// has to sort, and hide them from other workers.
func (f *mysqlFlow) reserve(ctx context.Context, queue string, now, expired int64, max int) ([]taken, error) {
	facts, err := f.facts(ctx)
	if err != nil {
		return nil, err
	}
	for wide := 2*max + 100; ; wide *= 4 {
		ids, more, err := f.candidates(ctx, queue, now, expired, wide)
		if err != nil || len(ids) == 0 {
			return nil, err
		}
		ts, err := f.take(ctx, ids, now, expired, max, facts)
		// Where others hold all the candidates, look further.
		if err != nil || len(ts) > 0 || !more || wide > 20*maxBatch {
			return ts, err
		}
	}
}

// candidateText selects jobs that can be reserved: those that have waited
// longest, and those that became due last, among which are delayed jobs older
// than many that wait.
func (f *mysqlFlow) candidateText(queue string, now, expired int64, n int) (string, []any) {
	const free = " WHERE queue = ? AND {free} AND {due} <= ? ORDER BY "
	return f.texts.sql("(SELECT id FROM {table}" + free + "{due}, id LIMIT ?)" +
			" UNION (SELECT id FROM {table}" + free + "{due} DESC, id DESC LIMIT ?)" +
			" UNION (SELECT id FROM {table} WHERE " + isLate + " ORDER BY {at}, id LIMIT ?)"),
		[]any{queue, now, n, queue, now, n / 2, queue, expired, n}
}

// candidates returns their ids, sorted. more says that there may be others.
func (f *mysqlFlow) candidates(ctx context.Context, queue string, now, expired int64, n int) (ids []int64, more bool, err error) {
	query, args := f.candidateText(queue, now, expired, n)
	rows, err := f.db.SQL().QueryContext(ctx, query, args...)
	if err != nil {
		return nil, false, err
	}
	defer rows.Close()
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, false, err
		}
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids, len(ids) >= n, rows.Err()
}

// take locks up to max of the candidates that nobody else holds, and reserves
// them. Rows whose attempts can't be raised are left at their number: one such
// row would fail the whole statement.
func (f *mysqlFlow) take(ctx context.Context, ids []int64, now, expired int64, max int, facts facts) ([]taken, error) {
	lock, full := f.texts.d.SkipLocked, facts.full
	if facts.old {
		lock = f.texts.d.LockRows
	}
	ctx, cancel := moving(ctx)
	defer cancel()
	args := make([]any, len(ids), len(ids)+3)
	for i, id := range ids {
		args[i] = id
	}
	args = append(args, now, expired, max)
	var ts []taken
	err := f.db.Write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		// What attempts will be, were there no limit.
		rows, err := tx.QueryContext(ctx, f.texts.sql("SELECT id, {next}, payload FROM {table} WHERE id IN ("+sqldb.Marks(len(ids))+")"+
			" AND ({free} AND {due} <= ? OR {held} AND {at} <= ?) ORDER BY id LIMIT ?")+lock, args...)
		if err != nil {
			return err
		}
		if ts, err = scan(rows, full); err != nil || len(ts) == 0 {
			return err
		}
		mine := make([]any, 0, len(ts)+2)
		mine = append(mine, full, now)
		for i := range ts {
			mine = append(mine, ts[i].id)
			ts[i].attempts = min(ts[i].attempts, full)
		}
		// The attempts first: the server assigns from left to right.
		_, err = tx.ExecContext(ctx, f.texts.sql("UPDATE {table} SET attempts = CASE WHEN {count} < ? THEN {next} ELSE attempts END, {mark} = ? WHERE id IN ("+sqldb.Marks(len(ts))+")"), mine...)
		return err
	})
	return ts, err
}
