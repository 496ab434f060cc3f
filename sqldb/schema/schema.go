// Package schema holds Laravel's queue and cache tables as SQL text, and
// creates and checks them.
//
// The tables are exactly Laravel's: a PHP application and Spool share them.
// Spool adds only indexes to the jobs table, which keep reserving fast however
// many jobs wait or are delayed, and tables of its own for workers and batches; PHP
// neither needs nor notices them.
package schema

import (
	"embed"
	"fmt"
	"slices"
	"strings"

	"github.com/spoolq/spool/sqldb"
)

//go:embed sql
var files embed.FS

// Newest is the newest Laravel whose tables are known; the tables of 8 to 13
// differ in a few column types only, which all of them can work with.
const Newest = 13

// Names are the tables to create or check. An empty name is a table that is
// not wanted; a name may be qualified by a schema ("app.jobs").
type Names struct {
	Jobs       string
	FailedJobs string
	JobBatches string
	Cache      string
	CacheLocks string
	Workers    string // Spool's own: the records of its workers
	// Spool's own: which members of batches have ended, and which callbacks of
	// batches are owed.
	BatchEnds, BatchCallbacks string
}

// DefaultNames are the names in Laravel's stock configuration, and Spool's.
func DefaultNames() Names {
	return Names{Jobs: "jobs", FailedJobs: "failed_jobs", JobBatches: "job_batches", Cache: "cache", CacheLocks: "cache_locks", Workers: "spool_workers",
		BatchEnds: "spool_batch_ends", BatchCallbacks: "spool_batch_callbacks"}
}

// table is one wanted table: its kind is the name of its SQL file.
type table struct{ kind, name string }

func (n Names) tables() []table {
	all := []table{
		{"jobs", n.Jobs}, {"failed_jobs", n.FailedJobs}, {"job_batches", n.JobBatches},
		{"cache", n.Cache}, {"cache_locks", n.CacheLocks}, {"workers", n.Workers},
		{"batch_ends", n.BatchEnds}, {"batch_callbacks", n.BatchCallbacks},
	}
	return slices.DeleteFunc(all, func(t table) bool { return t.name == "" })
}

// Statements returns the SQL that creates the named tables with their indexes,
// in order, as Laravel's given version makes them (8 to 13; 0 means Newest).
// The statements have no closing semicolons and fail if a table exists.
func Statements(d *sqldb.Dialect, names Names, version int) ([]string, error) {
	if version == 0 {
		version = Newest
	}
	if version < 8 || version > Newest {
		return nil, fmt.Errorf("schema: Laravel %d is not known; give a version from 8 to %d", version, Newest)
	}
	var all []string
	for _, t := range names.tables() {
		stmts, err := render(d, t, t.kind, version, false)
		if err != nil {
			return nil, err
		}
		all = append(all, stmts...)
		if t.kind == "jobs" {
			stmts, err := Index(d, t.name)
			if err != nil {
				return nil, err
			}
			all = append(all, stmts...)
		}
	}
	return all, nil
}

// Script is Statements as one text, for a migration file.
func Script(d *sqldb.Dialect, names Names, version int) (string, error) {
	stmts, err := Statements(d, names, version)
	if err != nil {
		return "", err
	}
	return strings.Join(stmts, ";\n\n") + ";\n", nil
}

// Index returns the SQL of the indexes that Spool adds to a jobs table.
func Index(d *sqldb.Dialect, jobs string) ([]string, error) {
	return render(d, table{"jobs", jobs}, "index", Newest, false)
}

// NotifyTrigger returns the SQL of an optional statement trigger on a
// PostgreSQL jobs table: every INSERT, PHP's too, wakes waiting workers. It
// makes commits of inserts a little dearer, since the server commits
// notifications one at a time. Other databases have none.
func NotifyTrigger(d *sqldb.Dialect, jobs string) ([]string, error) {
	if d.Name != sqldb.Postgres {
		return nil, fmt.Errorf("schema: %s has no NOTIFY, so no trigger for it", d.Name)
	}
	return render(d, table{"jobs", jobs}, "notify", Newest, false)
}

// IndexNames returns the names of the indexes that Spool adds to a jobs table.
func IndexNames(d *sqldb.Dialect, jobs string) []string {
	base := bare(jobs)
	if d.Name == sqldb.MySQL {
		return []string{base + "_spool_due"}
	}
	return []string{base + "_spool_ready", base + "_spool_due", base + "_spool_lease"}
}

// Channel is the PostgreSQL channel that carries pushes to a jobs table; the
// payload of a notification is the name of the queue.
func Channel(jobs string) string {
	c := "spool:" + bare(jobs)
	return c[:min(len(c), 63)] // the longest name that PostgreSQL takes
}

// bare is a table's name without its schema.
func bare(name string) string { return name[strings.LastIndexByte(name, '.')+1:] }

// render fills in the SQL file of a kind and splits it into statements.
func render(d *sqldb.Dialect, t table, kind string, version int, concurrently bool) ([]string, error) {
	text, err := files.ReadFile("sql/" + d.Name + "/" + kind + ".sql")
	if err != nil {
		return nil, fmt.Errorf("schema: %s has no table %q: %w", d.Name, kind, err)
	}
	base := bare(t.name)
	pairs := []string{
		"{table}", d.Ident(t.name),
		"{table_queue_index}", d.Ident(base + "_queue_index"),
		"{table_uuid_unique}", d.Ident(base + "_uuid_unique"),
		"{table_spool_ready}", d.Ident(base + "_spool_ready"),
		"{table_spool_due}", d.Ident(base + "_spool_due"),
		"{table_spool_lease}", d.Ident(base + "_spool_lease"),
		"{table_spool_notify}", d.Ident(strings.TrimSuffix(t.name, base) + base + "_spool_notify"),
		"{trigger}", d.Ident("spool_notify"),
		"{channel}", "'" + strings.ReplaceAll(Channel(t.name), "'", "''") + "'",
		"{concurrently}", map[bool]string{true: "CONCURRENTLY "}[concurrently],
	}
	filled := strings.NewReplacer(append(pairs, versioned(d, t, version)...)...).Replace(string(text))
	return split(filled), nil
}

// versioned are the types that Laravel's versions disagree about.
func versioned(d *sqldb.Dialect, t table, version int) []string {
	id := map[string]string{
		sqldb.SQLite:   `"id" integer NOT NULL PRIMARY KEY AUTOINCREMENT`,
		sqldb.MySQL:    "`id` bigint unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY",
		sqldb.Postgres: `"id" bigserial NOT NULL PRIMARY KEY`,
	}[d.Name]
	attempts, short, ids, expiration, expiryIndex := "tinyint", "text", "text", "integer", ""
	if version >= 9 {
		ids = "longtext"
	}
	if version >= 12 {
		if expiration = "bigint"; d.Name == sqldb.SQLite {
			expiration = "integer"
		}
		expiryIndex = "CREATE INDEX " + d.Ident(bare(t.name)+"_expiration_index") + " ON " + d.Ident(t.name) + " (" + d.Ident("expiration") + ");"
	}
	failedIndex := ""
	if version >= 13 {
		attempts = "smallint"
		if short = "varchar(255)"; d.Name == sqldb.SQLite {
			short = "varchar"
		}
		failedIndex = "CREATE INDEX " + d.Ident(bare(t.name)+"_connection_queue_failed_at_index") + " ON " + d.Ident(t.name) +
			" (" + d.Ident("connection") + ", " + d.Ident("queue") + ", " + d.Ident("failed_at") + ");"
	}
	return []string{"{id}", id, "{attempts}", attempts, "{short}", short, "{ids}", ids,
		"{expiration}", expiration, "{expiry_index}", expiryIndex, "{failed_index}", failedIndex}
}

// split cuts a text at the semicolons that end a line, but not inside a
// dollar-quoted function body.
func split(text string) []string {
	var stmts []string
	var b strings.Builder
	quoted := false
	for line := range strings.Lines(text) {
		if strings.Count(line, "$$")%2 == 1 {
			quoted = !quoted
		}
		b.WriteString(line)
		if !quoted && strings.HasSuffix(strings.TrimSpace(line), ";") {
			if s := strings.TrimSuffix(strings.TrimSpace(b.String()), ";"); s != "" {
				stmts = append(stmts, s)
			}
			b.Reset()
		}
	}
	return stmts
}
