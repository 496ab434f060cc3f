package chain_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/beanstalkqueue"
	"github.com/spoolq/spool/chain"
	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/failed"
	"github.com/spoolq/spool/internal/testserver"
	"github.com/spoolq/spool/redisdb"
	"github.com/spoolq/spool/redisqueue"
	"github.com/spoolq/spool/retry"
	"github.com/spoolq/spool/sqldb"
	"github.com/spoolq/spool/sqldb/mysql"
	"github.com/spoolq/spool/sqldb/postgres"
	"github.com/spoolq/spool/sqldb/schema"
	"github.com/spoolq/spool/sqldb/sqlite"
	"github.com/spoolq/spool/sqlqueue"
	"github.com/spoolq/spool/worker"
)

func TestMain(m *testing.M) { testserver.Main(m) }

// stores are the backends that a process of its own serves.
var stores = map[string]func(t *testing.T) (driver.Conn, error){
	"redis": func(t *testing.T) (driver.Conn, error) {
		host, port, err := net.SplitHostPort(testserver.Redis(t))
		if err != nil {
			return nil, err
		}
		n, err := strconv.Atoi(port)
		if err != nil {
			return nil, err
		}
		client, err := redisdb.Open(t.Context(), redisdb.Options{Host: host, Port: n})
		if err != nil {
			return nil, err
		}
		t.Cleanup(client.Close)
		return redisqueue.New(client, &redisqueue.Options{Prefix: rand.Text() + ":"})
	},
	"beanstalkd": func(t *testing.T) (driver.Conn, error) {
		return beanstalkqueue.Open(t.Context(), testserver.NewBeanstalkd(t).Addr, nil)
	},
	"sqlite": func(t *testing.T) (driver.Conn, error) {
		db, err := sqlite.Open(filepath.Join(t.TempDir(), "queue.db"), nil)
		return tables(t, db, err)
	},
	"mysql": func(t *testing.T) (driver.Conn, error) {
		db, err := mysql.Open(testserver.MySQL(t), nil)
		return tables(t, db, err)
	},
	"pgsql": func(t *testing.T) (driver.Conn, error) {
		db, err := postgres.Open(testserver.Postgres(t), nil)
		return tables(t, db, err)
	},
}

// tables returns a queue in a database that was opened.
func tables(t *testing.T, db *sqldb.DB, err error) (driver.Conn, error) {
	t.Helper()
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = db.Close() })
	statements, err := schema.Statements(db.Dialect(), schema.Names{Jobs: "jobs"}, 13)
	if err != nil {
		return nil, err
	}
	for _, s := range statements {
		if _, err := db.SQL().ExecContext(t.Context(), s); err != nil {
			return nil, fmt.Errorf("%s: %w", s, err)
		}
	}
	return sqlqueue.New(db, nil)
}

// On every store a chain runs to its end, stops where a link fails, is found
// there if the store can be listed, and goes on when the link is retried.
func TestStores(t *testing.T) {
	for name, open := range stores {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn, err := open(t)
			if err != nil {
				t.Fatal(err)
			}
			m := spool.NewManager(nil)
			m.Add(spool.ConnectionConfig{Name: name, Open: func(context.Context) (driver.Conn, error) { return conn, nil }})
			t.Cleanup(func() { _ = m.Close() })
			walk(t, m, failed.NewFile(filepath.Join(t.TempDir(), "failed.json"), nil))
		})
	}
}

func walk(t *testing.T, m *spool.Manager, store failed.Store) {
	conn, err := m.Connection(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var ran []string
	broken := true
	note := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		ran = append(ran, fmt.Sprintf(format, args...))
	}
	mux := spool.NewMux()
	spool.Handle(mux, func(_ context.Context, r Record) error { note("record %d", r.Episode); return nil })
	spool.Handle(mux, func(_ context.Context, r Mix) error {
		note("mix %d", r.Episode)
		if broken {
			return errors.New(`no "tape"/磁带`)
		}
		return nil
	})
	spool.Handle(mux, func(ctx context.Context, r Publish) error {
		caught, _ := spool.CaughtFrom(ctx)
		note("publish %d %s", r.Episode, caught.Error)
		return nil
	})
	work := func(want ...string) {
		t.Helper()
		o := &worker.Options{Queues: []string{"default", "slow"}, Concurrency: 1, StopWhenEmpty: true, Failed: store, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}
		if _, err := worker.New(conn, mux, o).Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, ran); d != "" {
			t.Errorf("(-want +got)\n%s", d)
		}
		ran = nil
	}
	big := 9007199254740993 // no number for a float
	ref, err := spool.NewClient(m, nil).Chain(Record{big}, spool.With(Mix{big}, spool.OnQueue("slow")), Publish{big}).Catch(Publish{0}).Dispatch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	find := func(queue string, state driver.State) {
		t.Helper()
		s, err := chain.Find(t.Context(), m, store, ref.UUID, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, lists := conn.Driver().(driver.Lister); !lists && state != chain.Failed {
			if len(s.Unlisted) == 0 {
				t.Errorf("what can't be listed isn't said: %+v", s)
			}
			return
		}
		if len(s.Links) != 1 || s.Links[0].Queue != queue || s.Links[0].State != state {
			t.Errorf("found %+v", s)
		}
	}
	find("default", driver.Pending)
	work(fmt.Sprint("record ", big), fmt.Sprint("mix ", big), `publish 0 no "tape"/磁带`)
	find("slow", chain.Failed)
	broken = false
	if err := retry.All(t.Context(), m, store, failed.Filter{}, nil); err != nil {
		t.Fatal(err)
	}
	find("slow", driver.Pending)
	work(fmt.Sprint("mix ", big), fmt.Sprint("publish ", big, " "))
}
