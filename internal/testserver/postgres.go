package testserver

import (
	"context"
	"fmt"
	"net/url"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

var postgresServer = kind{
	name:        "postgres",
	env:         "SPOOL_TEST_POSTGRES",
	programs:    []string{"initdb", "postgres"},
	account:     "postgres",
	stopSignal:  syscall.SIGINT,  // "fast": doesn't wait for clients
	deathSignal: syscall.SIGQUIT, // "immediate": leaves no shared memory behind
	prepare: func(s *server) error {
		return s.run(program("initdb"), "--pgdata", filepath.Join(s.dir, "data"), "--username", "spool",
			"--auth", "trust", "--encoding", "UTF8", "--no-locale", "--no-sync", "--no-instructions")
	},
	command: func(s *server) (string, []string) {
		args := []string{"-D", filepath.Join(s.dir, "data"), "-p", strconv.Itoa(s.port)}
		for _, setting := range []string{
			"listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=300",
			"shared_buffers=64MB", "timezone=UTC",
		} {
			args = append(args, "-c", setting)
		}
		return program("postgres"), args
	},
	probe: func(s *server) error {
		var dir string
		err := onPostgres(postgresDSN(s.addr(), "postgres"), probeTimeout, func(ctx context.Context, c *pgx.Conn) error {
			return c.QueryRow(ctx, "SHOW data_directory").Scan(&dir)
		})
		if err == nil && filepath.Dir(dir) != s.dir {
			return fmt.Errorf("another server has port %d", s.port)
		}
		return err
	},
	address: func(s *server) string { return postgresDSN(s.addr(), "postgres") },
}

// Postgres returns the URL of a new, empty database on a PostgreSQL server
// that other tests use too. The database is dropped at the end of the test.
func Postgres(t testing.TB) string {
	t.Helper()
	admin := address(t, postgresKind)
	name := databaseName()
	exec := func(sql string) error {
		return onPostgres(admin, startTimeout, func(ctx context.Context, c *pgx.Conn) error {
			_, err := c.Exec(ctx, sql)
			return err
		})
	}
	if err := exec("CREATE DATABASE " + name + " TEMPLATE template0"); err != nil {
		t.Fatalf("create a database on %s: %v", admin, err)
	}
	t.Cleanup(func() {
		if err := exec("DROP DATABASE " + name + " WITH (FORCE)"); err != nil {
			t.Logf("drop the test's database: %v", err)
		}
	})
	u, err := url.Parse(admin)
	if err != nil {
		t.Fatal(err)
	}
	return postgresDSN(u.Host, name)
}

// NewPostgres starts a PostgreSQL server for this test alone; it ends with the
// test. DSN is the URL of its empty database "postgres". args are further
// command line arguments ("-c", "fsync=off").
func NewPostgres(t testing.TB, args ...string) *Server {
	t.Helper()
	return newServer(t, postgresKind, args)
}

func postgresDSN(addr, database string) string {
	return "postgres://spool@" + addr + "/" + database + "?sslmode=disable"
}

// onPostgres connects, calls f and disconnects, all within the time given.
func onPostgres(dsn string, within time.Duration, f func(context.Context, *pgx.Conn) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	c, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer c.Close(context.WithoutCancel(ctx))
	return f(ctx, c)
}
