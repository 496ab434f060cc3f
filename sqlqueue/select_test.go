package sqlqueue_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/internal/testserver"
	"github.com/spoolq/spool/sqldb"
	"github.com/spoolq/spool/sqldb/mysql"
	"github.com/spoolq/spool/sqldb/postgres"
	"github.com/spoolq/spool/sqldb/sqlite"
)

// BenchmarkSelect looks in vain through others, which is what a look costs, and
// takes ten jobs at a time from behind them.
func BenchmarkSelect(b *testing.B) {
	const others = 10_000
	file := filepath.Join(b.TempDir(), "queue.db")
	for name, open := range map[string]func() (*sqldb.DB, error){
		"sqlite": func() (*sqldb.DB, error) { return sqlite.Open(file, nil) },
		"mysql":  func() (*sqldb.DB, error) { return mysql.Open(testserver.MySQL(b), nil) },
		"pgsql":  func() (*sqldb.DB, error) { return postgres.Open(testserver.Postgres(b), nil) },
	} {
		b.Run(name, func(b *testing.B) {
			db, err := open()
			c := queue(b, tables(b, db, err), nil)
			push := func(name string, n int) {
				ms := make([]driver.Message, n)
				for i := range ms {
					ms[i].Body = fmt.Appendf(nil, `{"uuid":"%d","job":"%s","data":"%s"}`, i, name, strings.Repeat("x", 500))
				}
				if _, err := c.Push(b.Context(), "q", ms); err != nil {
					b.Fatal(err)
				}
			}
			take := func(want int) {
				s := &driver.Selection{Keys: []string{`"job":"`, `"commandName":"`}, Names: []string{"mine"}, End: `"`}
				for got := 0; ; {
					rs, err := c.ReserveMatching(b.Context(), "q", 10, s)
					if err != nil {
						b.Fatal(err)
					}
					if got += len(rs); got == want {
						return
					}
				}
			}
			push("others", others)
			b.Run("in vain", func(b *testing.B) {
				for b.Loop() {
					take(0)
				}
			})
			b.Run("1000 behind", func(b *testing.B) {
				for b.Loop() {
					b.StopTimer()
					push("mine", 1000)
					b.StartTimer()
					take(1000)
				}
			})
		})
	}
}
