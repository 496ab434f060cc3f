package failed

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/spoolq/spool/sqldb"
)

// SQL keeps failed jobs in a table: Laravel's failed_jobs, or think-queue's.
type SQL struct {
	db      *sqldb.DB
	table   string
	columns Columns
	loc     *time.Location
	letters atomic.Pointer[letters] // what MySQL's columns take, once asked
}

// SQLOptions are the settings of a [SQL] store.
type SQLOptions struct {
	// Table is the table's name. Default: "failed_jobs".
	Table string
	// Columns are its columns. Default: [UUIDColumns].
	Columns Columns
	// Location is the time zone of the times in the table, the application's
	// app.timezone. Default: UTC, as in Laravel.
	Location *time.Location
}

// Columns are the columns in which one kind of table differs from another;
// connection, queue, payload and exception are common to all.
type Columns struct {
	ID       string // the number of the row, made by the database
	UUID     string // the job's uuid, unique; "" where the table has none
	FailedAt string // when, as local time without a zone
}

// UUIDColumns are those of Laravel 8 to 13, driver database-uuids.
func UUIDColumns() Columns { return Columns{ID: "id", UUID: "uuid", FailedAt: "failed_at"} }

// IDColumns are those of Laravel's driver database: records are known by the
// number of their row.
func IDColumns() Columns { return Columns{ID: "id", FailedAt: "failed_at"} }

// ThinkColumns are those of think-queue 3.0.3 and later.
func ThinkColumns() Columns { return Columns{ID: "id", FailedAt: "fail_time"} }

var (
	_ Store         = (*SQL)(nil)
	_ SameForgetter = (*SQL)(nil)
	_ TxLogger      = (*SQL)(nil)
)

// NewSQL returns the store in db, whose table must exist. It doesn't close db.
func NewSQL(db *sqldb.DB, o *SQLOptions) *SQL {
	if o == nil {
		o = &SQLOptions{}
	}
	s := &SQL{db: db, table: o.Table, columns: o.Columns, loc: o.Location}
	if s.table == "" {
		s.table = "failed_jobs"
	}
	if s.columns == (Columns{}) {
		s.columns = UUIDColumns()
	}
	if s.loc == nil {
		s.loc = time.UTC
	}
	return s
}

// Database implements [TxLogger].
func (s *SQL) Database() *sql.DB { return s.db.SQL() }

// Log implements [Store].
func (s *SQL) Log(ctx context.Context, r Record) (id string, err error) {
	err = s.db.Write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		id, err = s.log(ctx, s.db.On(tx), r)
		return err
	})
	return id, err
}

// LogTx implements [TxLogger].
func (s *SQL) LogTx(ctx context.Context, tx *sql.Tx, r Record) error {
	_, err := s.log(ctx, s.db.On(tx), r)
	return err
}

func (s *SQL) log(ctx context.Context, q sqldb.Querier, r Record) (id string, err error) {
	r = r.fill()
	takes, err := s.takes(ctx, q)
	if err != nil {
		return "", err
	}
	d, c := s.db.Dialect(), s.columns
	columns := []string{"connection", "queue", "payload", "exception", c.FailedAt}
	args := []any{
		r.Connection, r.Queue, narrowPayload(EncodePayload(r.Payload), takes.payload),
		narrowText(plainText(r.Exception), takes.exception), r.FailedAt.In(s.loc).Format(timeFormat),
	}
	if c.UUID != "" {
		// A row of its own for every failure, so that ForgetSame can tell them
		// apart; the upsert is for one that another process logs right now.
		_, err := q.ExecContext(ctx, d.Rebind("DELETE FROM "+d.Ident(s.table)+" WHERE "+d.Ident(c.UUID)+" = ?"), r.UUID)
		if err != nil {
			return "", err
		}
		query := d.Upsert(s.table, append([]string{c.UUID}, columns...), []string{c.UUID}, columns)
		_, err = q.ExecContext(ctx, query, append([]any{r.UUID}, args...)...)
		return r.UUID, err
	}
	query := d.Insert(s.table, columns, 1)
	if d.Returning {
		err = q.QueryRowContext(ctx, query+" RETURNING "+d.Ident(c.ID), args...).Scan(&id)
		return id, err
	}
	res, err := q.ExecContext(ctx, query, args...)
	if err != nil {
		return "", err
	}
	n, err := res.LastInsertId()
	return strconv.FormatInt(n, 10), err
}

// Find implements [Store].
func (s *SQL) Find(ctx context.Context, id string) (Record, error) {
	number, err := strconv.ParseInt(id, 10, 64)
	numbered := err == nil
	if s.columns.UUID != "" {
		rows, err := s.query(ctx, condition{}.and(s.db.Dialect().Ident(s.columns.UUID)+" = ?", id), Filter{}, 1)
		if err != nil {
			return Record{}, err
		}
		if len(rows) > 0 {
			return rows[0], nil
		}
	}
	if !numbered {
		return Record{}, notFound(id)
	}
	rows, err := s.query(ctx, condition{}.and(s.db.Dialect().Ident(s.columns.ID)+" = ?", number), Filter{}, 1)
	if err != nil {
		return Record{}, err
	}
	if len(rows) == 0 {
		return Record{}, notFound(id)
	}
	return rows[0], nil
}

// List implements [Store].
func (s *SQL) List(ctx context.Context, f Filter, cursor string, max int) (page []Record, next string, err error) {
	if max < 1 {
		max = defaultPage
	}
	where := s.where(f)
	if cursor != "" {
		last, err := strconv.ParseInt(cursor, 10, 64)
		if err != nil {
			return nil, "", fmt.Errorf("cursor %q is not one that List returned", cursor)
		}
		where = where.and(s.db.Dialect().Ident(s.columns.ID)+" < ?", last)
	}
	fit, err := s.fitting(ctx, where, f, max)
	if err != nil || fit.rows == 0 {
		return nil, "", err
	}
	id := s.db.Dialect().Ident(s.columns.ID)
	page, err = s.query(ctx, where.and(id+" <= ?", fit.first).and(id+" >= ?", fit.last), f, fit.rows)
	if err != nil {
		return nil, "", err
	}
	if fit.more {
		next = strconv.FormatInt(fit.last, 10)
	}
	return page, next, nil
}

// Count implements [Store].
func (s *SQL) Count(ctx context.Context, f Filter) (n int64, err error) {
	where := s.where(f)
	d := s.db.Dialect()
	err = s.db.SQL().QueryRowContext(ctx, d.Rebind("SELECT COUNT(*) FROM "+d.Ident(s.table)+where.text()), where.args...).Scan(&n)
	return n, err
}
