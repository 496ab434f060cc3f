package sqlqueue_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/spoolq/spool/internal/testserver"
	"github.com/spoolq/spool/sqldb"
	"github.com/spoolq/spool/sqldb/mysql"
	"github.com/spoolq/spool/sqldb/postgres"
	"github.com/spoolq/spool/sqldb/sqlite"
	"github.com/spoolq/spool/sqlqueue"
)

// A table without an index on the queue is advised one, and following the
// advice ends it.
func TestAdviceOfAnIndex(t *testing.T) {
	for store, open := range map[string]func() (*sqldb.DB, error){
		"sqlite": func() (*sqldb.DB, error) { return sqlite.Open(filepath.Join(t.TempDir(), "queue.db"), nil) },
		"mysql":  func() (*sqldb.DB, error) { return mysql.Open(testserver.MySQL(t), nil) },
		"pgsql":  func() (*sqldb.DB, error) { return postgres.Open(testserver.Postgres(t), nil) },
	} {
		t.Run(store, func(t *testing.T) {
			db, err := open()
			db = opened(t, db, err)
			createThink(t, db, "tp_jobs", thinkTables[0].columns, thinkTables[0].rest)
			c := queue(t, db, &sqlqueue.Options{Table: "tp_jobs", Layout: new(sqlqueue.ThinkQueue1())})
			advice, err := c.Advise(t.Context())
			if err != nil || len(advice) != 1 {
				t.Fatalf("%q, %v", advice, err)
			}
			_, statement, ok := strings.Cut(advice[0], "; ")
			if !ok {
				t.Fatalf("no statement in %q", advice[0])
			}
			if _, err := db.SQL().ExecContext(t.Context(), statement); err != nil {
				t.Fatalf("%s: %v", statement, err)
			}
			if advice, err = c.Advise(t.Context()); err != nil || len(advice) != 0 {
				t.Errorf("with the index: %q, %v", advice, err)
			}
		})
	}
	db, err := sqlite.Open(filepath.Join(t.TempDir(), "queue.db"), nil)
	if advice, err := queue(t, tables(t, db, err), nil).Advise(t.Context()); err != nil || len(advice) != 0 {
		t.Errorf("Spool's own table: %q, %v", advice, err)
	}
}
