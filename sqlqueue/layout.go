package sqlqueue

import (
	"slices"
	"strings"

	"github.com/spoolq/spool/sqldb"
)

// Layout is what one system stores in its jobs table: how it names the columns
// in which tables differ, and when it counts an attempt. It is data: the verbs
// of [Conn] are the same for every layout. The columns id, queue, payload and
// attempts are common to all.
type Layout struct {
	Name string // for messages, "laravel"

	ReservedAt  string // when the job was reserved; NULL: it isn't
	AvailableAt string // when it becomes due
	CreatedAt   string
	// Flag is a column that is 1 while the job is reserved and 0 otherwise; ""
	// if there is none.
	Flag string

	// CountsLater says that attempts rises when a job is released and when its
	// lease runs out, rather than when it is reserved: the delivery at hand is
	// one more than the column says.
	CountsLater bool
	// Indexed says that the table has Spool's indexes (package schema), and that
	// a job has been delayed if and only if it became available later than it was
	// created. Without it all columns but the id may be NULL.
	Indexed bool
}

// Laravel returns the layout of Laravel 5.3 to 13.
func Laravel() Layout {
	return Layout{Name: "laravel", ReservedAt: "reserved_at", AvailableAt: "available_at", CreatedAt: "created_at", Indexed: true}
}

// ThinkQueue1 returns the layout of think-queue 1.1 to 2.0 (profile tq1).
func ThinkQueue1() Layout {
	return Layout{Name: "tq1", ReservedAt: "reserved_at", AvailableAt: "available_at", CreatedAt: "created_at", Flag: "reserved", CountsLater: true}
}

// ThinkQueue302 returns the layout of think-queue 3.0.2, whose columns are
// those of Laravel.
func ThinkQueue302() Layout {
	return Layout{Name: "tq3-legacy (3.0.2)", ReservedAt: "reserved_at", AvailableAt: "available_at", CreatedAt: "created_at"}
}

// ThinkQueue3 returns the layout of think-queue 3.0.3 and later (profiles
// tq3-legacy and tq3).
func ThinkQueue3() Layout {
	return Layout{Name: "tq3", ReservedAt: "reserve_time", AvailableAt: "available_time", CreatedAt: "create_time"}
}

// columns returns the columns in which layouts differ.
func (l *Layout) columns() []string {
	c := []string{l.ReservedAt, l.AvailableAt, l.CreatedAt}
	if l.Flag != "" {
		c = append(c, l.Flag)
	}
	return c
}

// fits says whether a table of these columns can be one of the layout.
func (l *Layout) fits(columns []string) bool {
	for _, c := range l.columns() {
		if !slices.Contains(columns, c) {
			return false
		}
	}
	return l.Flag != "" || !slices.Contains(columns, ThinkQueue1().Flag)
}

// most is the largest number of attempts that a column of a layout which counts
// later is raised to: what an unsigned tinyint holds.
const most = "255"

// replacer returns what turns the words of a template into those of a layout.
func (l *Layout) replacer(d *sqldb.Dialect, table string) *strings.Replacer {
	count, next, again, back := "attempts", "attempts + 1", "attempts", "attempts - 1"
	free, held := l.ReservedAt+" IS NULL", l.ReservedAt+" IS NOT NULL"
	mark, unmark, flag, none := l.ReservedAt, l.ReservedAt+" = NULL", "", "NULL"
	never, later := " AND "+l.AvailableAt+" <= "+l.CreatedAt, " AND "+l.AvailableAt+" > "+l.CreatedAt
	if !l.Indexed {
		never, later = "", " AND 1 = 0" // all are looked for at once
		count = "COALESCE(attempts, 0)"
		next, again, back = count+" + 1", count, count+" - 1"
	}
	if l.Flag != "" {
		free, held = l.Flag+" = 0", l.Flag+" <> 0"
		mark, unmark = l.Flag+" = 1, "+l.ReservedAt, l.Flag+" = 0, "+l.ReservedAt+" = NULL"
		flag, none = l.Flag+", ", "0, NULL"
	}
	late := ""
	if l.CountsLater {
		again, back = "CASE WHEN "+count+" < "+most+" THEN "+count+" + 1 ELSE "+count+" END", count
		next = "CASE WHEN " + held + " AND " + count + " < " + most + " THEN " + count + " + 1 ELSE " + count + " END"
		late = "attempts = " + again + ", "
	}
	return strings.NewReplacer(
		"{table}", d.Ident(table),
		"{at}", l.ReservedAt, "{due}", l.AvailableAt, "{made}", l.CreatedAt,
		"{free}", free, "{held}", held, "{j.held}", "j."+held,
		"{never}", never, "{later}", later,
		"{mark}", mark, "{unmark}", unmark, "{expire}", late+unmark,
		"{columns}", "queue, attempts, "+flag+l.ReservedAt+", "+l.AvailableAt+", "+l.CreatedAt+", payload", "{none}", none,
		"{count}", count, "{next}", next, "{again}", again, "{back}", back,
	)
}

// A LayoutError is a table whose columns are not those of the layout in use.
type LayoutError struct {
	Table   string
	Layout  string   // the one in use
	Fits    string   // a layout that fits the table; "" if none does
	Missing []string // columns that the one in use has and the table hasn't
}

func (e *LayoutError) Error() string {
	s := "table " + e.Table + " is not one of " + e.Layout
	if len(e.Missing) > 0 {
		s += ": it has no column " + strings.Join(e.Missing, ", ")
	} else {
		s += ": it has a column reserved, which think-queue 1 and 2 (profile tq1) need set"
	}
	if e.Fits != "" {
		s += "; its columns are those of " + e.Fits + ": correct the connection's profile, or its table"
	}
	return s
}

// checkColumns returns a *LayoutError if a table of these columns can't be one
// of the layout.
func checkColumns(l *Layout, table string, columns []string) error {
	if l.fits(columns) {
		return nil
	}
	e := &LayoutError{Table: table, Layout: l.Name}
	for _, c := range l.columns() {
		if !slices.Contains(columns, c) {
			e.Missing = append(e.Missing, c)
		}
	}
	for _, other := range []Layout{ThinkQueue1(), ThinkQueue3(), Laravel()} {
		if other.fits(columns) {
			e.Fits = other.Name
			break
		}
	}
	return e
}
