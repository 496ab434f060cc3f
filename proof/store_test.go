package proof

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/beanstalkqueue"
	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/failed"
	"github.com/spoolq/spool/internal/testserver"
	"github.com/spoolq/spool/redisdb"
	"github.com/spoolq/spool/redisqueue"
	"github.com/spoolq/spool/sqldb"
	"github.com/spoolq/spool/sqldb/mysql"
	"github.com/spoolq/spool/sqldb/postgres"
	"github.com/spoolq/spool/sqldb/schema"
	"github.com/spoolq/spool/sqldb/sqlite"
	"github.com/spoolq/spool/sqlqueue"
)

// The stores that the proofs run on.
const (
	onSQLite   = "sqlite"
	onRedis    = "redis"
	onMySQL    = "mysql"
	onPostgres = "postgres"
	// Counts deliveries by itself, and forgets them when it is killed.
	onBeanstalkd = "beanstalkd"
)

func kinds() []string { return append(returning(), onBeanstalkd) }

// returning are the stores that can undo a delivery and list their jobs.
func returning() []string { return []string{onSQLite, onRedis, onMySQL, onPostgres} }

// place says where a queue is: all that another process needs to open it.
type place struct {
	Kind    string
	Address string // the file, host:port or the DSN
	Prefix  string // of the keys in Redis
	// Failed is the SQLite file of failed jobs where they can't be in the
	// store itself.
	Failed     string
	RetryAfter time.Duration
}

// newPlace returns an empty queue on a server that other tests use too.
func newPlace(t *testing.T, kind string, retryAfter time.Duration) place {
	t.Helper()
	p := place{Kind: kind, RetryAfter: retryAfter}
	switch kind {
	case onSQLite:
		p.Address = filepath.Join(t.TempDir(), "queue.db")
	case onRedis:
		p.Address = testserver.Redis(t)
	case onMySQL:
		p.Address = testserver.MySQL(t)
	case onPostgres:
		p.Address = testserver.Postgres(t)
	case onBeanstalkd:
		p.Address = testserver.NewBeanstalkd(t).Addr
	}
	return p.prepare(t)
}

// prepare makes the tables that a place needs.
func (p place) prepare(t *testing.T) place {
	t.Helper()
	names := schema.Names{Jobs: "jobs", FailedJobs: schema.DefaultNames().FailedJobs}
	tables := p
	if p.Kind == onRedis || p.Kind == onBeanstalkd {
		p.Prefix = "proof_" + strings.ToLower(rand.Text()) + "_"
		p.Failed = filepath.Join(t.TempDir(), "failed.db")
		tables = place{Kind: onSQLite, Address: p.Failed}
		names.Jobs = ""
	}
	db, err := tables.database()
	if err != nil {
		t.Fatal(err)
	}
	_, err = schema.Create(t.Context(), db, names)
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	return p
}

// database opens a SQL store.
func (p place) database() (*sqldb.DB, error) {
	switch p.Kind {
	case onSQLite:
		return sqlite.Open(p.Address, nil)
	case onMySQL:
		return mysql.Open(p.Address, nil)
	case onPostgres:
		return postgres.Open(p.Address, nil)
	}
	return nil, fmt.Errorf("%s is no SQL store", p.Kind)
}

// store is an open place.
type store struct {
	client *spool.Client
	conn   *spool.Connection
	failed failed.Store
	close  func() error
}

// open opens the place.
func (p place) open(ctx context.Context) (*store, error) {
	s := &store{}
	var conn driver.Conn
	var err error
	switch p.Kind {
	case onRedis:
		conn, err = p.openRedis(ctx, s)
	case onBeanstalkd:
		conn, err = p.openBeanstalkd(ctx, s)
	default:
		conn, err = p.openSQL(s)
	}
	if err != nil {
		return nil, err
	}
	m := spool.NewManager(nil)
	m.Add(spool.ConnectionConfig{Name: p.Kind, Open: func(context.Context) (driver.Conn, error) { return conn, nil }})
	closeStore := s.close
	s.close = func() error { return errors.Join(m.Close(), closeStore()) }
	s.client = spool.NewClient(m, nil)
	s.conn, err = m.Connection(ctx, "")
	return s, err
}

func (p place) openSQL(s *store) (driver.Conn, error) {
	db, err := p.database()
	if err != nil {
		return nil, err
	}
	s.failed, s.close = failed.NewSQL(db, nil), db.Close
	return sqlqueue.New(db, &sqlqueue.Options{RetryAfter: p.RetryAfter})
}

func (p place) openRedis(ctx context.Context, s *store) (driver.Conn, error) {
	host, port, err := net.SplitHostPort(p.Address)
	if err != nil {
		return nil, err
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		return nil, err
	}
	client, err := redisdb.Open(ctx, redisdb.Options{Host: host, Port: n})
	if err != nil {
		return nil, err
	}
	db, err := sqlite.Open(p.Failed, nil)
	if err != nil {
		client.Close()
		return nil, err
	}
	s.failed = failed.NewSQL(db, nil)
	s.close = func() error { client.Close(); return db.Close() }
	return redisqueue.New(client, &redisqueue.Options{Prefix: p.Prefix, RetryAfter: p.RetryAfter})
}

func (p place) openBeanstalkd(ctx context.Context, s *store) (driver.Conn, error) {
	db, err := sqlite.Open(p.Failed, nil)
	if err != nil {
		return nil, err
	}
	s.failed, s.close = failed.NewSQL(db, nil), db.Close
	return beanstalkqueue.Open(ctx, p.Address, &beanstalkqueue.Options{RetryAfter: p.RetryAfter})
}

// use opens the place for the time of the test.
func (p place) use(t *testing.T) *store {
	t.Helper()
	s, err := p.open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// dispatch pushes jobs in bulk and returns their uuids in order.
func (s *store) dispatch(t *testing.T, jobs []Work) []string {
	t.Helper()
	begun := time.Now()
	refs, err := spool.DispatchAll(t.Context(), s.client, jobs, spool.Tries(0))
	if err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begun); len(jobs) > 1000 {
		t.Logf("pushed %d jobs in %v: %.0f/s", len(jobs), took.Round(time.Millisecond), float64(len(jobs))/took.Seconds())
	}
	uuids := make([]string, len(refs))
	for i, r := range refs {
		uuids[i] = r.UUID
	}
	return uuids
}

// awaitEmpty waits until the queue holds no job in any state. A store that
// can't be reached is asked again.
func (s *store) awaitEmpty(t *testing.T, within time.Duration) {
	t.Helper()
	var size driver.Size
	var err error
	eventually(t, within, func() bool {
		size, err = s.conn.Size(t.Context(), "")
		return err == nil && size.Total() == 0
	}, func() string { return fmt.Sprintf("the queue is not empty: %+v, %v", size, err) })
}

// eventually asks again and again until the answer is yes.
func eventually(t *testing.T, within time.Duration, ask func() bool, why func() string) {
	t.Helper()
	deadline := time.NewTimer(within)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ask() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Errorf("after %v %s", within, why())
			return // what the diaries say tells more
		}
	}
}
