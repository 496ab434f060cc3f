package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/redis/rueidis"

	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/internal/testserver"
	"github.com/spoolq/spool/memqueue"
	"github.com/spoolq/spool/redisdb"
	"github.com/spoolq/spool/redisqueue"
	"github.com/spoolq/spool/sqldb"
	"github.com/spoolq/spool/sqldb/mysql"
	"github.com/spoolq/spool/sqldb/postgres"
	"github.com/spoolq/spool/sqldb/schema"
	"github.com/spoolq/spool/sqldb/sqlite"
	"github.com/spoolq/spool/sqlqueue"
)

// Families of stores.
const (
	memoryStore = "memory"
	redisStore  = "redis"
	sqliteStore = "sqlite"
	mysqlStore  = "mysql"
	pgsqlStore  = "pgsql"
)

// storeKind is a store with one setting of durability.
type storeKind struct {
	name, family string
	server       string   // as testserver names it
	args         []string // of the server
	durability   string
	extra        bool // runs only when it is named
}

func storeKinds() []storeKind {
	return []storeKind{
		{name: "memory", family: memoryStore, durability: "none"},
		{name: "sqlite", family: sqliteStore, durability: "WAL, synchronous=FULL: a commit survives a power cut"},
		{name: "sqlite-normal", family: sqliteStore, durability: "WAL, synchronous=NORMAL: a commit survives a crash of the process", extra: true},
		{name: "redis", family: redisStore, server: "redis", durability: "no AOF, no snapshots"},
		{name: "redis-aof", family: redisStore, server: "redis", args: []string{"--appendonly", "yes", "--appendfsync", "everysec"},
			durability: "appendonly yes, appendfsync everysec", extra: true},
		{name: "pgsql", family: pgsqlStore, server: "postgres", durability: "fsync=on, synchronous_commit=on"},
		{name: "pgsql-async", family: pgsqlStore, server: "postgres", args: []string{"-c", "synchronous_commit=off"},
			durability: "fsync=on, synchronous_commit=off", extra: true},
		{name: "mysql", family: mysqlStore, server: "mysql", durability: "innodb_flush_log_at_trx_commit=1, no binary log"},
		{name: "mysql-lazy", family: mysqlStore, server: "mysql", args: []string{"--innodb-flush-log-at-trx-commit=2"},
			durability: "innodb_flush_log_at_trx_commit=2, no binary log", extra: true},
	}
}

// store is a running store.
type store struct {
	storeKind
	dsn     string
	pid     int // of the server; 0 if there is none
	version string
	shut    func()
}

// startStore starts a private server or makes a file, with the tables.
func startStore(ctx context.Context, k storeKind) (*store, error) {
	s := &store{storeKind: k, shut: func() {}}
	switch {
	case k.server != "":
		p, err := testserver.Start(k.server, k.args...)
		if err != nil {
			return nil, err
		}
		s.dsn, s.pid, s.shut = p.DSN, p.PID, p.Stop
	case k.family == sqliteStore:
		dir, err := os.MkdirTemp("", "spool-bench-")
		if err != nil {
			return nil, err
		}
		s.dsn, s.shut = filepath.Join(dir, "queue.db"), func() { _ = os.RemoveAll(dir) }
	}
	if err := s.prepare(ctx); err != nil {
		s.shut()
		return nil, fmt.Errorf("%s: %w", k.name, err)
	}
	return s, nil
}

// prepare creates tables and asks for the version.
func (s *store) prepare(ctx context.Context) error {
	switch s.family {
	case memoryStore:
		s.version = "memqueue"
		return nil
	case redisStore:
		info, err := s.redisInfo(ctx, "server")
		s.version = "Redis " + info["redis_version"]
		return err
	case mysqlStore:
		s.dsn += "spool"
	}
	db, err := openSQL(s)
	if err != nil {
		return err
	}
	defer db.Close()
	if _, err := schema.Create(ctx, db, schema.Names{Jobs: "jobs"}); err != nil {
		return err
	}
	query := map[string]string{
		sqliteStore: "SELECT 'SQLite ' || sqlite_version() || ' (modernc)'",
		mysqlStore:  "SELECT VERSION()",
		pgsqlStore:  "SELECT 'PostgreSQL ' || current_setting('server_version')",
	}[s.family]
	return db.SQL().QueryRowContext(ctx, query).Scan(&s.version)
}

// openSQL opens a SQL store the way Spool does.
func openSQL(s *store) (*sqldb.DB, error) {
	switch s.family {
	case sqliteStore:
		mode := sqlite.Full
		if s.name == "sqlite-normal" {
			mode = sqlite.Normal
		}
		return sqlite.Open(s.dsn, &sqlite.Options{Synchronous: mode})
	case mysqlStore:
		return mysql.Open(s.dsn, nil)
	case pgsqlStore:
		return postgres.Open(s.dsn, nil)
	}
	return nil, fmt.Errorf("%s is no SQL store", s.name)
}

// openDriver opens Spool's driver with its defaults.
func openDriver(ctx context.Context, s *store) (driver.Conn, func() error, error) {
	switch s.family {
	case memoryStore:
		c := memqueue.New(nil)
		return c, c.Close, nil
	case redisStore:
		client, err := openRedis(ctx, s)
		if err != nil {
			return nil, nil, err
		}
		c, err := redisqueue.New(client, &redisqueue.Options{CloseClient: true})
		if err != nil {
			return nil, nil, err
		}
		return c, c.Close, nil
	}
	db, err := openSQL(s)
	if err != nil {
		return nil, nil, err
	}
	c, err := sqlqueue.New(db, nil)
	if err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	return c, func() error { return errors.Join(c.Close(), db.Close()) }, nil
}

func openRedis(ctx context.Context, s *store) (rueidis.Client, error) {
	return redisdb.Open(ctx, redisdb.Options{URL: "redis://" + s.dsn})
}

// clearJobs empties the queue, and leaves a table as if it were new.
func clearJobs(ctx context.Context, s *store, conn driver.Conn) error {
	if d, ok := conn.(driver.TxPusher); ok {
		if pool, ok := d.(interface{ Database() *sql.DB }); ok && s.family != sqliteStore {
			_, err := pool.Database().ExecContext(ctx, "TRUNCATE TABLE jobs")
			return err
		}
	}
	_, err := conn.(driver.Clearer).Clear(ctx, "default")
	return err
}

// redisInfo returns a section of INFO.
func (s *store) redisInfo(ctx context.Context, section string) (map[string]string, error) {
	client, err := openRedis(ctx, s)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	text, err := client.Do(ctx, client.B().Info().Section(section).Build()).ToString()
	info := map[string]string{}
	for line := range strings.Lines(text) {
		if k, v, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			info[k] = v
		}
	}
	return info, err
}
