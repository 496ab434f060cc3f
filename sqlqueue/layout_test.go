package sqlqueue_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/driver/drivertest"
	"github.com/spoolq/spool/internal/testserver"
	"github.com/spoolq/spool/sqldb"
	"github.com/spoolq/spool/sqldb/mysql"
	"github.com/spoolq/spool/sqldb/postgres"
	"github.com/spoolq/spool/sqldb/schema"
	"github.com/spoolq/spool/sqldb/sqlite"
	"github.com/spoolq/spool/sqlqueue"
)

// thinkTables are think-queue's tables as its users make them: the README's of
// versions 1 and 2, that of 3.0.2, and think-migration's, in which everything
// may be NULL.
var thinkTables = []struct {
	name    string
	layout  sqlqueue.Layout
	columns string // in MySQL's words
	rest    string
}{
	{"tq1", sqlqueue.ThinkQueue1(),
		"queue varchar(255) NOT NULL, payload longtext NOT NULL, attempts tinyint(3) unsigned NOT NULL, reserved tinyint(3) unsigned NOT NULL, " +
			"reserved_at int(10) unsigned DEFAULT NULL, available_at int(10) unsigned NOT NULL, created_at int(10) unsigned NOT NULL", "ENGINE=InnoDB DEFAULT CHARSET=utf8mb4"},
	{"tq302", sqlqueue.ThinkQueue302(),
		"queue varchar(255) NOT NULL, payload longtext NOT NULL, attempts tinyint(3) unsigned NOT NULL, " +
			"reserved_at int(10) unsigned DEFAULT NULL, available_at int(10) unsigned NOT NULL, created_at int(10) unsigned NOT NULL", "ENGINE=InnoDB DEFAULT CHARSET=utf8mb4"},
	{"tq3", sqlqueue.ThinkQueue3(),
		"queue varchar(255) DEFAULT NULL, payload longtext DEFAULT NULL, attempts tinyint(4) unsigned DEFAULT NULL, " +
			"reserve_time int(11) unsigned DEFAULT NULL, available_time int(11) unsigned DEFAULT NULL, create_time int(11) unsigned DEFAULT NULL, KEY queue (queue)",
		"ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci"},
}

// createThink makes a table of columns in the words of db's dialect.
func createThink(t testing.TB, db *sqldb.DB, table, columns, rest string) {
	t.Helper()
	text := "CREATE TABLE " + db.Dialect().Ident(table) + " (id int(11) NOT NULL AUTO_INCREMENT PRIMARY KEY, " + columns + ") " + rest
	switch db.Dialect().Name {
	case sqldb.SQLite:
		text = strings.NewReplacer("int(11) NOT NULL AUTO_INCREMENT PRIMARY KEY", "integer PRIMARY KEY AUTOINCREMENT NOT NULL", " unsigned", "", ", KEY queue (queue)", "", rest, "").Replace(text)
	case sqldb.Postgres:
		text = strings.NewReplacer("int(11) NOT NULL AUTO_INCREMENT", "serial", "tinyint(3)", "smallint", "tinyint(4)", "smallint", "int(10)", "integer", "int(11)", "integer",
			" unsigned", "", "longtext", "text", ", KEY queue (queue)", "", rest, "").Replace(text)
	}
	if _, err := db.SQL().ExecContext(t.Context(), text); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	if _, err := schema.Create(t.Context(), db, schema.Names{Workers: "spool_workers"}); err != nil {
		t.Fatal(err)
	}
}

// opened is db, closed with the test.
func opened(t testing.TB, db *sqldb.DB, err error) *sqldb.DB {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("closing the database: %v", err)
		}
	})
	return db
}

// TestThinkQueue runs the suite on think-queue's tables.
func TestThinkQueue(t *testing.T) {
	t.Parallel() // it mostly waits
	t.Run("sqlite", func(t *testing.T) {
		for _, table := range thinkTables { // one after another: each commit is a sync of the one disk
			t.Run(table.name, func(t *testing.T) {
				conformThink(t, table.name, table.layout, func(t *testing.T) func() (*sqldb.DB, error) {
					file := filepath.Join(t.TempDir(), "queue.db") // of each case, for a file has one writer
					open := func() (*sqldb.DB, error) { return sqlite.Open(file, nil) }
					db, err := open()
					createThink(t, opened(t, db, err), table.name, table.columns, table.rest)
					return open
				})
			})
		}
	})
	if testing.Short() {
		return
	}
	my, pg := testserver.MySQL(t), testserver.Postgres(t)
	for store, open := range map[string]func() (*sqldb.DB, error){
		"mysql": func() (*sqldb.DB, error) { return mysql.Open(my, nil) },
		"pgsql": func() (*sqldb.DB, error) { return postgres.Open(pg, nil) },
	} {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			for _, table := range thinkTables {
				if table.name == "tq302" {
					continue // it is tq3 with other names
				}
				db, err := open()
				createThink(t, opened(t, db, err), table.name, table.columns, table.rest)
				t.Run(table.name, func(t *testing.T) {
					t.Parallel() // it mostly waits
					conformThink(t, table.name, table.layout, func(*testing.T) func() (*sqldb.DB, error) { return open })
				})
			}
		})
	}
}

// conformThink runs the suite on a table, in the store that database gives to a case.
func conformThink(t *testing.T, table string, layout sqlqueue.Layout, database func(t *testing.T) func() (*sqldb.DB, error)) {
	drivertest.Run(t, func(t *testing.T) drivertest.Harness {
		open := database(t)
		another := func(t *testing.T, keep bool) (*sqldb.DB, driver.Conn) {
			db, err := open()
			db = opened(t, db, err)
			return db, queue(t, db, &sqlqueue.Options{Table: table, Layout: &layout, RetryAfter: driver.MinLease, KeepExpired: keep})
		}
		db, conn := another(t, false)
		return drivertest.Harness{
			Conn:        conn,
			Second:      func(t *testing.T) driver.Conn { _, c := another(t, false); return c },
			KeepExpired: func(t *testing.T) driver.Conn { _, c := another(t, true); return c },
			Txs:         []drivertest.Tx{sqlTx(db)},
			ForeignTx:   foreign(t),
		}
	})
}

// A table of another layout is refused with the reason.
func TestWrongLayout(t *testing.T) {
	db, err := sqlite.Open(filepath.Join(t.TempDir(), "queue.db"), nil)
	db = tables(t, db, err)
	for _, table := range thinkTables {
		createThink(t, db, table.name, table.columns, table.rest)
	}
	laravel, tq1, tq3 := sqlqueue.Laravel(), sqlqueue.ThinkQueue1(), sqlqueue.ThinkQueue3()
	for _, c := range []struct {
		table  string
		layout *sqlqueue.Layout
		fits   string // "-" if the layout is right
	}{
		{"jobs", &laravel, "-"}, {"jobs", &tq1, "laravel"}, {"jobs", &tq3, "laravel"},
		{"tq1", &tq1, "-"}, {"tq1", &laravel, "tq1"}, {"tq1", &tq3, "tq1"},
		{"tq3", &tq3, "-"}, {"tq3", &laravel, "tq3"}, {"tq3", &tq1, "tq3"},
		{"failed_jobs", &tq3, ""},
	} {
		if c.table == "failed_jobs" {
			if _, err := db.SQL().ExecContext(t.Context(), "CREATE TABLE failed_jobs (id integer, payload text)"); err != nil {
				t.Fatal(err)
			}
		}
		err := queue(t, db, &sqlqueue.Options{Table: c.table, Layout: c.layout}).Ping(t.Context())
		if c.fits == "-" {
			if err != nil {
				t.Errorf("%s as %s: %v", c.table, c.layout.Name, err)
			}
			continue
		}
		var wrong *sqlqueue.LayoutError
		if !errors.As(err, &wrong) || wrong.Fits != c.fits {
			t.Errorf("%s as %s: %v, want it to fit %q", c.table, c.layout.Name, err, c.fits)
		}
	}
}

// Tables of three-byte letters, as think-queue's README makes them, take what
// JSON can escape; anything else is refused with its batch.
func TestOldCharacterSet(t *testing.T) {
	dsn := testserver.MySQL(t)
	db, err := mysql.Open(dsn, nil)
	db = opened(t, db, err)
	layout := sqlqueue.ThinkQueue1()
	createThink(t, db, "jobs3", thinkTables[0].columns, "ENGINE=InnoDB DEFAULT CHARSET=utf8")
	c := queue(t, db, &sqlqueue.Options{Table: "jobs3", Layout: &layout})
	if _, err := c.Push(t.Context(), "q", []driver.Message{{Body: []byte(`{"job":"J","data":"中文 👍\n"}`)}, {Body: []byte(`中`)}}); err != nil {
		t.Fatal(err)
	}
	rs, err := c.Reserve(t.Context(), "q", 10)
	if err != nil || len(rs) != 2 {
		t.Fatalf("%d jobs, %v", len(rs), err)
	}
	if got := string(rs[0].Body); got != `{"job":"J","data":"中文 \ud83d\udc4d\n"}` {
		t.Errorf("stored as %s", got)
	}
	_, err = c.Push(t.Context(), "other", []driver.Message{{Body: []byte(`1`)}, {Body: []byte(`👍`)}})
	var limit *driver.LimitError
	if !errors.As(err, &limit) || limit.Index != 1 || limit.What != "text" {
		t.Errorf("text that can't be escaped: %v", err)
	}
	if n, err := c.Size(t.Context(), "other"); n.Total() != 0 || err != nil {
		t.Errorf("%+v was stored, %v", n, err)
	}
}

// Attempts of think-queue 1 and 2 end at what their column holds, and neither
// fail a batch nor lose the fence; NULLs of tables made by hand are read.
func TestThinkRows(t *testing.T) {
	db, err := mysql.Open(testserver.MySQL(t), nil)
	db = opened(t, db, err)
	for _, table := range thinkTables {
		createThink(t, db, table.name, table.columns, table.rest)
	}
	exec := func(query string, args ...any) {
		t.Helper()
		if _, err := db.SQL().ExecContext(t.Context(), query, args...); err != nil {
			t.Fatal(err)
		}
	}
	tq1, tq3 := sqlqueue.ThinkQueue1(), sqlqueue.ThinkQueue3()
	exec("INSERT INTO tq1 (queue, payload, attempts, reserved, reserved_at, available_at, created_at) VALUES ('q', '1', 255, 0, NULL, 1, 1), ('q', '2', 254, 1, 1, 1, 1), ('q', '3', 7, 0, NULL, 1, 1)")
	c := queue(t, db, &sqlqueue.Options{Table: "tq1", Layout: &tq1})
	rs, err := c.Reserve(t.Context(), "q", 10)
	if err != nil || len(rs) != 3 || rs[0].Attempts != 256 || rs[1].Attempts != 256 || rs[2].Attempts != 8 {
		t.Fatalf("%+v, %v", rs, err)
	}
	if err := c.Release(t.Context(), rs, 0); err != nil {
		t.Fatal(err)
	}
	again, err := c.Reserve(t.Context(), "q", 10)
	if err != nil || len(again) != 3 || again[2].Attempts != 9 {
		t.Fatalf("%+v, %v", again, err)
	}
	if err := c.Delete(t.Context(), rs); !errors.Is(err, driver.ErrLost) {
		t.Errorf("reservations that were released delete others: %v", err)
	}
	var marked int
	if err := db.SQL().QueryRowContext(t.Context(), "SELECT COUNT(*) FROM tq1 WHERE reserved = 1 AND reserved_at IS NOT NULL").Scan(&marked); err != nil || marked != 3 {
		t.Errorf("%d rows are marked as reserved, want 3 (%v)", marked, err)
	}

	exec("INSERT INTO tq3 (queue, payload, attempts, available_time) VALUES ('q', 'a', NULL, 1), ('q', NULL, 255, 1), (NULL, NULL, NULL, NULL)")
	c = queue(t, db, &sqlqueue.Options{Table: "tq3", Layout: &tq3})
	if es, _, err := c.List(t.Context(), "q", driver.Pending, "", 10); err != nil || len(es) != 2 || !es[0].Created.IsZero() {
		t.Fatalf("%+v, %v", es, err)
	}
	rs, err = c.Reserve(t.Context(), "q", 10)
	if err != nil || len(rs) != 2 || rs[0].Attempts != 1 || rs[1].Attempts != 255 {
		t.Fatalf("%+v, %v", rs, err)
	}
	if err := c.Return(t.Context(), rs[:1], 0); err != nil {
		t.Error(err)
	}
	if err := c.Delete(t.Context(), rs[1:]); err != nil {
		t.Error(err)
	}
	if names, err := c.Queues(t.Context()); err != nil || len(names) != 1 || names[0] != "q" {
		t.Errorf("%q, %v", names, err)
	}
}
