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
	d := s.db.Dialect()
	column, keys := d.Ident(s.columns.UUID), []any(nil)
	if s.columns.UUID == "" {
		column = d.Ident(s.columns.ID)
	}
	for _, id := range ids {
		number, err := strconv.ParseInt(id, 10, 64)
		switch {
		case s.columns.UUID == "" && err == nil:
			keys = append(keys, number)
		case s.columns.UUID != "" && err != nil:
			keys = append(keys, id)
		case s.columns.UUID != "":
			n, err := s.forgetDigits(ctx, id, number)
			if total += n; err != nil {
				return total, err
			}
		}
	}
	for len(keys) > 0 {
		n := min(len(keys), chunk)
		removed, err := s.remove(ctx, condition{}.and(column+" IN ("+sqldb.Marks(n)+")", keys[:n]...))
		if total += removed; err != nil {
			return total, err
		}
		keys = keys[n:]
	}
	return total, nil
}

// ForgetSame implements [SameForgetter]: a job that failed anew has a row of
// another number.
func (s *SQL) ForgetSame(ctx context.Context, recs ...Record) (total int64, err error) {
	column := s.db.Dialect().Ident(s.columns.ID)
	for len(recs) > 0 {
		n := min(len(recs), chunk)
		rows := make([]any, n)
		for i, r := range recs[:n] {
			rows[i] = r.Row
		}
		removed, err := s.remove(ctx, condition{}.and(column+" IN ("+sqldb.Marks(n)+")", rows...))
		if total += removed; err != nil {
			return total, err
		}
		recs = recs[n:]
	}
	return total, nil
}

// forgetDigits removes the record that Find would return: a uuid may consist
// of digits and must not take the row of that number along.
func (s *SQL) forgetDigits(ctx context.Context, id string, number int64) (int64, error) {
	d := s.db.Dialect()
	n, err := s.remove(ctx, condition{}.and(d.Ident(s.columns.UUID)+" = ?", id))
	if err != nil || n > 0 {
		return n, err
	}
	return s.remove(ctx, condition{}.and(d.Ident(s.columns.ID)+" = ?", number))
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
