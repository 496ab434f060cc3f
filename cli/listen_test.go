//go:build unix

package cli

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/config"
	"github.com/spoolq/spool/connect"
	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/internal/testserver"
)

// counted counts the looks at a queue. Its abilities are those that a watch
// uses.
type counted struct {
	driver.Conn
	looks atomic.Int64
}

func (c *counted) Wait(ctx context.Context, queues []string, max time.Duration) error {
	return c.Conn.(driver.Waiter).Wait(ctx, queues, max)
}

func (c *counted) Size(ctx context.Context, queue string) (driver.Size, error) {
	c.looks.Add(1)
	return c.Conn.(driver.Sizer).Size(ctx, queue)
}

func (c *counted) List(ctx context.Context, queue string, state driver.State, cursor string, max int) ([]driver.Entry, string, error) {
	return c.Conn.(driver.Lister).List(ctx, queue, state, cursor, max)
}

// TestWatch: the parent of queue:listen is told of pushes, of delayed jobs on
// any of its queues and of leases that have ended, and spins for none of them.
func TestWatch(t *testing.T) {
	for name, vars := range map[string]func(t *testing.T) []string{
		"sqlite": func(*testing.T) []string { return nil },
		"redis": func(t *testing.T) []string {
			host, port, err := net.SplitHostPort(testserver.Redis(t))
			if err != nil {
				t.Fatal(err)
			}
			return []string{"QUEUE_CONNECTION=redis", "REDIS_HOST=" + host, "REDIS_PORT=" + port, "REDIS_QUEUE_RETRY_AFTER=3",
				"REDIS_PREFIX=watch" + time.Now().Format("150405.000000") + ":"}
		},
		"pgsql": func(t *testing.T) []string {
			return []string{"DB_CONNECTION=pgsql", "DB_URL=" + testserver.Postgres(t)}
		},
		"mysql": mysqlVars,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			watchOn(t, append(vars(t), "DB_QUEUE_RETRY_AFTER=3"))
		})
	}
}

func watchOn(t *testing.T, environ []string) {
	dir := t.TempDir()
	if code, _, errs := runWith(t.Context(), &App{}, dir, environ, "migrate"); code != 0 {
		t.Fatal(errs)
	}
	cfg, err := config.Load(&config.Options{Dir: dir, Environ: environ})
	if err != nil {
		t.Fatal(err)
	}
	set, err := connect.New(cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	backend, err := set.Manager.Connection(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	c := &counted{Conn: backend.Driver()}
	m := spool.NewManager(nil)
	m.Add(spool.ConnectionConfig{Name: "counted", Open: func(context.Context) (driver.Conn, error) { return c, nil }})
	conn, err := m.Connection(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	w := &watch{conn: conn, queues: []string{"default", "later"}, sleep: time.Second, expired: true}
	const some = 100 // a spin looks thousands of times
	until := func(what string, least, most time.Duration) {
		t.Helper()
		c.looks.Store(0)
		began := time.Now()
		if err := w.wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took < least || took > most {
			t.Errorf("%s: told after %v, want %v to %v", what, took, least, most)
		}
		if n := c.looks.Load(); n > some {
			t.Errorf("%s: %d looks", what, n)
		}
	}
	push := func(opts ...spool.DispatchOption) {
		t.Helper()
		if _, err := spool.Push(t.Context(), set.Client, "a", nil, opts...); err != nil {
			t.Fatal(err)
		}
	}
	// One who works through another connection, as a child does.
	child, err := connect.New(cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer child.Close()
	cc, err := child.Manager.Connection(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	reserve := func(queue string) []driver.Reservation {
		t.Helper()
		rs, err := cc.Driver().Reserve(t.Context(), queue, 1)
		if err != nil || len(rs) != 1 {
			t.Fatalf("reserved %d of %s, %v", len(rs), queue, err)
		}
		return rs
	}

	push()
	until("a pushed job", 0, 5*time.Second)
	if err := cc.Driver().Delete(t.Context(), reserve("default")); err != nil {
		t.Fatal(err)
	}
	push(spool.OnQueue("later"), spool.Delay(3*time.Second))
	until("a delayed job", time.Second, 8*time.Second)
	reserve("later")
	until("a lease that ended", time.Second, 10*time.Second)
	reserve("later")
}
