package sqlqueue

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/sqldb"
)

var _ driver.Registrar = (*Conn)(nil)

// Register keeps the record in the table Options.Workers, with the name of the
// jobs table, for many of which it may serve. Times are this host's, as those of
// jobs are.
func (c *Conn) Register(ctx context.Context, r driver.Record, ttl time.Duration) error {
	if c.closed() {
		return driver.ErrClosed
	}
	d := c.db.Dialect()
	query := d.Upsert(c.workers, []string{"id", "jobs", "record", "expires_at"}, []string{"id"}, []string{"jobs", "record", "expires_at"})
	return c.noRecords(c.db.Run(ctx, func(ctx context.Context, q sqldb.Querier) error {
		_, err := q.ExecContext(ctx, query, r.ID, bare(c.table), string(r.Body), dueAt(time.Now(), ttl))
		return err
	}))
}

// Unregister removes a record.
func (c *Conn) Unregister(ctx context.Context, id string) error {
	return c.forget(ctx, id, 1<<62)
}

// forget removes a record whose time is up at now.
func (c *Conn) forget(ctx context.Context, id string, now int64) error {
	if c.closed() {
		return driver.ErrClosed
	}
	return c.noRecords(c.db.Run(ctx, func(ctx context.Context, q sqldb.Querier) error {
		_, err := q.ExecContext(ctx, c.db.Rebind("DELETE FROM "+c.db.Dialect().Ident(c.workers)+" WHERE id = ? AND expires_at <= ?"), id, now)
		return err
	}))
}

// Registered returns the records of workers of this jobs table, and removes
// those whose time is up.
func (c *Conn) Registered(ctx context.Context) ([]driver.Record, error) {
	if c.closed() {
		return nil, driver.ErrClosed
	}
	rows, err := c.db.SQL().QueryContext(ctx, c.db.Rebind("SELECT id, record, expires_at FROM "+c.db.Dialect().Ident(c.workers)+" WHERE jobs = ?"), bare(c.table))
	if err != nil {
		return nil, c.noRecords(err)
	}
	defer rows.Close()
	now := time.Now().Unix()
	var rs []driver.Record
	var gone []string
	for rows.Next() {
		var r driver.Record
		var ends int64
		if err := rows.Scan(&r.ID, &r.Body, &ends); err != nil {
			return nil, err
		}
		if ends <= now {
			gone = append(gone, r.ID)
			continue
		}
		rs = append(rs, r)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return nil, err
	}
	for _, id := range gone {
		if err := c.forget(ctx, id, now); err != nil {
			return rs, err
		}
	}
	return rs, nil
}

// noRecords says of a missing table that the ability is missing, and explains
// other errors.
func (c *Conn) noRecords(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, sqldb.ErrClosed):
		return driver.ErrClosed
	case c.db.Fault(err) == sqldb.NoTable:
		return &noTableError{c.workers}
	}
	return err
}

// noTableError says that there is no table for records: errors.ErrUnsupported.
type noTableError struct{ table string }

func (e *noTableError) Error() string {
	return "table " + e.table + " is missing; `spool migrate` creates it"
}

func (e *noTableError) Is(target error) bool { return target == errors.ErrUnsupported }

// bare is a table's name without its schema.
func bare(table string) string { return table[strings.LastIndexByte(table, '.')+1:] }
