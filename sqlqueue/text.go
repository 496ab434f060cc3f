package sqlqueue

import (
	"strings"

	"github.com/spoolq/spool/sqldb"
)

// window is how many delayed jobs that are due are looked at to find those
// with the lowest ids.
const window = 1000

// texts are the statements of one table. A jobs table has three kinds of rows
// that can be reserved, and each has an index that finds it without walking
// over the others (see package schema):
//
//	ready  never delayed: by id
//	due    delayed, and its time has come: by that time
//	lease  reserved, and the lease has run out: by the time of the reservation
type texts struct {
	d     *sqldb.Dialect
	table string // quoted

	insert  string // one row: queue, available_at, created_at, payload
	release string // up to the WHERE
	remove  string
	extend  string
	back    string // return, up to the WHERE
}

// Conditions of the kinds; the arguments are the queue and a time. A job that
// was never delayed has available_at <= created_at, also when PHP wrote it.
const (
	isReady = "queue = ? AND reserved_at IS NULL AND available_at <= created_at AND available_at <= ?"
	isDue   = "queue = ? AND reserved_at IS NULL AND available_at > created_at AND available_at <= ?"
	isLate  = "queue = ? AND reserved_at IS NOT NULL AND reserved_at <= ?"
)

func newTexts(d *sqldb.Dialect, table string) *texts {
	t := d.Ident(table)
	return &texts{
		d: d, table: t,
		insert:  "INSERT INTO " + t + " (queue, attempts, reserved_at, available_at, created_at, payload) VALUES (?, 0, NULL, ?, ?, ?)",
		release: "INSERT INTO " + t + " (queue, attempts, reserved_at, available_at, created_at, payload) SELECT queue, attempts, NULL, ?, ?, payload FROM " + t,
		remove:  "DELETE FROM " + t,
		extend:  "UPDATE " + t + " SET reserved_at = ?",
		back:    "INSERT INTO " + t + " (queue, attempts, reserved_at, available_at, created_at, payload) SELECT queue, attempts - 1, NULL, ?, ?, payload FROM " + t,
	}
}

// rows is insert with n rows.
func (t *texts) rows(n int) string {
	return t.insert + strings.Repeat(",(?, 0, NULL, ?, ?, ?)", n-1)
}
