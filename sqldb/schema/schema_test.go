package schema_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spoolq/spool/internal/testserver"
	"github.com/spoolq/spool/sqldb"
	"github.com/spoolq/spool/sqldb/mysql"
	"github.com/spoolq/spool/sqldb/postgres"
	"github.com/spoolq/spool/sqldb/schema"
	"github.com/spoolq/spool/sqldb/sqlite"
)

func TestMain(m *testing.M) { testserver.Main(m) }

// onEach runs a test on an empty database of each kind.
func onEach(t *testing.T, f func(t *testing.T, db *sqldb.DB)) {
	for name, open := range map[string]func() (*sqldb.DB, error){
		sqldb.SQLite:   func() (*sqldb.DB, error) { return sqlite.Open(filepath.Join(t.TempDir(), "q.db"), nil) },
		sqldb.MySQL:    func() (*sqldb.DB, error) { return mysql.Open(testserver.MySQL(t), nil) },
		sqldb.Postgres: func() (*sqldb.DB, error) { return postgres.Open(testserver.Postgres(t), nil) },
	} {
		t.Run(name, func(t *testing.T) {
			db, err := open()
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := db.Close(); err != nil {
					t.Error(err)
				}
			})
			f(t, db)
		})
	}
}

func execute(t *testing.T, db *sqldb.DB, statement string) {
	t.Helper()
	err := db.Write(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, statement)
		return err
	})
	if err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// describe lists the columns and indexes of a table as the server knows them.
func describe(t *testing.T, db *sqldb.DB, table string) string {
	t.Helper()
	queries := map[string][]string{
		sqldb.SQLite: {
			`SELECT name, lower(type), "notnull", coalesce(dflt_value, ''), pk FROM pragma_table_info(?)`,
			`SELECT 'index', l.name, l."unique", group_concat(i.name), '' FROM pragma_index_list(?) AS l, pragma_index_info(l.name) AS i WHERE l.origin = 'c' GROUP BY l.name ORDER BY l.name`,
		},
		sqldb.MySQL: {
			`SELECT column_name, column_type, is_nullable, coalesce(column_default, ''), extra FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = ? ORDER BY ordinal_position`,
			`SELECT 'index', index_name, non_unique, group_concat(column_name ORDER BY seq_in_index), '' FROM information_schema.statistics WHERE table_schema = DATABASE() AND table_name = ? GROUP BY index_name, non_unique ORDER BY index_name`,
		},
		sqldb.Postgres: {
			`SELECT column_name, concat(data_type, ' ', character_maximum_length), is_nullable, coalesce(column_default, ''), coalesce(datetime_precision::text, '') FROM information_schema.columns WHERE table_schema = current_schema() AND table_name = $1 ORDER BY ordinal_position`,
			`SELECT 'index', indexname, regexp_replace(indexdef, '^.* USING ', ''), indexdef LIKE '%UNIQUE%', '' FROM pg_indexes WHERE schemaname = current_schema() AND tablename = $1 ORDER BY indexname`,
		},
	}[db.Dialect().Name]
	var b strings.Builder
	read := func(q string) {
		rows, err := db.SQL().QueryContext(t.Context(), q, table)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		for rows.Next() {
			var c [5]string
			if err := rows.Scan(&c[0], &c[1], &c[2], &c[3], &c[4]); err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&b, "%s.%s\n", table, strings.Join(c[:], " | "))
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
	}
	for _, q := range queries {
		read(q)
	}
	// MySQL 8 and MariaDB print some things differently.
	s := regexp.MustCompile(`\b(tinyint|smallint|int|bigint)\(\d+\)`).ReplaceAllString(b.String(), "$1")
	return strings.NewReplacer("current_timestamp()", "CURRENT_TIMESTAMP", "NULL", "", " DEFAULT_GENERATED", "").Replace(s)
}

// all describes the five tables, without the indexes that Spool adds.
func all(t *testing.T, db *sqldb.DB) string {
	t.Helper()
	var lines []string
	for _, table := range []string{"jobs", "failed_jobs", "job_batches", "cache", "cache_locks"} {
		for line := range strings.Lines(describe(t, db, table)) {
			if !strings.Contains(line, "_spool_") {
				lines = append(lines, line)
			}
		}
	}
	return strings.Join(lines, "")
}

// TestTablesAreLaravels compares with what the migrations of the real Laravel
// 8.83 made on the same servers (testdata), column by column.
func TestTablesAreLaravels(t *testing.T) {
	onEach(t, func(t *testing.T, db *sqldb.DB) {
		stmts, err := schema.Statements(db.Dialect(), schema.DefaultNames(), 8)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range stmts {
			execute(t, db, s)
		}
		golden, err := os.ReadFile(filepath.Join("testdata", "laravel8-"+db.Dialect().Name+".txt"))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(golden), all(t, db)); diff != "" {
			t.Errorf("the tables differ (-Laravel +Spool):\n%s", diff)
		}
	})
}

func TestEveryVersionCanBeCreated(t *testing.T) {
	onEach(t, func(t *testing.T, db *sqldb.DB) {
		for v := 8; v <= schema.Newest; v++ {
			script, err := schema.Script(db.Dialect(), schema.DefaultNames(), v)
			if err != nil {
				t.Fatal(err)
			}
			for s := range strings.SplitSeq(strings.TrimSuffix(strings.TrimSpace(script), ";"), ";\n\n") {
				execute(t, db, s)
			}
			if missing, err := schema.Missing(t.Context(), db, schema.DefaultNames()); err != nil || len(missing) > 0 {
				t.Errorf("version %d: missing %q, %v", v, missing, err)
			}
			for _, table := range []string{"jobs", "failed_jobs", "job_batches", "cache", "cache_locks", "spool_workers", "spool_batch_ends", "spool_batch_callbacks"} {
				execute(t, db, "DROP TABLE "+table)
			}
		}
		for _, v := range []int{7, schema.Newest + 1} {
			if _, err := schema.Statements(db.Dialect(), schema.DefaultNames(), v); err == nil {
				t.Errorf("Laravel %d: no error", v)
			}
		}
	})
}

func TestCreate(t *testing.T) {
	onEach(t, func(t *testing.T, db *sqldb.DB) {
		names := schema.Names{Jobs: "app_jobs", FailedJobs: "app_failed"}
		missing, err := schema.Missing(t.Context(), db, names)
		if err != nil || !slices.Equal(missing, []string{"app_jobs", "app_failed"}) {
			t.Errorf("missing at first: %q, %v", missing, err)
		}
		steps := func() string {
			t.Helper()
			all, err := schema.Create(t.Context(), db, names)
			if err != nil {
				t.Fatal(err)
			}
			var b strings.Builder
			for _, s := range all {
				fmt.Fprintf(&b, "%s %v %s\n", s.Table, s.Done, s.What)
			}
			return b.String()
		}
		if got, want := steps(), "app_jobs true created\napp_failed true created\n"; got != want {
			t.Errorf("first time:\n%s, want\n%s", got, want)
		}
		if got, want := steps(), "app_jobs false exists\napp_failed false exists\n"; got != want {
			t.Errorf("second time:\n%s, want\n%s", got, want)
		}
		if missing, err := schema.Missing(t.Context(), db, names); err != nil || len(missing) > 0 {
			t.Errorf("missing at last: %q, %v", missing, err)
		}
	})
}

// TestCreateAddsIndexesToAnExistingTable has a table as PHP made it, with jobs.
func TestCreateAddsIndexesToAnExistingTable(t *testing.T) {
	onEach(t, func(t *testing.T, db *sqldb.DB) {
		d := db.Dialect()
		stmts, err := schema.Statements(d, schema.Names{Jobs: "jobs"}, 8)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range stmts {
			if !strings.Contains(s, "_spool_") {
				execute(t, db, s)
			}
		}
		execute(t, db, "INSERT INTO jobs (queue, payload, attempts, available_at, created_at) VALUES ('default', '{}', 0, 1, 1)")
		before := all(t, db)
		missing, err := schema.Missing(t.Context(), db, schema.Names{Jobs: "jobs"})
		if err != nil || len(missing) != len(schema.IndexNames(d, "jobs")) || !strings.Contains(missing[0], "jobs (index jobs_spool_") {
			t.Errorf("missing: %q, %v", missing, err)
		}
		steps, err := schema.Create(t.Context(), db, schema.Names{Jobs: "jobs"})
		if err != nil {
			t.Fatal(err)
		}
		if len(steps) != 1+len(missing) || steps[0].Done || !steps[1].Done || !strings.HasPrefix(steps[1].What, "added index jobs_spool_") {
			t.Errorf("steps: %+v", steps)
		}
		if missing, err := schema.Missing(t.Context(), db, schema.Names{Jobs: "jobs"}); err != nil || len(missing) > 0 {
			t.Errorf("missing afterwards: %q, %v", missing, err)
		}
		if after := all(t, db); after != before {
			t.Errorf("more than indexes changed:\n%s", cmp.Diff(before, after))
		}
	})
}

func TestNotifyTriggerIsForPostgresOnly(t *testing.T) {
	if _, err := schema.NotifyTrigger(sqldb.NewMySQL(), "jobs"); err == nil {
		t.Error("MySQL: no error")
	}
	stmts, err := schema.NotifyTrigger(sqldb.NewPostgres(), "app.jobs")
	if err != nil || len(stmts) != 3 {
		t.Fatalf("%d statements, %v", len(stmts), err)
	}
	for _, want := range []string{`"app"."jobs_spool_notify"`, `'spool:jobs'`, `"app"."jobs"`} {
		if !strings.Contains(strings.Join(stmts, "\n"), want) {
			t.Errorf("%s is not in %q", want, stmts)
		}
	}
}

func TestChannelNamesFit(t *testing.T) {
	if c := schema.Channel("app.jobs"); c != "spool:jobs" {
		t.Errorf("channel %q", c)
	}
	if c := schema.Channel(strings.Repeat("x", 63)); len(c) != 63 {
		t.Errorf("channel of %d bytes", len(c))
	}
}
