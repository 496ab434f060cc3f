package connect

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/config"
	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/internal/testserver"
	"github.com/spoolq/spool/memqueue"
)

func TestMain(m *testing.M) { testserver.Main(m) }

// set returns the Set of a spool.yaml in a folder of its own.
func set(t *testing.T, yaml string, environ ...string) *Set {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "spool.yaml"), []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(&config.Options{Dir: dir, Environ: environ})
	if err != nil {
		t.Fatal(err)
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

func TestUsedAndTables(t *testing.T) {
	s := set(t, `
queue:
  default: orders
  connections:
    orders: {driver: database, table: order_jobs}
    mails: {driver: redis}
    bills: {driver: database, connection: second}
  failed: {driver: database, table: broken_jobs}
database:
  connections:
    second: {driver: sqlite, database: second.db, prefix: app_}
`)
	if got := strings.Join(s.Used(), " "); got != "orders bills mails" {
		t.Errorf("used: %s", got)
	}
	tables := func(names ...string) string {
		var out []string
		for _, t := range s.Tables(names...) {
			out = append(out, t.Database+":"+t.Name())
		}
		return strings.Join(out, " ")
	}
	const beside = " sqlite:broken_jobs sqlite:job_batches sqlite:spool_batch_ends sqlite:spool_batch_callbacks sqlite:cache sqlite:cache_locks"
	if got := tables(); got != "sqlite:order_jobs sqlite:spool_workers second:app_jobs second:app_spool_workers"+beside {
		t.Errorf("tables: %s", got)
	}
	if got := tables("mails"); got != strings.TrimSpace(beside) {
		t.Errorf("tables of mails: %s", got)
	}
	if got := tables("second"); got != "second:app_jobs second:app_spool_workers"+beside {
		t.Errorf("tables of a database as a connection: %s", got)
	}
	s = set(t, "queue: {default: both, connections: {both: {driver: failover, connections: [redis, database]}}}")
	if got := strings.Join(s.Used(), " "); got != "both redis database" {
		t.Errorf("used with a failover: %s", got)
	}
	if got := tables("both"); !strings.HasPrefix(got, "sqlite:jobs ") || tables() != got {
		t.Errorf("tables of a failover: %s", got)
	}
	s = set(t, "queue: {default: redis, degrade: database}")
	if got := strings.Join(s.Used(), " "); got != "redis database" {
		t.Errorf("used on the way down: %s", got)
	}
	if names := set(t, "queue: {connections: {orders: {driver: memory}}, default: orders}\ndatabase: {connections: {second: {driver: sqlite, database: x.db}}}").Manager.Names(); !slices.Contains(names, "second") || !slices.Contains(names, "orders") {
		t.Errorf("connections: %v", names)
	}
}

func TestMaintenance(t *testing.T) {
	s := set(t, "")
	down := s.Maintenance()
	if down() {
		t.Error("down from the start")
	}
	for range 2 {
		if _, err := s.SetMaintenance(t.Context(), true); err != nil || !down() {
			t.Errorf("not down: %v", err)
		}
	}
	for range 2 {
		if _, err := s.SetMaintenance(t.Context(), false); err != nil || down() {
			t.Errorf("still down: %v", err)
		}
	}
	// In a cache store of its own.
	s = set(t, `
app: {maintenance: {driver: cache, store: shared}}
cache: {default: array, stores: {shared: {driver: file, path: shared}}}
`)
	where, err := s.SetMaintenance(t.Context(), true)
	if down = s.Maintenance(); err != nil || where != "cache store shared" || !down() {
		t.Errorf("not down in the cache: %s %v", where, err)
	}
	if _, err := s.SetMaintenance(t.Context(), false); err != nil || down() {
		t.Errorf("still down in the cache: %v", err)
	}
	if s = set(t, "app: {maintenance: {driver: cache}}"); s.Maintenance() != nil {
		t.Error("a worker asks the default store by itself")
	}
}

func TestExplain(t *testing.T) {
	s := set(t, "")
	if err := s.Explain(nil); err != nil {
		t.Error(err)
	}
	err := s.Explain(s.Ready(t.Context()))
	if err == nil || strings.Count(err.Error(), "spool migrate") != 1 {
		t.Errorf("missing tables: %v", err)
	}
	if again := s.Explain(err); again.Error() != err.Error() {
		t.Errorf("explained twice: %v", again)
	}
	c, err := s.Manager.Connection(t.Context(), "")
	if err == nil {
		err = s.Explain(c.Ping(t.Context()))
	}
	if err == nil || strings.Count(err.Error(), "spool migrate") != 1 {
		t.Errorf("missing jobs table: %v", err)
	}
	down := set(t, `
queue:
  connections:
    stalk: {driver: beanstalkd, host: 127.0.0.1, port: 1}
    sqs: {driver: sqs, endpoint: "http://127.0.0.1:1", prefix: "http://127.0.0.1:1/0", key: k, secret: s}
    both: {driver: failover, connections: [stalk, sqs]}
`)
	for name, want := range map[string]string{
		"stalk": "are host and port right? `spool config queue.connections.stalk`",
		"both":  "are host and port right? `spool config queue.connections.stalk`",
		"sqs":   "are endpoint and region right? `spool config queue.connections.sqs`",
	} {
		c, err := down.Manager.Connection(t.Context(), name)
		if err == nil {
			err = c.Ping(t.Context())
		}
		if err = down.Explain(err); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s, which isn't there: %v", name, err)
		}
	}
	db, err := s.Database(t.Context(), "mysql")
	if err == nil {
		err = db.SQL().PingContext(t.Context())
	}
	if got := s.Explain(err); err != nil && !strings.Contains(got.Error(), "spool config database.connections") {
		t.Errorf("a server that isn't there: %v", got)
	}
}

// TestWorkerOptions: a configured 0 is none, not the default.
func TestWorkerOptions(t *testing.T) {
	s := set(t, "worker: {max_stuck: 0, sleep: 0, tries: 0, timeout: 0, memory: 64, queue: [a, b]}")
	o, err := s.WorkerOptions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if o.MaxStuck >= 0 || o.Sleep >= 0 || *o.Policy.Tries != 0 || *o.Policy.Timeout != 0 || o.Memory != 64<<20 || len(o.Queues) != 2 {
		t.Errorf("%+v", o)
	}
	if o.Failed == nil || o.Signals == nil {
		t.Error("no store of failed jobs, or no signals")
	}
	s = set(t, "queue: {failed: {driver: 'null'}}")
	if o, err = s.WorkerOptions(t.Context()); err != nil || o.Failed != nil {
		t.Errorf("failed driver null: %v, %v", o.Failed, err)
	}
}

func TestDrivers(t *testing.T) {
	s := set(t, "queue: {connections: {odd: {driver: beanstalkd}}}")
	for name, want := range map[string]string{"database": "sqlite", "memory": "memory", "null": "null", "sync": "sync", "sqlite": "sqlite"} {
		c, err := s.Manager.Connection(t.Context(), name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := c.Driver().Traits().Driver; got != want {
			t.Errorf("%s is driver %s", name, got)
		}
	}
}

func TestHasQueues(t *testing.T) {
	host, port, err := net.SplitHostPort(testserver.Redis(t))
	if err != nil {
		t.Fatal(err)
	}
	prefix := "connect-test-" + time.Now().Format("150405.000000") + ":"
	s := set(t, "", "QUEUE_CONNECTION=redis", "REDIS_HOST="+host, "REDIS_PORT="+port, "REDIS_PREFIX="+prefix)
	look := func(prefix string) bool {
		t.Helper()
		found, err := HasQueues(t.Context(), s.Config, prefix)
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	if look(prefix) {
		t.Error("queues before any job")
	}
	if _, err := spool.Push(t.Context(), s.Client, "a", nil); err != nil {
		t.Fatal(err)
	}
	if !look(prefix) || look(prefix+"other:") {
		t.Error("the queue is not found under its prefix, or under another")
	}
	c, err := s.Manager.Connection(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := c.Driver().(driver.Waiter); !ok {
		t.Error("redis can't wait")
	}
	if _, err := c.Clear(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	if found, err := HasQueues(t.Context(), set(t, "").Config, prefix); found || err != nil {
		t.Errorf("on a database: %v, %v", found, err)
	}
}

func TestOtherPrefixes(t *testing.T) {
	host, port, err := net.SplitHostPort(testserver.NewRedis(t).Addr)
	if err != nil {
		t.Fatal(err)
	}
	under := func(prefix string, more ...string) *Set {
		return set(t, "laravel: 8\n", append([]string{"QUEUE_CONNECTION=redis", "REDIS_HOST=" + host, "REDIS_PORT=" + port, "REDIS_PREFIX=" + prefix}, more...)...)
	}
	advice := func(s *Set) string {
		t.Helper()
		a, err := s.OtherPrefixes(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(a, "\n")
	}
	mine, theirs := under("mine_"), under("theirs_")
	if a := advice(mine); a != "" {
		t.Errorf("before any job: %s", a)
	}
	if _, err := spool.Push(t.Context(), theirs.Client, "a", nil, spool.Delay(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if a := advice(mine); !strings.Contains(a, `no queue is under the prefix "mine_", but there are some under ["theirs_"]`) {
		t.Errorf("with the wrong prefix: %q", a)
	}
	if a := advice(theirs); a != "" {
		t.Errorf("with the right prefix: %s", a)
	}
	if _, err := spool.Push(t.Context(), mine.Client, "a", nil); err != nil {
		t.Fatal(err)
	}
	if a := advice(mine); a != "" {
		t.Errorf("with jobs of its own: %s", a)
	}
	for name, s := range map[string]*Set{"no Laravel": under("x_", "SPOOL_LARAVEL=none"), "a database": set(t, "laravel: 8\nqueue: {default: database}\n")} {
		if a := advice(s); a != "" {
			t.Errorf("%s: %s", name, a)
		}
	}
}

// A driver of the program's own is opened with the connection's settings, and
// closed with the Set.
func TestOwnDriver(t *testing.T) {
	dir := t.TempDir()
	yaml := "queue: {default: mine, connections: {mine: {driver: own, queue: q, options: {size: '3'}}}}\n"
	if err := os.WriteFile(filepath.Join(dir, "spool.yaml"), []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	var got *config.Connection
	mem := memqueue.New(nil)
	s, err := Load(&Options{Drivers: map[string]OpenDriver{"own": func(_ context.Context, c *config.Connection) (driver.Conn, error) {
		got = c
		return mem, nil
	}}})
	if err != nil {
		t.Fatal(err)
	}
	ref, err := spool.Push(t.Context(), s.Client, "j", 1)
	if err != nil || ref.Connection != "mine" || ref.Queue != "q" {
		t.Errorf("a push: %+v, %v", ref, err)
	}
	if got == nil || got.Name != "mine" || got.Options["size"] != "3" {
		t.Errorf("it was opened as %+v", got)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := mem.Size(t.Context(), "q"); !errors.Is(err, driver.ErrClosed) {
		t.Errorf("it is still open: %v", err)
	}
	if _, err := Load(nil); err == nil || !strings.Contains(err.Error(), `unknown driver "own"`) {
		t.Errorf("without the driver: %v", err)
	}
}
