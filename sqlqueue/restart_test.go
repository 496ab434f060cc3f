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

func restartInTheMiddle(t *testing.T, server *testserver.Server, c *sqlqueue.Conn) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var mu sync.Mutex
	confirmed, ran := map[string]bool{}, map[string]bool{}
	failures := 0
	failed := func() {
		mu.Lock()
		failures++
		mu.Unlock()
		pause(ctx, 20*time.Millisecond)
	}
	var wg sync.WaitGroup
	pushing, stopPushing := context.WithCancel(ctx)
	wg.Go(func() {
		for i := 0; pushing.Err() == nil; i++ {
			body := fmt.Sprint("job ", i)
			if _, err := c.Push(ctx, "default", []driver.Message{{Body: []byte(body)}}); err != nil {
				failed()
				continue
			}
			mu.Lock()
			confirmed[body] = true
			mu.Unlock()
			pause(ctx, time.Millisecond)
		}
	})
	wg.Go(func() {
		for ctx.Err() == nil {
			rs, err := c.Reserve(ctx, "default", 20)
			if err != nil {
				failed()
				continue
			}
			mu.Lock()
			for _, r := range rs {
				ran[string(r.Body)] = true
			}
			mu.Unlock()
			if err := c.Delete(ctx, rs); err != nil && ctx.Err() == nil {
				failed()
			}
			if len(rs) == 0 {
				_ = c.Wait(ctx, []string{"default"}, 100*time.Millisecond)
			}
		}
	})
	// grown waits until as many more jobs were run.
	grown := func(n int) {
		t.Helper()
		mu.Lock()
		want := len(ran) + n
		mu.Unlock()
		for deadline := time.Now().Add(30 * time.Second); ; pause(ctx, 10*time.Millisecond) {
			mu.Lock()
			got := len(ran)
			mu.Unlock()
			if got >= want {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%d jobs were run, want %d", got, want)
			}
		}
	}
	grown(50)
	server.Kill()
	server.Start()
	grown(50)
	server.Stop()
	server.Start()
	grown(50)
	stopPushing()
	missing := func() (n int) {
		mu.Lock()
		defer mu.Unlock()
		for body := range confirmed {
			if !ran[body] {
				n++
			}
		}
		return n
	}
	// Jobs that were reserved when the server went come back after the lease.
	for deadline := time.Now().Add(20 * time.Second); missing() > 0 && time.Now().Before(deadline); {
		pause(ctx, 20*time.Millisecond)
	}
	if n := missing(); n > 0 {
		t.Errorf("%d of %d confirmed jobs were never run", n, len(confirmed))
	}
	cancel()
	wg.Wait()
	if failures == 0 {
		t.Error("no call failed: the restarts were not felt, so this test shows nothing")
	}
	t.Logf("%d jobs, %d failed calls", len(confirmed), failures)
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
