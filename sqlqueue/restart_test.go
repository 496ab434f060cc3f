package sqlqueue_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/internal/testserver"
	"github.com/spoolq/spool/sqldb"
	"github.com/spoolq/spool/sqldb/mysql"
	"github.com/spoolq/spool/sqldb/postgres"
	"github.com/spoolq/spool/sqlqueue"
)

// TestServerRestartInTheMiddleOfWork pushes and works while the server crashes
// and comes back, twice. Calls fail meanwhile; every push that was confirmed is
// run, and nothing has to be opened again.
func TestServerRestartInTheMiddleOfWork(t *testing.T) {
	for _, s := range []struct {
		name  string
		start func(t testing.TB, args ...string) *testserver.Server
		open  func(dsn string) (*sqldb.DB, error)
	}{
		{sqldb.MySQL, testserver.NewMySQL, func(dsn string) (*sqldb.DB, error) { return mysql.Open(dsn, nil) }},
		{sqldb.Postgres, testserver.NewPostgres, func(dsn string) (*sqldb.DB, error) { return postgres.Open(dsn, nil) }},
	} {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			server := s.start(t)
			db, err := s.open(server.DSN)
			restartInTheMiddle(t, server, queue(t, tables(t, db, err), short()))
		})
	}
}

// traffic is a producer and a worker that go on whatever happens.
type traffic struct {
	c *sqlqueue.Conn

	mu             sync.Mutex
	confirmed, ran map[string]bool
	failures       int
}

func (tr *traffic) failed(ctx context.Context) {
	tr.mu.Lock()
	tr.failures++
	tr.mu.Unlock()
	pause(ctx, 20*time.Millisecond)
}

func (tr *traffic) push(ctx context.Context) {
	for i := 0; ctx.Err() == nil; i++ {
		body := fmt.Sprint("job ", i)
		if _, err := tr.c.Push(ctx, "default", []driver.Message{{Body: []byte(body)}}); err != nil {
			tr.failed(ctx)
			continue
		}
		tr.mu.Lock()
		tr.confirmed[body] = true
		tr.mu.Unlock()
		pause(ctx, time.Millisecond)
	}
}

func (tr *traffic) work(ctx context.Context) {
	for ctx.Err() == nil {
		rs, err := tr.c.Reserve(ctx, "default", 20)
		if err != nil {
			tr.failed(ctx)
			continue
		}
		tr.mu.Lock()
		for _, r := range rs {
			tr.ran[string(r.Body)] = true
		}
		tr.mu.Unlock()
		if err := tr.c.Delete(ctx, rs); err != nil && ctx.Err() == nil {
			tr.failed(ctx)
		}
		if len(rs) == 0 {
			_ = tr.c.Wait(ctx, []string{"default"}, 100*time.Millisecond)
		}
	}
}

// done returns how many jobs were run.
func (tr *traffic) done() int {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return len(tr.ran)
}

// missing returns how many confirmed jobs were not run.
func (tr *traffic) missing() (n int) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	for body := range tr.confirmed {
		if !tr.ran[body] {
			n++
		}
	}
	return n
}

func restartInTheMiddle(t *testing.T, server *testserver.Server, c *sqlqueue.Conn) {
	tr := &traffic{c: c, confirmed: map[string]bool{}, ran: map[string]bool{}}
	working, stopWorking := context.WithCancel(t.Context())
	defer stopWorking()
	pushing, stopPushing := context.WithCancel(working)
	defer stopPushing()
	var wg sync.WaitGroup
	wg.Go(func() { tr.push(pushing) })
	wg.Go(func() { tr.work(working) })
	// until waits for something to become true.
	until := func(what string, ok func() bool) {
		t.Helper()
		for deadline := time.Now().Add(30 * time.Second); !ok(); pause(working, 10*time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%s: %d jobs were run, %d confirmed ones were not", what, tr.done(), tr.missing())
			}
		}
	}
	grown := func(what string) {
		t.Helper()
		want := tr.done() + 50
		until(what, func() bool { return tr.done() >= want })
	}
	grown("at first")
	server.Kill()
	server.Start()
	grown("after a crash")
	server.Stop()
	server.Start()
	grown("after a restart")
	stopPushing()
	// Jobs that were reserved when the server went come back after the lease.
	until("at last", func() bool { return tr.missing() == 0 })
	stopWorking()
	wg.Wait()
	if tr.failures == 0 {
		t.Error("no call failed: the restarts were not felt, so this test shows nothing")
	}
	t.Logf("%d jobs, %d failed calls", len(tr.confirmed), tr.failures)
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// TestServerDownAtStart opens a connection before the server is there.
func TestServerDownAtStart(t *testing.T) {
	for _, s := range []struct {
		name  string
		start func(t testing.TB, args ...string) *testserver.Server
		open  func(dsn string) (*sqldb.DB, error)
	}{
		{sqldb.MySQL, testserver.NewMySQL, func(dsn string) (*sqldb.DB, error) { return mysql.Open(dsn, nil) }},
		{sqldb.Postgres, testserver.NewPostgres, func(dsn string) (*sqldb.DB, error) { return postgres.Open(dsn, nil) }},
	} {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			server := s.start(t)
			server.Stop()
			db, err := s.open(server.DSN)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			c := queue(t, db, nil)
			if tr := c.Traits(); tr.MaxBody <= 0 || tr.Driver != s.name {
				t.Errorf("traits while the server is down: %+v", tr)
			}
			err = c.Ping(t.Context())
			if err == nil || db.Fault(err) != sqldb.Lost {
				t.Errorf("Ping while the server is down: %v", err)
			}
			server.Start()
			create(t, db)
			if err := c.Ping(t.Context()); err != nil {
				t.Errorf("Ping once it is up: %v", err)
			}
			if tr := c.Traits(); tr.MaxBody < 10<<20 {
				t.Errorf("largest body once it is up: %d", tr.MaxBody)
			}
		})
	}
}
