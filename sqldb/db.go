package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
)

// Querier runs statements: a pool, a transaction, or a transaction with
// prepared statements that are kept.
type Querier interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// Tx is a caller's transaction as a queue needs it: statements whose answer
// is one column.
type Tx interface {
	// Column runs a query and returns the first column of its rows as text.
	Column(ctx context.Context, query string, args ...any) ([]string, error)
}

// Remote carries announcements between processes (PostgreSQL's NOTIFY).
// Its methods don't block.
type Remote interface {
	// Announce tells other processes of the topic, soon.
	Announce(t Topic)
	// Listen asks that announcements of the table by others reach the signals
	// of the database from now on.
	Listen(table string)
}

// Options says what is special about a database. The packages that open one
// fill it in.
type Options struct {
	// Writer is the one writer of a SQLite file. Default: none, every
	// transaction takes a connection of the pool.
	Writer *Writer
	// Signals wakes those who wait. Default: signals of its own.
	Signals *Signals
	// Remote carries announcements between processes. Default: none.
	Remote Remote
	// Classify says what an error of the SDK means. Default: everything is Other.
	Classify func(error) Fault
	// WrapTx turns a transaction of the SDK's own type into a Tx. Default:
	// only *sql.Tx is known.
	WrapTx func(tx any) (Tx, bool)
	// Close is called once by DB.Close instead of closing the pool.
	Close func() error
}

// DB is a database that queue tables live in. It is safe for concurrent use.
type DB struct {
	pool    *sql.DB
	dialect *Dialect
	opts    Options

	mu   sync.Mutex
	self string // own identity, once read

	closed   atomic.Bool
	closeErr error
	once     sync.Once
}

// New returns the database behind pool, which Close will close.
func New(pool *sql.DB, d *Dialect, opts *Options) *DB {
	db := &DB{pool: pool, dialect: d}
	if opts != nil {
		db.opts = *opts
	}
	if db.opts.Signals == nil {
		db.opts.Signals = NewSignals()
	}
	if db.opts.Classify == nil {
		db.opts.Classify = func(error) Fault { return Other }
	}
	if db.opts.Close == nil {
		db.opts.Close = pool.Close
	}
	return db
}

// SQL returns the pool, for reads and for comparing databases by identity.
// On SQLite write through Write instead.
func (db *DB) SQL() *sql.DB { return db.pool }

// Dialect returns the text of the database's dialect.
func (db *DB) Dialect() *Dialect { return db.dialect }

// Rebind is Dialect().Rebind.
func (db *DB) Rebind(query string) string { return db.dialect.Rebind(query) }

// Signals returns what wakes those who wait for changes of this database.
func (db *DB) Signals() *Signals { return db.opts.Signals }

// Fault says what an error of this database means.
func (db *DB) Fault(err error) Fault {
	if err == nil {
		return Other
	}
	return db.opts.Classify(err)
}

// Announce tells this process at once, and others where the database can
// carry it, that there may be something new under the topic.
func (db *DB) Announce(t Topic) {
	db.opts.Signals.Announce(t)
	if db.opts.Remote != nil {
		db.opts.Remote.Announce(t)
	}
}

// Listen asks that announcements by other processes about the table reach
// Signals from now on. It does nothing where the database can't carry them.
func (db *DB) Listen(table string) {
	if db.opts.Remote != nil {
		db.opts.Remote.Listen(table)
	}
}

// Close closes the database. It is idempotent. Writes under way are finished.
func (db *DB) Close() error {
	db.once.Do(func() {
		db.closed.Store(true)
		db.closeErr = db.opts.Close()
	})
	return db.closeErr
}

// WrapTx returns the caller's transaction as a Tx. False means that its type
// is not one of this database.
func (db *DB) WrapTx(tx any) (Tx, bool) {
	if t, ok := tx.(*sql.Tx); ok && t != nil {
		return sqlTx{t}, true
	}
	if db.opts.WrapTx != nil {
		return db.opts.WrapTx(tx)
	}
	return nil, false
}

type sqlTx struct{ tx *sql.Tx }

func (t sqlTx) Column(ctx context.Context, query string, args ...any) ([]string, error) {
	rows, err := t.tx.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var col []string
	for rows.Next() {
		var s sql.NullString
		if err := rows.Scan(&s); err != nil {
			return nil, err
		}
		col = append(col, s.String)
	}
	return col, rows.Err()
}

// SameDatabase reports whether the transaction is one of this database: the
// same file, or the same server, database and schema. It runs a query in tx,
// which stays usable. An error means that it could not be found out.
func (db *DB) SameDatabase(ctx context.Context, tx *sql.Tx) (bool, error) {
	if tx == nil {
		return false, nil
	}
	return db.Holds(ctx, sqlTx{tx})
}

// Holds is SameDatabase for any transaction that WrapTx knows.
func (db *DB) Holds(ctx context.Context, tx Tx) (bool, error) {
	theirs, err := db.identify(ctx, tx)
	if err != nil {
		if db.Fault(err) == Lost || ctx.Err() != nil || errors.Is(err, sql.ErrTxDone) {
			return false, err
		}
		return false, nil // the query is not one of their dialect
	}
	ours, fresh, err := db.identity(ctx, false)
	if err == nil && ours != theirs && !fresh {
		// A restarted server may have a new identity.
		ours, _, err = db.identity(ctx, true)
	}
	if err != nil {
		return false, fmt.Errorf("reading the database's identity: %w", err)
	}
	return ours == theirs && ours != "", nil
}

// identify asks tx who it is. Where the question may be an error to a foreign
// server, a savepoint keeps that error from spoiling the transaction.
func (db *DB) identify(ctx context.Context, tx Tx) (string, error) {
	guard := db.dialect.Name == SQLite
	if guard {
		if _, err := tx.Column(ctx, "SAVEPOINT spool_identity"); err != nil {
			return "", err
		}
	}
	col, err := tx.Column(ctx, db.dialect.Identity)
	if guard {
		if err != nil {
			_, _ = tx.Column(ctx, "ROLLBACK TO SAVEPOINT spool_identity")
		}
		if _, e := tx.Column(ctx, "RELEASE SAVEPOINT spool_identity"); e != nil && err == nil {
			err = e
		}
	}
	if err != nil {
		return "", err
	}
	if len(col) == 0 {
		return "", nil
	}
	return col[0], nil
}

// identity returns the database's own identity and whether it was just read.
func (db *DB) identity(ctx context.Context, again bool) (self string, fresh bool, err error) {
	db.mu.Lock()
	self = db.self
	db.mu.Unlock()
	if self != "" && !again {
		return self, false, nil
	}
	if err := db.pool.QueryRowContext(ctx, db.dialect.Identity).Scan(&self); err != nil {
		return "", true, err
	}
	db.mu.Lock()
	db.self = self
	db.mu.Unlock()
	return self, true, nil
}
