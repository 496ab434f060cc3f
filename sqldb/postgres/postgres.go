// Package postgres opens PostgreSQL (12 and later) as a database for Spool's
// tables, with pgx. Pushes wake waiting workers of other processes through
// NOTIFY; see [sqldb/schema.Channel] for the channel and NotifyTrigger there
// for pushes by others.
package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/spoolq/spool/sqldb"
)

// Options of a database.
type Options struct {
	// MaxConns is the largest number of pooled connections; listening takes
	// one more. Default: 16.
	MaxConns int
	// ListenDSN is where LISTEN works when the DSN goes through a pooler that
	// hands a connection to others between transactions. Default: the DSN.
	ListenDSN string
	// NoListen leaves LISTEN and NOTIFY alone: waiting workers poll.
	NoListen bool
	// Log hears when listening fails, once for each outage. Default: slog.Default.
	Log *slog.Logger
}

// Open opens the database that a DSN names, as a URL or as key=value pairs. It
// doesn't contact the server.
//
// Unless the DSN sets default_query_exec_mode, statements are described once
// and planned each time: a plan that is kept is made for the size that the
// queue's table had then, and it also breaks behind poolers.
func Open(dsn string, opts *Options) (*sqldb.DB, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	if o.MaxConns <= 0 {
		o.MaxConns = 16
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	cfg, err := parse(dsn)
	if err != nil {
		return nil, err
	}
	listen := cfg
	if o.ListenDSN != "" {
		if listen, err = parse(o.ListenDSN); err != nil {
			return nil, err
		}
	}
	pool := stdlib.OpenDB(*cfg)
	pool.SetMaxOpenConns(o.MaxConns)
	pool.SetMaxIdleConns(o.MaxConns)
	pool.SetConnMaxIdleTime(5 * time.Minute)
	so := &sqldb.Options{Signals: sqldb.NewSignals(), Classify: classify, WrapTx: wrapTx}
	if !o.NoListen {
		r := newRemote(pool, listen, so.Signals, o.Log)
		so.Remote = r
		so.Close = func() error {
			r.close()
			return pool.Close()
		}
	}
	return sqldb.New(pool, sqldb.NewPostgres(), so), nil
}

func parse(dsn string) (*pgx.ConnConfig, error) {
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, fmt.Errorf("postgres: the DSN (postgres://user:password@host:port/database): %w", err)
	}
	if !strings.Contains(dsn, "default_query_exec_mode") {
		cfg.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	}
	if cfg.ConnectTimeout == 0 {
		cfg.ConnectTimeout = 10 * time.Second
	}
	return cfg, nil
}

// wrapTx knows pgx's own transactions.
func wrapTx(tx any) (sqldb.Tx, bool) {
	t, ok := tx.(pgx.Tx)
	return pgxTx{t}, ok
}

type pgxTx struct{ tx pgx.Tx }

func (t pgxTx) Column(ctx context.Context, query string, args ...any) ([]string, error) {
	rows, err := t.tx.Query(ctx, query, args...)
	if err != nil {
		return nil, closedTx(err)
	}
	defer rows.Close()
	var col []string
	for rows.Next() {
		values, err := rows.Values()
		if err != nil {
			return nil, err
		}
		if len(values) > 0 && values[0] != nil {
			col = append(col, fmt.Sprint(values[0]))
		} else {
			col = append(col, "")
		}
	}
	return col, closedTx(rows.Err())
}

// closedTx makes the end of a transaction recognisable without pgx.
func closedTx(err error) error {
	if errors.Is(err, pgx.ErrTxClosed) {
		return fmt.Errorf("%w: %w", sql.ErrTxDone, err)
	}
	return err
}
