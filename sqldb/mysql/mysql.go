// Package mysql opens MySQL and MariaDB as databases for Spool's tables. MySQL
// before 8.0.1 and MariaDB before 10.6 have no SKIP LOCKED: workers wait for one
// another's row locks there.
package mysql

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/spoolq/spool/sqldb"
)

// Options of a database.
type Options struct {
	// MaxConns is the largest number of connections. Default: 16.
	MaxConns int
	// ConnMaxLifetime is the age at which a connection is replaced; it must be
	// below the server's wait_timeout and what proxies allow. Default: 3 min.
	ConnMaxLifetime time.Duration
}

// defaultPacket is what the SDK assumes when a DSN doesn't say.
const defaultPacket = 64 << 20

// Open opens the database that a go-sql-driver DSN names
// ("user:password@tcp(host:3306)/name"). It doesn't contact the server.
//
// Statements are sent with their arguments in the text, which saves the round
// trip of preparing them; matched rows are reported rather than changed ones;
// transactions are READ COMMITTED, so that no gaps are locked.
func Open(dsn string, opts *Options) (*sqldb.DB, error) {
	cfg, err := mysql.ParseDSN(dsn)
	if err != nil {
		return nil, fmt.Errorf("mysql: the DSN (user:password@tcp(host:port)/database): %w", err)
	}
	if cfg.MaxAllowedPacket == defaultPacket {
		cfg.MaxAllowedPacket = 0
	}
	return OpenConfig(cfg, opts)
}

// OpenConfig is Open with a configuration of the SDK's, which is copied. A
// MaxAllowedPacket of 0 takes the server's.
func OpenConfig(cfg *mysql.Config, opts *Options) (*sqldb.DB, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	if o.MaxConns <= 0 {
		o.MaxConns = 16
	}
	if o.ConnMaxLifetime <= 0 {
		o.ConnMaxLifetime = 3 * time.Minute
	}
	if cfg.DBName == "" {
		return nil, errors.New("mysql: no database is named")
	}
	cfg = cfg.Clone()
	cfg.ClientFoundRows = true
	cfg.InterpolateParams = true
	cfg.Logger = &mysql.NopLogger{} // it only repeats errors that are returned
	if cfg.Timeout == 0 {
		cfg.Timeout = 10 * time.Second
	}
	c, err := mysql.NewConnector(cfg)
	if err != nil {
		return nil, fmt.Errorf("mysql: %w", err)
	}
	pool := sql.OpenDB(connector{c})
	pool.SetMaxOpenConns(o.MaxConns)
	pool.SetMaxIdleConns(o.MaxConns)
	pool.SetConnMaxLifetime(o.ConnMaxLifetime)
	return sqldb.New(pool, sqldb.NewMySQL(), &sqldb.Options{Classify: classify}), nil
}

// connector sets the isolation level of each new connection.
type connector struct{ driver.Connector }

func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	// As a statement, since the variable's name differs between servers.
	_, err = conn.(driver.ExecerContext).ExecContext(ctx, "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED", nil)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

// classify says what an error of the server or the SDK means.
func classify(err error) sqldb.Fault {
	var e *mysql.MySQLError
	if errors.As(err, &e) {
		switch e.Number {
		case 1213, 1205, 1020: // deadlock, lock wait timeout, record has changed
			return sqldb.Conflict
		case 1053, 1152, 1927, 2006, 2013, 4031, 1040, 1203, 1226: // going down or away, too many connections
			return sqldb.Lost
		case 1146:
			return sqldb.NoTable
		case 1062, 1586:
			return sqldb.Duplicate
		case 1021, 1114, 3675: // disk full, table full
			return sqldb.Full
		}
		return sqldb.Other
	}
	var n net.Error
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return sqldb.Other
	case errors.Is(err, mysql.ErrInvalidConn), errors.Is(err, driver.ErrBadConn), errors.Is(err, io.EOF),
		errors.Is(err, io.ErrUnexpectedEOF), errors.As(err, &n):
		return sqldb.Lost
	}
	return sqldb.Other
}
