package schedule_test

import (
	"crypto/rand"
	"net"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/spoolq/spool/cache"
	"github.com/spoolq/spool/cache/rediscache"
	"github.com/spoolq/spool/internal/testserver"
	"github.com/spoolq/spool/redisdb"
	"github.com/spoolq/spool/schedule"
	"github.com/spoolq/spool/sqldb"
	"github.com/spoolq/spool/sqldb/mysql"
	"github.com/spoolq/spool/sqldb/postgres"
	"github.com/spoolq/spool/sqldb/schema"
	"github.com/spoolq/spool/sqldb/sqlite"
)

// opener opens one shared store, each time anew, as other processes do.
type opener func(t *testing.T) func() schedule.Store

var stores = map[string]opener{
	"file": func(t *testing.T) func() schedule.Store {
		dir := t.TempDir()
		return func() schedule.Store { return cache.NewFile(dir, nil) }
	},
	"redis": func(t *testing.T) func() schedule.Store {
		host, text, err := net.SplitHostPort(testserver.Redis(t))
		if err != nil {
			t.Fatal(err)
		}
		port, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		prefix := "schedule_" + rand.Text() + ":"
		return func() schedule.Store {
			client, err := redisdb.Open(t.Context(), redisdb.Options{Host: host, Port: port})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(client.Close)
			return rediscache.New(client, &rediscache.Options{Prefix: prefix})
		}
	},
	"sqlite": func(t *testing.T) func() schedule.Store {
		path := filepath.Join(t.TempDir(), "db.sqlite")
		return onSQL(t, func() (*sqldb.DB, error) { return sqlite.Open(path, nil) })
	},
	"mysql": func(t *testing.T) func() schedule.Store {
		dsn := testserver.MySQL(t)
		return onSQL(t, func() (*sqldb.DB, error) { return mysql.Open(dsn, nil) })
	},
	"pgsql": func(t *testing.T) func() schedule.Store {
		dsn := testserver.Postgres(t)
		return onSQL(t, func() (*sqldb.DB, error) { return postgres.Open(dsn, nil) })
	},
}

func onSQL(t *testing.T, open func() (*sqldb.DB, error)) func() schedule.Store {
	opened := func() *sqldb.DB {
		db, err := open()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		})
		return db
	}
	db, names := opened(), schema.DefaultNames()
	statements, err := schema.Statements(db.Dialect(), schema.Names{Cache: names.Cache, CacheLocks: names.CacheLocks}, schema.Newest)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range statements {
		if _, err := db.SQL().ExecContext(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	return func() schedule.Store { return cache.NewSQL(opened(), nil) }
}

// Three schedulers at once dispatch each tick of a second once, on every store.
func TestSchedulersAtOnce(t *testing.T) {
	for name, open := range stores {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			share := open(t)
			f := newFleet(t, share())
			var stops []func()
			for range 3 {
				stops = append(stops, f.start(f.scheduler(share(), func(s *schedule.Scheduler) {
					s.Every(time.Second, Report{}).Name("e").CatchUp(1000)
				})))
			}
			for end := time.Now().Add(time.Minute); len(f.ran()) < 4 && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
			}
			for _, stop := range stops {
				stop()
			}
			got := f.dispatched
			if len(got) < 4 {
				t.Fatalf("ran %q; %s", f.ran(), f.logged())
			}
			for i, e := range got[1:] {
				if e.Tick.Sub(got[i].Tick) != time.Second || e.Ref.UUID == got[i].Ref.UUID {
					t.Errorf("%v behind %v; %s", e, got[i], f.logged())
				}
			}
			f.same("missed", f.told())
		})
	}
}

// Another scheduler takes over what one that died had at hand, on every store.
func TestTakingOver(t *testing.T) {
	for name, open := range stores {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			share := open(t)
			f := newFleet(t, share())
			dead := f.scheduler(&flaky{Store: share(), left: 1}, func(s *schedule.Scheduler) { s.Every(time.Hour, Report{}).Name("e") })
			schedule.SetLease(dead, time.Second)
			now := time.Now()
			schedule.SetClock(dead, func() time.Time { return now.Truncate(time.Hour) })
			if _, err := dead.RunDue(t.Context()); err == nil {
				t.Fatal("it has not died")
			}
			next := f.scheduler(share(), func(s *schedule.Scheduler) { s.Every(time.Hour, Report{}).Name("e") })
			schedule.SetClock(next, func() time.Time { return now.Truncate(time.Hour) })
			for end := time.Now().Add(time.Minute); len(f.ran()) < 2 && time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
				if _, err := next.RunDue(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if got := f.dispatched; len(got) != 2 || got[0].Ref.UUID != got[1].Ref.UUID {
				t.Errorf("ran %+v", got)
			}
		})
	}
}
