package postgres

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/spoolq/spool/sqldb"
)

// classify says what an error of the server or the SDK means.
func classify(err error) sqldb.Fault {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		switch {
		case e.Code == "40001" || e.Code == "40P01": // serialization failure, deadlock
			return sqldb.Conflict
		case e.Code == "42P01":
			return sqldb.NoTable
		case e.Code == "23505":
			return sqldb.Duplicate
		case e.Code == "53100":
			return sqldb.Full
		case strings.HasPrefix(e.Code, "08"), e.Code == "57P01", e.Code == "57P02", e.Code == "57P03", e.Code == "53300":
			return sqldb.Lost // connection trouble, shutdown, starting up, too many connections
		}
		return sqldb.Other
	}
	var n net.Error
	var c *pgconn.ConnectError
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return sqldb.Other
	case errors.As(err, &c), errors.Is(err, driver.ErrBadConn), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF),
		errors.As(err, &n), pgconn.SafeToRetry(err):
		return sqldb.Lost
	}
	return sqldb.Other
}
