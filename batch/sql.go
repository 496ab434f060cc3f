package batch

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/sqldb"
)

// SQL keeps batches in Laravel's table job_batches, with two tables of Spool's
// own beside it. Where those are missing, it works as Laravel does: a member
// whose worker dies at the wrong moment may count twice, and a callback is lost
// with the process that was about to push it.
type SQL struct {
	db                     *sqldb.DB
	table, ends, callbacks string

	mu     sync.Mutex
	looked bool // at the tables
	beside bool // the two tables are there
	maxIDs int  // how many ids the column failed_job_ids is given
}

// SQLOptions are the settings of a [SQL] store. Empty names mean the defaults.
type SQLOptions struct {
	Table     string // "job_batches"
	Ends      string // "spool_batch_ends": which members have ended
	Callbacks string // "spool_batch_callbacks": which callbacks are owed
}

var _ spool.BatchStore = (*SQL)(nil)

// NewSQL returns the store in db. It doesn't close db.
func NewSQL(db *sqldb.DB, o *SQLOptions) *SQL {
	s := &SQL{db: db, table: "job_batches", ends: "spool_batch_ends", callbacks: "spool_batch_callbacks"}
	if o != nil {
		for at, name := range map[*string]string{&s.table: o.Table, &s.ends: o.Ends, &s.callbacks: o.Callbacks} {
			if name != "" {
				*at = name
			}
		}
	}
	return s
}

// The bounds of failed_job_ids: every change writes it anew. The first is for a
// column of MySQL's type text, which takes 64 KB.
const (
	maxShortIDs = 1500
	maxLongIDs  = 20_000
)

// look finds out, once, whether Spool's own tables are there, and how much the
// column of failed ids takes.
func (s *SQL) look(ctx context.Context) (beside bool, maxIDs int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.looked {
		return s.beside, s.maxIDs, nil
	}
	s.beside = true
	for _, table := range []string{s.ends, s.callbacks} {
		_, err := s.column(ctx, s.text("SELECT batch_id FROM {t} WHERE 1 = 0", table))
		switch {
		case err == nil:
		case s.db.Fault(err) == sqldb.NoTable:
			s.beside = false
		default:
			return false, 0, err
		}
	}
	s.maxIDs = maxLongIDs
	if s.db.Dialect().Name == sqldb.MySQL {
		var kind string
		err := s.db.SQL().QueryRowContext(ctx, "SELECT data_type FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = ? AND column_name = 'failed_job_ids'",
			s.table[strings.LastIndexByte(s.table, '.')+1:]).Scan(&kind)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return false, 0, err
		}
		if !strings.EqualFold(kind, "longtext") {
			s.maxIDs = maxShortIDs
		}
	}
	s.looked = true
	return s.beside, s.maxIDs, nil
}

// text puts a table's name into a statement, and binds its placeholders.
func (s *SQL) text(query, table string) string {
	return s.db.Rebind(strings.ReplaceAll(query, "{t}", s.db.Dialect().Ident(table)))
}

// in returns a condition that a column is one of the values, and the arguments.
func in(column string, values []string) (string, []any) {
	args := make([]any, len(values))
	for i, v := range values {
		args[i] = v
	}
	return column + " IN (" + sqldb.Marks(len(values)) + ")", args
}

// Create implements [spool.BatchCounter].
func (s *SQL) Create(ctx context.Context, r spool.BatchRecord) error {
	beside, _, err := s.look(ctx)
	if err != nil {
		return err
	}
	d := s.db.Dialect()
	options, err := encodeOptions(&r.Options, d.Name == sqldb.Postgres)
	if err != nil {
		return fmt.Errorf("options of a batch: %w", err)
	}
	return s.db.Write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		q := s.db.On(tx)
		_, err := q.ExecContext(ctx, d.Insert(s.table, []string{"id", "name", "total_jobs", "pending_jobs", "failed_jobs", "failed_job_ids", "options", "created_at"}, 1),
			r.ID, r.Name, 0, 0, 0, "[]", options, r.CreatedAt.Unix())
		if err != nil || !beside {
			return err
		}
		var args []any
		for _, c := range r.Options.Callbacks {
			if c.Event != spool.BatchProgress {
				args = append(args, r.ID, c.UUID, string(c.Event), 0, 0)
			}
		}
		if len(args) > 0 {
			_, err = q.ExecContext(ctx, d.Insert(s.callbacks, callbackColumns, len(args)/len(callbackColumns)), args...)
		}
		return err
	})
}

// numbers are the columns that row reads.
const numbers = "id, name, total_jobs, pending_jobs, failed_jobs, cancelled_at, created_at, finished_at"

// row is a row of the table, as far as it was asked for.
type row struct {
	spool.BatchRecord
	ids []string // of the column, which may not be all
}

func scanNumbers(rows *sql.Rows, more ...any) (r row, err error) {
	var created int64
	var cancelled, finished sql.NullInt64
	err = rows.Scan(append([]any{&r.ID, &r.Name, &r.Total, &r.Pending, &r.Failed, &cancelled, &created, &finished}, more...)...)
	r.CreatedAt, r.CancelledAt, r.FinishedAt = time.Unix(created, 0), moment(cancelled), moment(finished)
	return r, err
}

func moment(n sql.NullInt64) time.Time {
	if n.Int64 == 0 {
		return time.Time{}
	}
	return time.Unix(n.Int64, 0)
}

func parseIDs(text string) ([]string, error) {
	var ids []string
	if text == "" || text == "[]" {
		return nil, nil
	}
	if err := json.Unmarshal([]byte(text), &ids); err != nil {
		return nil, fmt.Errorf("failed_job_ids of a batch: %w", err)
	}
	return ids, nil
}

// Find implements [spool.BatchCounter].
func (s *SQL) Find(ctx context.Context, id string) (spool.BatchRecord, error) {
	beside, maxIDs, err := s.look(ctx)
	if err != nil {
		return spool.BatchRecord{}, err
	}
	rows, err := s.db.SQL().QueryContext(ctx, s.text("SELECT "+numbers+", failed_job_ids, options FROM {t} WHERE id = ?", s.table), id)
	if err != nil {
		return spool.BatchRecord{}, err
	}
	defer rows.Close()
	if !rows.Next() {
		return spool.BatchRecord{}, errors.Join(rows.Err(), spool.ErrBatchNotFound)
	}
	var ids string
	var options sql.NullString
	r, err := scanNumbers(rows, &ids, &options)
	if err == nil {
		err = rows.Close()
	}
	if err == nil {
		r.FailedIDs, err = parseIDs(ids)
	}
	if err == nil {
		r.Options, err = decodeOptions(options.String, s.db.Dialect().Name == sqldb.Postgres)
	}
	if err == nil && beside && len(r.FailedIDs) >= maxIDs {
		r.FailedIDs, err = s.allFailed(ctx, s.db.SQL(), id)
	}
	return r.BatchRecord, err
}

// allFailed returns who is failing where the column doesn't hold all.
func (s *SQL) allFailed(ctx context.Context, q sqldb.Querier, id string) (ids []string, err error) {
	rows, err := q.QueryContext(ctx, s.text("SELECT job_uuid FROM {t} WHERE batch_id = ? AND failed = 1 ORDER BY job_uuid", s.ends), id)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var uuid string
		if err := rows.Scan(&uuid); err != nil {
			return nil, err
		}
		ids = append(ids, uuid)
	}
	return ids, rows.Err()
}

// lock reads and locks the rows of batches, in the order of their ids.
func (s *SQL) lock(ctx context.Context, q sqldb.Querier, ids []string) (found []*row, err error) {
	where, args := in("id", ids)
	rows, err := q.QueryContext(ctx, s.text("SELECT "+numbers+", failed_job_ids FROM {t} WHERE "+where+" ORDER BY id"+s.db.Dialect().LockRows, s.table), args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var text string
		r, err := scanNumbers(rows, &text)
		if err == nil {
			r.ids, err = parseIDs(text)
		}
		if err != nil {
			return nil, err
		}
		found = append(found, &r)
	}
	return found, rows.Err()
}

// counts returns the numbers of a locked row. How many are failing, where the
// column doesn't hold all, matters only when that may be all that is left.
func (s *SQL) counts(ctx context.Context, q sqldb.Querier, r *row, beside bool, maxIDs int) (spool.BatchCounts, error) {
	c := r.BatchRecord.Counts()
	c.Failing = len(r.ids)
	if beside && len(r.ids) >= maxIDs {
		err := q.QueryRowContext(ctx, s.text("SELECT COUNT(*) FROM {t} WHERE batch_id = ? AND failed = 1", s.ends), r.ID).Scan(&c.Failing)
		return c, err
	}
	return c, nil
}

// update writes the numbers of a locked row.
func (s *SQL) update(ctx context.Context, q sqldb.Querier, r *row, c spool.BatchCounts, ids []string, now int64) error {
	set, args := "total_jobs = ?, pending_jobs = ?, failed_jobs = ?", []any{c.Total, c.Pending, c.Failed}
	if ids != nil {
		text, err := json.Marshal(ids)
		if err != nil {
			return err
		}
		set, args = set+", failed_job_ids = ?", append(args, string(text))
	}
	if c.Cancelled && r.CancelledAt.IsZero() {
		set, args = set+", cancelled_at = ?", append(args, now)
	}
	switch {
	case !c.Finished && !r.FinishedAt.IsZero():
		set += ", finished_at = NULL"
	case c.Finished && (r.FinishedAt.IsZero() || c.Pending == 0):
		set, args = set+", finished_at = ?", append(args, now)
	}
	_, err := q.ExecContext(ctx, s.text("UPDATE {t} SET "+set+" WHERE id = ?", s.table), append(args, r.ID)...)
	return err
}

// Grow implements [spool.BatchCounter].
func (s *SQL) Grow(ctx context.Context, id string, n int) (c spool.BatchChange, err error) {
	beside, maxIDs, err := s.look(ctx)
	if err != nil {
		return c, err
	}
	err = s.db.Write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		q := s.db.On(tx)
		rows, err := s.lock(ctx, q, []string{id})
		if err != nil {
			return err
		}
		if len(rows) == 0 {
			return spool.ErrBatchNotFound
		}
		c.ID = id
		if c.Before, err = s.counts(ctx, q, rows[0], beside, maxIDs); err != nil {
			return err
		}
		c.After = grow(c.Before, n)
		return s.update(ctx, q, rows[0], c.After, nil, time.Now().Unix())
	})
	return c, err
}

// Cancel implements [spool.BatchCounter].
func (s *SQL) Cancel(ctx context.Context, id string) (cancelled bool, err error) {
	now := time.Now().Unix()
	err = s.db.Run(ctx, func(ctx context.Context, q sqldb.Querier) error {
		res, err := q.ExecContext(ctx, s.text("UPDATE {t} SET cancelled_at = ?, finished_at = ? WHERE id = ? AND cancelled_at IS NULL", s.table), now, now, id)
		if err != nil {
			return err
		}
		n, err := res.RowsAffected()
		cancelled = n > 0
		return err
	})
	if err != nil || cancelled {
		return cancelled, err
	}
	var one int
	err = s.db.SQL().QueryRowContext(ctx, s.text("SELECT 1 FROM {t} WHERE id = ?", s.table), id).Scan(&one)
	if errors.Is(err, sql.ErrNoRows) {
		err = spool.ErrBatchNotFound
	}
	return false, err
}

// Delete implements [spool.BatchCounter].
func (s *SQL) Delete(ctx context.Context, id string) error {
	beside, _, err := s.look(ctx)
	if err != nil {
		return err
	}
	return s.db.Write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		return s.remove(ctx, s.db.On(tx), []string{id}, beside)
	})
}

// remove deletes batches and what stands beside them.
func (s *SQL) remove(ctx context.Context, q sqldb.Querier, ids []string, beside bool) error {
	tables := []string{s.table}
	if beside {
		tables = append(tables, s.ends, s.callbacks)
	}
	for i, table := range tables {
		column := "batch_id"
		if i == 0 {
			column = "id"
		}
		where, args := in(column, ids)
		if _, err := q.ExecContext(ctx, s.text("DELETE FROM {t} WHERE "+where, table), args...); err != nil {
			return err
		}
	}
	return nil
}
