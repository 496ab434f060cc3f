package batch

import (
	"context"
	"database/sql"
	"time"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/sqldb"
)

// List implements [spool.BatchLister]. Laravel's ids sort by time, as Spool's do.
func (s *SQL) List(ctx context.Context, before string, limit int) (list []spool.BatchRecord, err error) {
	where, args := "", []any{}
	if before != "" {
		where, args = " WHERE id < ?", append(args, before)
	}
	rows, err := s.db.SQL().QueryContext(ctx, s.text("SELECT "+numbers+" FROM {t}"+where+" ORDER BY id DESC LIMIT ?", s.table), append(args, limit)...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		r, err := scanNumbers(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, r.BatchRecord)
	}
	return list, rows.Err()
}

// pruneChunk is how many batches go in one transaction.
const pruneChunk = 100

// Prune implements [spool.BatchLister]. It also removes what stands beside
// batches that PHP has pruned.
func (s *SQL) Prune(ctx context.Context, kind spool.BatchKind, before time.Time) (n int64, err error) {
	beside, _, err := s.look(ctx)
	if err != nil {
		return 0, err
	}
	where := map[spool.BatchKind]string{
		spool.FinishedBatches:   "finished_at IS NOT NULL AND finished_at < ?",
		spool.UnfinishedBatches: "finished_at IS NULL AND created_at < ?",
		spool.CancelledBatches:  "cancelled_at IS NOT NULL AND created_at < ?",
	}[kind]
	for {
		ids, err := s.column(ctx, s.text("SELECT id FROM {t} WHERE "+where+" LIMIT ?", s.table), before.Unix(), pruneChunk)
		if err != nil {
			return n, err
		}
		if len(ids) == 0 {
			break
		}
		err = s.db.Write(ctx, func(ctx context.Context, tx *sql.Tx) error { return s.remove(ctx, s.db.On(tx), ids, beside) })
		if err != nil {
			return n, err
		}
		n += int64(len(ids))
	}
	if beside {
		err = s.removeOrphans(ctx)
	}
	return n, err
}

func (s *SQL) column(ctx context.Context, query string, args ...any) (list []string, err error) {
	rows, err := s.db.SQL().QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return nil, err
		}
		list = append(list, text)
	}
	return list, rows.Err()
}

// removeOrphans removes what belongs to batches that are gone. It steps through
// the batches of each table by its key.
func (s *SQL) removeOrphans(ctx context.Context) error {
	for _, table := range []string{s.ends, s.callbacks} {
		for after := ""; ; {
			ids, err := s.column(ctx, s.text("SELECT batch_id FROM {t} WHERE batch_id > ? ORDER BY batch_id LIMIT 1", table), after)
			if err != nil {
				return err
			}
			if len(ids) == 0 {
				break
			}
			after = ids[0]
			there, err := s.column(ctx, s.text("SELECT id FROM {t} WHERE id = ?", s.table), after)
			if err != nil {
				return err
			}
			if len(there) > 0 {
				continue
			}
			err = s.db.Run(ctx, func(ctx context.Context, q sqldb.Querier) error {
				_, err := q.ExecContext(ctx, s.text("DELETE FROM {t} WHERE batch_id = ?", table), after)
				return err
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}
