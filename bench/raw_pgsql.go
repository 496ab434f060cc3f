package main

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// rawTable is Laravel's own, without what Spool adds.
const rawTablePgsql = `CREATE TABLE IF NOT EXISTS raw_jobs (id bigserial PRIMARY KEY, queue varchar(255) NOT NULL, payload text NOT NULL,
	attempts smallint NOT NULL, reserved_at integer, available_at integer NOT NULL, created_at integer NOT NULL)`

type rawPostgres struct {
	pool *pgxpool.Pool
	body *envelope
}

func openRawPostgres(ctx context.Context, s *store, body *envelope) (player, error) {
	cfg, err := pgxpool.ParseConfig(s.dsn)
	if err != nil {
		return nil, err
	}
	cfg.MaxConns = 16
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, err
	}
	for _, q := range []string{rawTablePgsql, "CREATE INDEX IF NOT EXISTS raw_jobs_queue_index ON raw_jobs (queue)"} {
		if _, err := pool.Exec(ctx, q); err != nil {
			pool.Close()
			return nil, err
		}
	}
	return &rawPostgres{pool, body}, nil
}

func (p *rawPostgres) close() error {
	p.pool.Close()
	return nil
}

func (p *rawPostgres) reset(ctx context.Context) error {
	_, err := p.pool.Exec(ctx, "TRUNCATE raw_jobs")
	return err
}

func (p *rawPostgres) run(ctx context.Context, t task) (result, error) {
	switch t.Kind {
	case push:
		took, err := concurrently(t.Jobs, t.Width, func(i int) error {
			_, err := p.pool.Exec(ctx, "INSERT INTO raw_jobs (queue, attempts, reserved_at, available_at, created_at, payload) VALUES ('default', 0, NULL, $1, $1, $2)",
				time.Now().Unix(), p.body.body(i))
			return err
		})
		return result{Elapsed: took}, err
	case bulk:
		begun := time.Now()
		for from := 0; from < t.Jobs; from += t.Width {
			now := int32(time.Now().Unix())
			_, err := p.pool.CopyFrom(ctx, pgx.Identifier{"raw_jobs"}, []string{"queue", "attempts", "available_at", "created_at", "payload"},
				pgx.CopyFromSlice(min(t.Width, t.Jobs-from), func(i int) ([]any, error) {
					return []any{"default", int16(0), now, now, p.body.body(from + i)}, nil
				}))
			if err != nil {
				return result{}, err
			}
		}
		return result{Elapsed: time.Since(begun)}, nil
	case drain:
		return loops(t.Jobs, 2, func() (func(bool) (int, error), error) {
			return func(last bool) (int, error) {
				if last {
					return 0, nil
				}
				return p.step(ctx, t.Width)
			}, nil
		})
	}
	return result{}, errors.ErrUnsupported
}

// step reserves a batch and deletes it.
func (p *rawPostgres) step(ctx context.Context, width int) (int, error) {
	rows, err := p.pool.Query(ctx, "UPDATE raw_jobs SET reserved_at = $1, attempts = attempts + 1 WHERE id = ANY(ARRAY(SELECT id FROM raw_jobs"+
		" WHERE queue = 'default' AND reserved_at IS NULL AND available_at <= $1 ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED)) RETURNING id, payload",
		time.Now().Unix(), width)
	if err != nil {
		return 0, err
	}
	ids := make([]int64, 0, width)
	var id int64
	var payload []byte
	_, err = pgx.ForEachRow(rows, []any{&id, &payload}, func() error {
		ids = append(ids, id)
		return nil
	})
	if err != nil || len(ids) == 0 {
		return 0, err
	}
	tag, err := p.pool.Exec(ctx, "DELETE FROM raw_jobs WHERE id = ANY($1)", ids)
	return int(tag.RowsAffected()), err
}
