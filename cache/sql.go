package cache

import (
	"context"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/spoolq/spool/sqldb"
)

// SQL is Laravel's database store: the tables cache (key, value, expiration)
// and cache_locks (key, owner, expiration). Values are PHP-serialized,
// expirations are unix seconds, "for ever" is ten years, and a lock without an
// end lasts a day. On PostgreSQL a value that is not plain text is stored in
// base64, as Laravel does and reads it.
//
// Keys compare as the table's collation has it, in Go as in PHP: MySQL's usual
// one takes "A" for "a".
type SQL struct {
	values, locks      *sqldb.DB
	prefix             string
	table, lockTable   string
	textOnly           bool
	acquired           atomic.Uint64 // how often Acquire was called
	insertLock, insert string
}

// SQLOptions are the settings of a [SQL] store.
type SQLOptions struct {
	// Prefix is put before every key and lock name as it is: Laravel's
	// cache.prefix, e.g. "laravel_cache_". Default: none.
	Prefix string
	// Table holds the values. Default: "cache".
	Table string
	// LockTable holds the locks. Default: "cache_locks".
	LockTable string
	// Locks is the database of the lock table (Laravel's lock_connection).
	// Default: that of the values.
	Locks *sqldb.DB
}

var (
	_ Store  = (*SQL)(nil)
	_ Locker = (*SQL)(nil)
)

// NewSQL returns the store in db, whose tables must exist. It doesn't close db.
func NewSQL(db *sqldb.DB, o *SQLOptions) *SQL {
	if o == nil {
		o = &SQLOptions{}
	}
	s := &SQL{
		values: db, locks: o.Locks, prefix: o.Prefix, table: o.Table, lockTable: o.LockTable,
		textOnly: db.Dialect().Name == sqldb.Postgres,
	}
	if s.table == "" {
		s.table = "cache"
	}
	if s.lockTable == "" {
		s.lockTable = "cache_locks"
	}
	if s.locks == nil {
		s.locks = db
	}
	s.insert = insertNew(db, s.table, "value")
	s.insertLock = insertNew(s.locks, s.lockTable, "owner")
	return s
}

// insertNew returns the statement that adds a row where there is none with its
// key. On MySQL it fails as a duplicate instead: the count of affected rows
// would not tell an insert from a row left as it was.
func insertNew(db *sqldb.DB, table, content string) string {
	d, columns := db.Dialect(), []string{"key", content, "expiration"}
	if d.Name == sqldb.MySQL {
		return d.Insert(table, columns, 1)
	}
	return d.InsertNew(table, columns, columns[:1])
}

// forEver is what Laravel's store adds to the time for values without an end,
// and lockForEver for locks; in seconds.
const (
	forEver     = 315360000
	lockForEver = 86400
)

// expiration returns the second in which something written now expires. Up to
// Laravel 11 the column is 32 bits wide: what would not fit is cut to the
// largest that does.
func expiration(now, seconds, none int64) int64 {
	if seconds == 0 {
		seconds = none
	}
	if now >= math.MaxInt32 {
		return now + seconds
	}
	return min(now+seconds, math.MaxInt32)
}

func (s *SQL) encode(value any) (string, error) {
	text, err := Serialize(value)
	if err == nil && s.textOnly && (!utf8.ValidString(text) || strings.IndexByte(text, 0) >= 0) {
		text = base64.StdEncoding.EncodeToString([]byte(text))
	}
	return text, err
}

func decode(stored string) (string, bool) {
	if !strings.ContainsAny(stored, ":;") {
		raw, err := base64.StdEncoding.DecodeString(stored)
		if err != nil {
			return "", false
		}
		stored = string(raw)
	}
	return Unserialize(stored)
}

// row is a value to be written.
type row struct {
	key, text  string
	now, until int64
}

func (s *SQL) row(key string, value any, ttl time.Duration) (row, error) {
	seconds, err := Seconds(ttl)
	if err != nil {
		return row{}, err
	}
	text, err := s.encode(value)
	now := time.Now().Unix()
	return row{s.prefix + key, text, now, expiration(now, seconds, forEver)}, err
}

// keysPerRead is how many keys one statement reads: SQLite allows 500 parts.
const keysPerRead = 200

// Many implements [Store]. It is one statement for up to 200 keys.
func (s *SQL) Many(ctx context.Context, keys ...string) (map[string]string, error) {
	found := make(map[string]string, len(keys))
	for len(keys) > 0 {
		n := min(len(keys), keysPerRead)
		if err := s.read(ctx, keys[:n], found); err != nil {
			return nil, err
		}
		keys = keys[n:]
	}
	return found, nil
}

// read asks for each key by its number, so that the database alone decides
// which keys are equal.
func (s *SQL) read(ctx context.Context, keys []string, found map[string]string) error {
	d := s.values.Dialect()
	var q strings.Builder
	args := make([]any, len(keys))
	for i, key := range keys {
		if i > 0 {
			q.WriteString(" UNION ALL ")
		}
		q.WriteString("SELECT " + strconv.Itoa(i) + ", " + d.Ident("value") + ", " + d.Ident("expiration") +
			" FROM " + d.Ident(s.table) + " WHERE " + d.Ident("key") + " = ?")
		args[i] = s.prefix + key
	}
	rows, err := s.values.SQL().QueryContext(ctx, d.Rebind(q.String()), args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	now := time.Now().Unix()
	for rows.Next() {
		var (
			i       int
			stored  string
			expires int64
		)
		if err := rows.Scan(&i, &stored, &expires); err != nil {
			return err
		}
		if text, ok := decode(stored); ok && now < expires {
			found[keys[i]] = text
		}
	}
	return rows.Err()
}

// Put implements [Store].
func (s *SQL) Put(ctx context.Context, key string, value any, ttl time.Duration) error {
	r, err := s.row(key, value, ttl)
	if err != nil {
		return err
	}
	columns := []string{"key", "value", "expiration"}
	_, err = exec(ctx, s.values, s.values.Dialect().Upsert(s.table, columns, columns[:1], columns[1:]), r.key, r.text, r.until)
	return err
}

// Add implements [Store].
func (s *SQL) Add(ctx context.Context, key string, value any, ttl time.Duration) (bool, error) {
	r, err := s.row(key, value, ttl)
	if err != nil {
		return false, err
	}
	return s.add(ctx, r)
}

func (s *SQL) add(ctx context.Context, r row) (bool, error) {
	if ok, err := insert(ctx, s.values, s.insert, r.key, r.text, r.until); ok || err != nil {
		return ok, err
	}
	d := s.values.Dialect()
	n, err := exec(ctx, s.values, d.Rebind("UPDATE "+d.Ident(s.table)+" SET "+d.Ident("value")+" = ?, "+d.Ident("expiration")+" = ? WHERE "+
		d.Ident("key")+" = ? AND "+d.Ident("expiration")+" <= ?"), r.text, r.until, r.key, r.now)
	return n > 0, err
}

// incrementTries bounds how often Increment starts over because the key came
// or went meanwhile.
const incrementTries = 20

// Increment implements [Store].
func (s *SQL) Increment(ctx context.Context, key string, by int64, ttl time.Duration) (int64, error) {
	for range incrementTries {
		fresh, err := s.row(key, by, ttl)
		if err != nil {
			return 0, err
		}
		if sum, found, err := s.incrementPresent(ctx, key, by, fresh); found || err != nil {
			return sum, err
		}
		if added, err := s.add(ctx, fresh); added || err != nil {
			return by, err
		}
	}
	return 0, fmt.Errorf("cache key %q came and went %d times while it was incremented", key, incrementTries)
}

// incrementPresent adds to the row of the key, if there is one, under its lock.
// Adding the row is left to a statement of its own: two transactions that
// have both looked for it would wait for each other on MySQL.
func (s *SQL) incrementPresent(ctx context.Context, key string, by int64, fresh row) (sum int64, found bool, err error) {
	d := s.values.Dialect()
	var (
		table, value, expires = d.Ident(s.table), d.Ident("value"), d.Ident("expiration")
		where                 = " WHERE " + d.Ident("key") + " = ?"
		lookUp                = d.Rebind("SELECT " + value + ", " + expires + " FROM " + table + where + d.LockRows)
		update                = d.Rebind("UPDATE " + table + " SET " + value + " = ?, " + expires + " = ?" + where)
	)
	err = s.values.Write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		var (
			stored string
			until  int64
		)
		sum, found = by, false
		err := tx.QueryRowContext(ctx, lookUp, fresh.key).Scan(&stored, &until)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		found = true
		text, ok := decode(stored)
		if !ok || until <= fresh.now {
			_, err = tx.ExecContext(ctx, update, fresh.text, fresh.until, fresh.key)
			return err
		}
		if sum, err = Sum(key, text, by); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, update, "i:"+strconv.FormatInt(sum, 10)+";", until, fresh.key)
		return err
	})
	if err != nil {
		sum = 0
	}
	return sum, found, err
}

// Forget implements [Store].
func (s *SQL) Forget(ctx context.Context, key string) error {
	d := s.values.Dialect()
	_, err := exec(ctx, s.values, d.Rebind("DELETE FROM "+d.Ident(s.table)+" WHERE "+d.Ident("key")+" = ?"), s.prefix+key)
	return err
}

// exec runs one statement that writes and returns how many rows it met.
func exec(ctx context.Context, db *sqldb.DB, query string, args ...any) (n int64, err error) {
	err = db.Run(ctx, func(ctx context.Context, q sqldb.Querier) error {
		n = 0
		res, err := q.ExecContext(ctx, query, args...)
		if err != nil {
			return err
		}
		n, err = res.RowsAffected()
		return err
	})
	return n, err
}

// insert runs a statement of insertNew and says whether the row is new.
func insert(ctx context.Context, db *sqldb.DB, query string, args ...any) (bool, error) {
	n, err := exec(ctx, db, query, args...)
	if err != nil && db.Fault(err) == sqldb.Duplicate {
		return false, nil
	}
	return n > 0, err
}
