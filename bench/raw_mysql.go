package main

import (
	"context"
	"database/sql"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
)

const rawTableMySQL = `CREATE TABLE IF NOT EXISTS raw_jobs (id bigint unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY, queue varchar(255) NOT NULL,
	payload longtext NOT NULL, attempts tinyint unsigned NOT NULL, reserved_at int unsigned NULL, available_at int unsigned NOT NULL,
	created_at int unsigned NOT NULL, KEY raw_jobs_queue_index (queue)) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci`

const rawRowMySQL = "('default', 0, NULL, ?, ?, ?)"

type rawMySQL struct {
	db   *sql.DB
	body *envelope
}

func openRawMySQL(ctx context.Context, s *store, body *envelope) (player, error) {
	cfg, err := mysql.ParseDSN(s.dsn)
	if err != nil {
		return nil, err
	}
	cfg.InterpolateParams = true
	c, err := mysql.NewConnector(cfg)
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(c)
	db.SetMaxOpenConns(16)
	db.SetMaxIdleConns(16)
	_, err = db.ExecContext(ctx, rawTableMySQL)
	return &rawMySQL{db, body}, err
}

func (p *rawMySQL) close() error { return p.db.Close() }

func (p *rawMySQL) reset(ctx context.Context) error {
	_, err := p.db.ExecContext(ctx, "TRUNCATE TABLE raw_jobs")
	return err
}

func (p *rawMySQL) run(ctx context.Context, t task) (result, error) {
	switch t.Kind {
	case push:
		took, err := concurrently(t.Jobs, t.Width, func(i int) error { return p.insert(ctx, i, 1) })
		return result{Elapsed: took}, err
	case bulk:
		begun := time.Now()
		for from := 0; from < t.Jobs; from += t.Width {
			if err := p.insert(ctx, from, min(t.Width, t.Jobs-from)); err != nil {
				return result{}, err
			}
		}
		return result{Elapsed: time.Since(begun)}, nil
	case drain:
		return loops(t.Jobs, 4, func() (func(bool) (int, error), error) {
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

func (p *rawMySQL) insert(ctx context.Context, from, n int) error {
	now := time.Now().Unix()
	args := make([]any, 0, 3*n)
	for i := range n {
		args = append(args, now, now, p.body.body(from+i))
	}
	_, err := p.db.ExecContext(ctx, "INSERT INTO raw_jobs (queue, attempts, reserved_at, available_at, created_at, payload) VALUES "+
		rawRowMySQL+strings.Repeat(","+rawRowMySQL, n-1), args...)
	return err
}

// step reserves a batch in one transaction and deletes it in another.
func (p *rawMySQL) step(ctx context.Context, width int) (int, error) {
	tx, err := p.db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	if err != nil {
		return 0, err
	}
	defer tx.Rollback() //nolint:errcheck // after Commit it does nothing; before, the first error counts
	now := time.Now().Unix()
	rows, err := tx.QueryContext(ctx, "SELECT id, payload FROM raw_jobs WHERE queue = 'default' AND reserved_at IS NULL AND available_at <= ?"+
		" ORDER BY id LIMIT ? FOR UPDATE SKIP LOCKED", now, width)
	if err != nil {
		return 0, err
	}
	list, err := idList(rows)
	if err != nil || list == "" {
		return 0, err
	}
	if _, err := tx.ExecContext(ctx, "UPDATE raw_jobs SET reserved_at = ?, attempts = attempts + 1 WHERE id IN ("+list+")", now); err != nil {
		return 0, err
	}
	if err := tx.Commit(); err != nil {
		return 0, err
	}
	res, err := p.db.ExecContext(ctx, "DELETE FROM raw_jobs WHERE id IN ("+list+")")
	if err != nil {
		return 0, err
	}
	n, err := res.RowsAffected()
	return int(n), err
}

// idList reads rows of id and payload and returns the ids with commas between.
func idList(rows *sql.Rows) (string, error) {
	defer rows.Close()
	var b []byte
	for rows.Next() {
		var id int64
		var payload sql.RawBytes
		if err := rows.Scan(&id, &payload); err != nil {
			return "", err
		}
		if len(b) > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, id, 10)
	}
	return string(b), rows.Err()
}
