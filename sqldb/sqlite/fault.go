package sqlite

import (
	"errors"
	"strings"

	"github.com/spoolq/spool/sqldb"
	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"
)

// classify says what an error of SQLite means.
func classify(err error) sqldb.Fault {
	var busy *sqldb.BusyError
	if errors.As(err, &busy) {
		return sqldb.Other // it has been waited for
	}
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return sqldb.Other
	}
	switch e.Code() {
	case lib.SQLITE_CONSTRAINT_UNIQUE, lib.SQLITE_CONSTRAINT_PRIMARYKEY, lib.SQLITE_CONSTRAINT_ROWID:
		return sqldb.Duplicate
	}
	switch e.Code() & 0xff {
	case lib.SQLITE_BUSY, lib.SQLITE_LOCKED:
		return sqldb.Busy
	case lib.SQLITE_FULL:
		return sqldb.Full
	case lib.SQLITE_ERROR:
		if strings.Contains(e.Error(), "no such table") {
			return sqldb.NoTable
		}
	}
	return sqldb.Other
}
