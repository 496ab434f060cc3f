package sqldb

import (
	"strconv"
	"strings"
)

// Names of the dialects, as Laravel calls its database drivers.
const (
	SQLite   = "sqlite"
	MySQL    = "mysql"
	Postgres = "pgsql"
)

// Dialect is the text in which one kind of database differs from the others.
// It does no I/O. Treat it as read-only.
type Dialect struct {
	// Name is SQLite, MySQL (also for MariaDB) or Postgres.
	Name string
	// LockRows ends a SELECT that locks its rows: " FOR UPDATE", or "" where
	// a write transaction locks the whole database.
	LockRows string
	// SkipLocked ends a SELECT that locks its rows and passes over those that
	// others have locked, or "".
	SkipLocked string
	// Returning says that INSERT, UPDATE and DELETE take a RETURNING clause.
	Returning bool
	// MaxArgs is the largest number of placeholders in one statement.
	MaxArgs int
	// Identity is a query of one text that differs between two databases.
	// Run on a database of another dialect it fails or returns another text.
	Identity string

	quote  string
	dollar bool
}

// NewSQLite returns the dialect of SQLite 3.35 and later.
func NewSQLite() *Dialect {
	return &Dialect{
		Name: SQLite, Returning: true, MaxArgs: 32766, quote: `"`,
		Identity: `SELECT file FROM pragma_database_list WHERE name = 'main'`,
	}
}

// NewMySQL returns the dialect of MySQL and MariaDB. Servers before MySQL 8.0.1
// and MariaDB 10.6 don't know its SkipLocked; package sqlqueue asks which it is.
func NewMySQL() *Dialect {
	return &Dialect{
		Name: MySQL, LockRows: " FOR UPDATE", SkipLocked: " FOR UPDATE SKIP LOCKED", MaxArgs: 65535, quote: "`",
		// The version comment hides the variables from PostgreSQL, where a
		// syntax error would spoil the caller's transaction.
		Identity: `SELECT CONCAT('' /*!50000 , @@hostname, ':', @@port, @@datadir, ' ', COALESCE(DATABASE(), '') */)`,
	}
}

// NewPostgres returns the dialect of PostgreSQL 12 and later.
func NewPostgres() *Dialect {
	return &Dialect{
		Name: Postgres, LockRows: " FOR UPDATE", SkipLocked: " FOR UPDATE SKIP LOCKED", Returning: true, MaxArgs: 65535, quote: `"`, dollar: true,
		Identity: `SELECT concat_ws(' ', extract(epoch FROM pg_postmaster_start_time())::text, (SELECT oid FROM pg_database WHERE datname = current_database())::text, current_schema())`,
	}
}

// Ident quotes a name. A dot separates a schema from a table; both parts are
// quoted.
func (d *Dialect) Ident(name string) string {
	parts := strings.Split(name, ".")
	for i, p := range parts {
		parts[i] = d.quote + strings.ReplaceAll(p, d.quote, d.quote+d.quote) + d.quote
	}
	return strings.Join(parts, ".")
}

// Rebind writes the placeholders of a query, each a question mark, as the
// dialect wants them. The query must not hold question marks otherwise.
func (d *Dialect) Rebind(query string) string {
	if !d.dollar {
		return query
	}
	var b strings.Builder
	b.Grow(len(query) + 16)
	n := 0
	for i := range len(query) {
		if query[i] != '?' {
			b.WriteByte(query[i])
			continue
		}
		n++
		b.WriteByte('$')
		b.WriteString(strconv.Itoa(n))
	}
	return b.String()
}

// Insert returns an INSERT of that many rows, with placeholders for rows ×
// len(columns) arguments.
func (d *Dialect) Insert(table string, columns []string, rows int) string {
	var b strings.Builder
	b.WriteString("INSERT INTO " + d.Ident(table) + " (" + d.list(columns) + ") VALUES ")
	tuple := "(" + Marks(len(columns)) + ")"
	for i := range rows {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(tuple)
	}
	return d.Rebind(b.String())
}

// InsertNew returns an INSERT of one row that does nothing where a row with
// the same unique key exists; the number of affected rows tells which it was.
func (d *Dialect) InsertNew(table string, columns, key []string) string {
	q := d.Insert(table, columns, 1)
	if d.Name == MySQL {
		// Not INSERT IGNORE, which would swallow other errors too.
		return q + " ON DUPLICATE KEY UPDATE " + d.Ident(key[0]) + " = " + d.Ident(key[0])
	}
	return q + " ON CONFLICT (" + d.list(key) + ") DO NOTHING"
}

// Upsert returns an INSERT of one row that instead sets the columns named in
// update where a row with the same key exists.
func (d *Dialect) Upsert(table string, columns, key, update []string) string {
	q := d.Insert(table, columns, 1)
	sets := make([]string, len(update))
	for i, c := range update {
		if c = d.Ident(c); d.Name == MySQL {
			sets[i] = c + " = VALUES(" + c + ")"
		} else {
			sets[i] = c + " = excluded." + c
		}
	}
	if d.Name == MySQL {
		return q + " ON DUPLICATE KEY UPDATE " + strings.Join(sets, ", ")
	}
	return q + " ON CONFLICT (" + d.list(key) + ") DO UPDATE SET " + strings.Join(sets, ", ")
}

func (d *Dialect) list(columns []string) string {
	quoted := make([]string, len(columns))
	for i, c := range columns {
		quoted[i] = d.Ident(c)
	}
	return strings.Join(quoted, ", ")
}

// Marks returns n question marks separated by commas.
func Marks(n int) string {
	if n <= 0 {
		return ""
	}
	return strings.Repeat("?,", n-1) + "?"
}
