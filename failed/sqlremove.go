package failed

import (
	"context"
	"database/sql"
	"strconv"
	"time"

	"github.com/spoolq/spool/sqldb"
)

// chunk is how many rows one statement removes.
const chunk = 1000

// Forget implements [Store].
func (s *SQL) Forget(ctx context.Context, ids ...string) (total int64, err error) {
	uuids, numbers := s.split(ids)
	for len(uuids) > 0 {
		n := min(len(uuids), chunk)
		removed, err := s.remove(ctx, condition{}.and(s.db.Dialect().Ident(s.columns.UUID)+" IN ("+sqldb.Marks(n)+")", uuids[:n]...))
		if total += removed; err != nil {
			return total, err
		}
		uuids = uuids[n:]
	}
	if s.columns.UUID != "" {
		removed, err := s.forgetDigits(ctx, numbers)
		return total + removed, err
	}
	for len(numbers) > 0 {
		n := min(len(numbers), chunk)
		removed, err := s.remove(ctx, condition{}.and(s.db.Dialect().Ident(s.columns.ID)+" IN ("+sqldb.Marks(n)+")", numbers[:n]...))
		if total += removed; err != nil {
			return total, err
		}
		numbers = numbers[n:]
	}
	return total, nil
}

// split tells ids that can only be uuids from those that may be numbers of
// rows. Where the table has no uuids, others than numbers are dropped.
func (s *SQL) split(ids []string) (uuids, numbers []any) {
	for _, id := range ids {
		if n, err := strconv.ParseInt(id, 10, 64); err == nil {
			numbers = append(numbers, n)
		} else if s.columns.UUID != "" {
			uuids = append(uuids, id)
		}
	}
	return uuids, numbers
}

// forgetDigits removes one record an id, the one that Find would return: a
// uuid may consist of digits and must not take the row of that number along.
func (s *SQL) forgetDigits(ctx context.Context, ids []any) (total int64, err error) {
	d := s.db.Dialect()
	for _, id := range ids {
		n, err := s.remove(ctx, condition{}.and(d.Ident(s.columns.UUID)+" = ?", strconv.FormatInt(id.(int64), 10)))
		if err == nil && n == 0 {
			n, err = s.remove(ctx, condition{}.and(d.Ident(s.columns.ID)+" = ?", id))
		}
		if total += n; err != nil {
			return total, err
		}
	}
	return total, nil
}

// Flush implements [Store]. Each chunk is a transaction of its own.
func (s *SQL) Flush(ctx context.Context, until time.Time) (total int64, err error) {
	d := s.db.Dialect()
	id, table := d.Ident(s.columns.ID), d.Ident(s.table)
	var newest sql.NullInt64 // what fails from now on stays
	if err := s.db.SQL().QueryRowContext(ctx, "SELECT MAX("+id+") FROM "+table).Scan(&newest); err != nil {
		return 0, err
	}
	old := s.where(Filter{Until: until})
	for low := int64(0); ; {
		var high sql.NullInt64
		rest := old.and(id+" > ?", low).and(id+" <= ?", newest.Int64)
		err := s.db.SQL().QueryRowContext(ctx, d.Rebind("SELECT MAX("+id+") FROM (SELECT "+id+" FROM "+table+rest.text()+
			" ORDER BY "+id+" LIMIT "+strconv.Itoa(chunk)+") AS c"), rest.args...).Scan(&high)
		if err != nil || !high.Valid {
			return total, err
		}
		n, err := s.remove(ctx, old.and(id+" > ?", low).and(id+" <= ?", high.Int64))
		if total += n; err != nil {
			return total, err
		}
		low = high.Int64
	}
}

func (s *SQL) remove(ctx context.Context, where condition) (n int64, err error) {
	d := s.db.Dialect()
	query := d.Rebind("DELETE FROM " + d.Ident(s.table) + where.text())
	err = s.db.Run(ctx, func(ctx context.Context, q sqldb.Querier) error {
		n = 0
		res, err := q.ExecContext(ctx, query, where.args...)
		if err != nil {
			return err
		}
		n, err = res.RowsAffected()
		return err
	})
	return n, err
}
