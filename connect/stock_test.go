package connect

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/config"
	"github.com/spoolq/spool/internal/testserver"
)

// stockApplication is what a new application of a version is, and the names
// that it gives to things. Its own name is "Order Desk".
type stockApplication struct {
	version, framework string
	queue, database    string // the default connections
	store              string // of the cache
	ready              string // the key of the default queue on Redis
	cached, lock       string // the keys of an entry and a lock named x, on Redis
	row                string // the key of an entry named x in a table
}

// Queues and locks are in database 0 of Redis, the cache is in database 1. The
// .env files of 8 to 10 here are those of an application with MySQL and Redis,
// as an operator has edited them; those from 11 on are as they come: 11's names
// an empty prefix.
func stockApplications() []stockApplication {
	const ready8, ready13 = "order_desk_database_queues:default", "order-desk-database-queues:default"
	const data8, data13 = "order_desk_database_", "order-desk-database-"
	return []stockApplication{
		{"8", "v8.83.29", "redis", "mysql", "file", ready8, data8 + "order_desk_cache:x", data8 + "order_desk_cache:x", "order_desk_cachex"},
		{"9", "v9.52.16", "redis", "mysql", "file", ready8, data8 + "order_desk_cache_:x", data8 + "order_desk_cache_:x", "order_desk_cache_x"},
		{"10", "v10.48.22", "redis", "mysql", "file", ready8, data8 + "order_desk_cache_:x", data8 + "order_desk_cache_:x", "order_desk_cache_x"},
		{"11", "v11.44.0", "database", "sqlite", "database", ready8, data8 + "x", data8 + "x", "x"},
		{"12", "v12.26.4", "database", "sqlite", "database", ready8, data8 + "order_desk_cache_x", data8 + "order_desk_cache_x", "order_desk_cache_x"},
		{"13", "v13.26.1", "database", "sqlite", "database", ready13, data13 + "order-desk-cache-x", data13 + "order-desk-cache-x", "order-desk-cache-x"},
	}
}

// TestNamesOfStockApplications: from the .env file and composer.lock of a new
// application, and nothing else, Spool finds what its PHP stores, under the very
// names.
func TestNamesOfStockApplications(t *testing.T) {
	host, port, err := net.SplitHostPort(testserver.NewRedis(t).Addr)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range stockApplications() {
		t.Run("Laravel "+tt.version, func(t *testing.T) {
			dir := stockFolder(t, tt)
			s := stockSet(t, dir)
			cfg := s.Config
			if got := (stockApplication{
				version: tt.version, framework: tt.framework, queue: cfg.Default, database: cfg.DefaultDatabase, store: cfg.Cache.Default,
				ready: tt.ready, cached: tt.cached, lock: tt.lock, row: cfg.Cache.Stores["database"].Prefix + "x",
			}); got != tt {
				t.Errorf("got %+v\nwant %+v", got, tt)
			}
			if cfg.Failed.Database != tt.database || cfg.Connections["database"].Connection != tt.database || cfg.Failed.Driver != "database-uuids" {
				t.Errorf("failed jobs in %s (%s), jobs in %s", cfg.Failed.Database, cfg.Failed.Driver, cfg.Connections["database"].Connection)
			}
			if d := cfg.Databases["sqlite"].Database; tt.database == "sqlite" && d != filepath.Join(dir, "database", "database.sqlite") {
				t.Errorf("SQLite file %s", d)
			}

			// Where its server is, is for the environment to say: on Redis they have
			// these names.
			store := map[bool]string{true: "CACHE_STORE=redis", false: "CACHE_DRIVER=redis"}[tt.database == "sqlite"]
			namesOnRedis(t, stockSet(t, dir, "REDIS_HOST="+host, "REDIS_PORT="+port, "QUEUE_CONNECTION=redis", store), tt)
		})
	}
}

func stockFolder(t *testing.T, tt stockApplication) string {
	t.Helper()
	env, err := os.ReadFile(filepath.Join("..", "config", "testdata", "env", "laravel-"+tt.version+".env"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, text := range map[string]string{
		".env": string(env), "composer.lock": `{"packages": [{"name": "laravel/framework", "version": "` + tt.framework + `"}]}`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func stockSet(t *testing.T, dir string, environ ...string) *Set {
	t.Helper()
	cfg, err := config.Load(&config.Options{Dir: dir, Environ: environ})
	if err != nil {
		t.Fatal(err)
	}
	if len(cfg.Warnings) > 0 {
		t.Errorf("warned about: %v", cfg.Warnings)
	}
	s, err := New(cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// namesOnRedis uses a queue, the cache and a lock, and looks what is there.
func namesOnRedis(t *testing.T, s *Set, tt stockApplication) {
	t.Helper()
	ctx := t.Context()
	if _, err := spool.Dispatch(ctx, s.Client, greet{"ann"}); err != nil {
		t.Fatal(err)
	}
	c, err := s.Cache(ctx)
	if err != nil {
		t.Fatal(err)
	}
	keys := func(connection string) []string {
		t.Helper()
		client, err := s.Redis(ctx, connection)
		if err != nil {
			t.Fatal(err)
		}
		names, err := client.Do(ctx, client.B().Keys().Pattern("*").Build()).AsStrSlice()
		if err != nil {
			t.Fatal(err)
		}
		if err := client.Do(ctx, client.B().Flushdb().Build()).Error(); err != nil {
			t.Fatal(err)
		}
		slices.Sort(names)
		return names
	}
	if d := cmp.Diff([]string{tt.ready, tt.ready + ":notify"}, keys("default")); d != "" {
		t.Errorf("a queue (-want +got)\n%s", d)
	}
	if err := c.Put(ctx, "x", int64(1), 0); err != nil {
		t.Fatal(err)
	}
	if ok, err := c.Acquire(ctx, "x", "me", time.Minute); err != nil || !ok {
		t.Fatalf("lock: %v, %v", ok, err)
	}
	if d := cmp.Diff([]string{tt.cached}, keys("cache")); d != "" {
		t.Errorf("the cache (-want +got)\n%s", d)
	}
	if d := cmp.Diff([]string{tt.lock}, keys("default")); d != "" {
		t.Errorf("a lock (-want +got)\n%s", d)
	}
}
