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
//
// Statements are written as templates, in which words in braces stand for what
// differs between layouts (see Layout.replacer).
type texts struct {
	d      *sqldb.Dialect
	layout Layout
	fill   *strings.Replacer
	table  string // quoted

	insert  string // one row: queue, available, created, payload
	release string // up to the WHERE
	remove  string
	extend  string
	back    string // return, up to the WHERE
	held    string // condition of a reserved row
}

// Conditions of the kinds; the arguments are the queue and a time. A job that
// was never delayed became available no later than it was created, also when
// PHP wrote it.
const (
	isReady = "queue = ? AND {free}{never} AND {due} <= ?"
	isDue   = "queue = ? AND {free}{later} AND {due} <= ?"
	isLate  = "queue = ? AND {held} AND {at} <= ?"
)

func newTexts(d *sqldb.Dialect, layout *Layout, table string) *texts {
	t := &texts{d: d, layout: *layout, fill: layout.replacer(d, table), table: d.Ident(table)}
	t.insert = t.sql("INSERT INTO {table} ({columns}) VALUES (?, 0, {none}, ?, ?, ?)")
	t.release = t.sql("INSERT INTO {table} ({columns}) SELECT queue, {again}, {none}, ?, ?, payload FROM {table}")
	t.back = t.sql("INSERT INTO {table} ({columns}) SELECT queue, {back}, {none}, ?, ?, payload FROM {table}")
	t.remove = t.sql("DELETE FROM {table}")
	t.extend = t.sql("UPDATE {table} SET {at} = ?")
	t.held = t.sql("{held}")
	return t
}

// sql fills in a template.
func (t *texts) sql(template string) string { return t.fill.Replace(template) }

// rows is insert with n rows.
func (t *texts) rows(n int) string {
	return t.insert + strings.Repeat(t.sql(",(?, 0, {none}, ?, ?, ?)"), n-1)
}
