package failed

import (
	"context"
	"database/sql"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/spoolq/spool/sqldb"
)

// condition is a WHERE clause.
type condition struct {
	parts []string
	args  []any
}

func (c condition) and(part string, args ...any) condition {
	return condition{append(c.parts[:len(c.parts):len(c.parts)], part), append(c.args[:len(c.args):len(c.args)], args...)}
}

func (c condition) text() string {
	if len(c.parts) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(c.parts, " AND ")
}

func (s *SQL) where(f Filter) condition {
	d := s.db.Dialect()
	id, at := d.Ident(s.columns.ID), d.Ident(s.columns.FailedAt)
	var c condition
	if f.Connection != "" {
		c = c.and(d.Ident("connection")+" = ?", f.Connection)
	}
	if f.Queue != "" {
		c = c.and(d.Ident("queue")+" = ?", f.Queue)
	}
	if f.MinID != 0 {
		c = c.and(id+" >= ?", f.MinID)
	}
	if f.MaxID != 0 {
		c = c.and(id+" <= ?", f.MaxID)
	}
	if !f.Since.IsZero() {
		c = c.and(at+" >= ?", f.Since.In(s.loc).Format(timeFormat))
	}
	if !f.Until.IsZero() {
		c = c.and(at+" <= ?", f.Until.In(s.loc).Format(timeFormat))
	}
	return c
}

// pageBytes bounds the texts of a page.
const pageBytes = 4 << 20

// fit are the records of a page.
type fit struct {
	rows        int
	first, last int64 // their highest and lowest number
	more        bool  // there are others below
}

// fitting looks how many of the next records make a page, by their sizes: read
// as they are, a page of large payloads would be as many times as large.
func (s *SQL) fitting(ctx context.Context, where condition, f Filter, max int) (p fit, err error) {
	d, id := s.db.Dialect(), s.db.Dialect().Ident(s.columns.ID)
	size := "0"
	if !f.WithoutPayload {
		size += " + COALESCE(OCTET_LENGTH(" + d.Ident("payload") + "), 0)"
	}
	if !f.WithoutException {
		size += " + COALESCE(OCTET_LENGTH(" + d.Ident("exception") + "), 0)"
	}
	rows, err := s.db.SQL().QueryContext(ctx, d.Rebind("SELECT "+id+", "+size+" FROM "+d.Ident(s.table)+
		where.text()+" ORDER BY "+id+" DESC LIMIT "+strconv.Itoa(max+1)), where.args...) // one more tells whether there are others
	if err != nil {
		return p, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	total := int64(0)
	for rows.Next() {
		var row, bytes int64
		if err := rows.Scan(&row, &bytes); err != nil {
			return p, err
		}
		if total += bytes; p.rows == max || p.rows > 0 && total > pageBytes {
			p.more = true
			break
		}
		if p.rows++; p.rows == 1 {
			p.first = row
		}
		p.last = row
	}
	return p, rows.Err()
}

// query reads records, the newest first.
func (s *SQL) query(ctx context.Context, where condition, f Filter, max int) (found []Record, err error) {
	d, c := s.db.Dialect(), s.columns
	columns := []string{d.Ident(c.ID), "''", d.Ident("connection"), d.Ident("queue"), d.Ident("payload"), d.Ident("exception"), s.timeText()}
	if c.UUID != "" {
		columns[1] = d.Ident(c.UUID)
	}
	if f.WithoutPayload {
		columns[4] = "''"
	}
	if f.WithoutException {
		columns[5] = "''"
	}
	rows, err := s.db.SQL().QueryContext(ctx, d.Rebind("SELECT "+strings.Join(columns, ", ")+" FROM "+d.Ident(s.table)+
		where.text()+" ORDER BY "+d.Ident(c.ID)+" DESC LIMIT "+strconv.Itoa(max)), where.args...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		r, err := s.scan(rows)
		if err != nil {
			return nil, err
		}
		found = append(found, r)
	}
	return found, rows.Err()
}

// scan reads one row; think-queue's columns may be null.
func (s *SQL) scan(rows *sql.Rows) (r Record, err error) {
	var uuid, connection, queue, payload, exception, failed sql.NullString
	if err := rows.Scan(&r.Row, &uuid, &connection, &queue, &payload, &exception, &failed); err != nil {
		return r, err
	}
	r.ID, r.UUID = uuid.String, uuid.String
	r.Connection, r.Queue, r.Exception = connection.String, queue.String, exception.String
	if s.columns.UUID == "" {
		r.ID = strconv.FormatInt(r.Row, 10)
	}
	if payload.String != "" {
		r.Payload = DecodePayload(payload.String)
	}
	// A date that is none, as MySQL's 0000-00-00, is an unknown time.
	r.FailedAt, _ = time.ParseInLocation(timeFormat, failed.String, s.loc)
	return r, nil
}

// timeText is the time of failure as text: the SDKs would turn it into an
// instant by a time zone that isn't the application's.
func (s *SQL) timeText() string {
	at := s.db.Dialect().Ident(s.columns.FailedAt)
	switch s.db.Dialect().Name {
	case sqldb.MySQL:
		return "DATE_FORMAT(" + at + ", '%Y-%m-%d %H:%i:%s')"
	case sqldb.Postgres:
		return "to_char(" + at + ", 'YYYY-MM-DD HH24:MI:SS')"
	}
	return "CAST(" + at + " AS TEXT)"
}
