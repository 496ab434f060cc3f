// Package once has something done once however often its job runs: a job is run
// at least once, and a key in the user's own database, written in the
// transaction that does the work, tells a second run that the first has
// committed.
//
// The keys are in a table that [Keys.Create] makes: their SHA-256, because keys
// compare by the collation of a column otherwise, and the second in which they
// were written. The package works on any database/sql driver of the three
// dialects, and imports sqldb for their text alone.
package once

import (
	"cmp"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spoolq/spool/sqldb"
)

// Execer runs a statement: a *sql.Tx, *sql.DB or *sql.Conn.
type Execer interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// Options are the options of [New].
type Options struct {
	// Table is the name of the table, maybe with its schema; "spool_once".
	Table string
}

// Keys are the keys of what has been done. It is safe for concurrent use.
type Keys struct {
	create, insert, forget, prune string
}

// New returns the keys in a database of that dialect.
func New(d *sqldb.Dialect, opts *Options) *Keys {
	var o Options
	if opts != nil {
		o = *opts
	}
	table := d.Ident(cmp.Or(o.Table, "spool_once"))
	k := &Keys{
		create: "CREATE TABLE IF NOT EXISTS " + table + " (id char(64) NOT NULL PRIMARY KEY, created_at bigint NOT NULL)",
		insert: d.InsertNew(cmp.Or(o.Table, "spool_once"), []string{"id", "created_at"}, []string{"id"}),
		forget: d.Rebind("DELETE FROM " + table + " WHERE id = ?"),
		prune:  d.Rebind("DELETE FROM " + table + " WHERE created_at < ?"),
	}
	if d.Name == sqldb.MySQL {
		// How many rows the usual form says to have met depends on a flag of the
		// connection. What IGNORE hides besides can't happen to a hash and a number.
		k.insert = strings.Replace(d.Insert(cmp.Or(o.Table, "spool_once"), []string{"id", "created_at"}, 1), "INSERT", "INSERT IGNORE", 1)
	}
	return k
}

// Statement returns the SQL that makes the table, for a migration.
func (k *Keys) Statement() string { return k.create }

// Create makes the table if it isn't there.
func (k *Keys) Create(ctx context.Context, db Execer) error {
	_, err := db.ExecContext(ctx, k.create)
	return err
}

// Once says whether key is new, and makes it known with tx: if tx commits, later
// calls return false; if it doesn't, nothing has happened. Do the work only when
// it returns true, in the same transaction. While another transaction has
// written the key and not ended, the call waits for it (in SQLite all who write
// wait for each other). In PostgreSQL a transaction that is REPEATABLE READ or
// stricter gets a serialization error instead of false.
//
//	first, err := keys.Once(ctx, tx, "charge:"+job.UUID)
func (k *Keys) Once(ctx context.Context, tx *sql.Tx, key string) (first bool, err error) {
	if key == "" {
		return false, errors.New("once: an empty key would have everything done once: name what is done, and the job's uuid")
	}
	res, err := tx.ExecContext(ctx, k.insert, hash(key), time.Now().Unix())
	if err != nil {
		return false, fmt.Errorf("once: %w", err)
	}
	n, err := res.RowsAffected()
	return n > 0, err
}

// Forget has a key be new again.
func (k *Keys) Forget(ctx context.Context, db Execer, key string) error {
	_, err := db.ExecContext(ctx, k.forget, hash(key))
	return err
}

// Prune removes the keys written before a time and returns how many. Keep them
// for as long as a job may still be retried.
func (k *Keys) Prune(ctx context.Context, db Execer, before time.Time) (int64, error) {
	res, err := db.ExecContext(ctx, k.prune, before.Unix())
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

func hash(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:])
}
