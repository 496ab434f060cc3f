package think

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/config"
	"github.com/spoolq/spool/connect"
	"github.com/spoolq/spool/worker"
)

// backend is a version of think-queue on a store.
type backend struct {
	profile, version, store string // store: redis, mysql, sqlite
	framework               string // ThinkPHP's version, for its cache
}

func backends() []backend {
	return []backend{
		{"tq1", "1.1.6", "redis", "5.0.7"}, {"tq1", "2.0.4", "mysql", "5.1.42"},
		{"tq3-legacy", "3.0.4", "redis", "6.0.16"}, {"tq3-legacy", "3.0.4", "mysql", "6.0.16"},
		{"tq3", "3.0.9", "redis", "8.0.4"}, {"tq3", "3.0.9", "mysql", "8.0.4"}, {"tq3", "3.0.9", "sqlite", "8.0.4"},
	}
}

// lease is the expire, or retry_after, of both sides, in seconds: the shortest.
const lease = 3

// pair is Spool and the peer on one store, each set up in its own words.
type pair struct {
	t        *testing.T
	b        backend
	php      []string // its command
	dir      string
	settings string // of the peer
	report   string // what its jobs write down
	tq3      bool   // versions 3 record failed jobs
	set      *connect.Set
}

// options are what a pair may have otherwise.
type options struct {
	files  bool // the application's cache is where ThinkPHP has it unless told otherwise
	endure bool // Spool's expire is null
}

// newPair makes them, with tables and a Redis database of their own.
func newPair(t *testing.T, b backend, redis *redisStore, db int, o options) *pair {
	t.Helper()
	p := &pair{t: t, b: b, php: requirePHP(t), dir: t.TempDir(), tq3: b.profile != "tq1"}
	p.report = filepath.Join(p.dir, "report.jsonl")
	all := recordings(t, map[string]string{"1.1.6": "v1.1.2", "2.0.4": "v2.0.4", "3.0.4": "v3.0.4", "3.0.9": "v3.0.9"}[b.version], "database")
	tables := all["schema"].Tables
	settings := redis.settings(t) // of the queue on Redis, and of the cache in any case
	settings["select"] = db
	var database string // of spool.yaml
	switch b.store {
	case "redis", "sqlite":
		file := filepath.Join(p.dir, "think.db")
		database = fmt.Sprintf("{default: sqlite, connections: {sqlite: {driver: sqlite, database: %q, prefix: tp_}}}", file)
		if b.store == "sqlite" {
			settings = map[string]any{"driver": "database", "dsn": "sqlite:" + file, "table": "tp_jobs"}
		}
		p.sqlite(file)
		settings["failed"] = map[string]any{"dsn": "sqlite:" + file, "table": "tp_failed_jobs"}
	case "mysql":
		st := newTableStore(t, tables["tp_jobs"].Create)
		if p.tq3 {
			st.exec(t, tables["tp_failed_jobs"].Create)
		}
		settings = st.settings(t)
		failed := map[string]any{"table": "tp_failed_jobs"}
		for _, k := range []string{"dsn", "user", "password"} {
			failed[k] = settings[k]
		}
		settings["failed"] = failed
		database = mysqlYAML(t, st.dsn)
	}
	settings["profile"], settings["version"], settings["name"], settings["expire"] = b.profile, b.version, p.connection(), lease
	settings["cache"] = map[string]any{"host": redis.host, "port": redis.port, "select": db, "prefix": "shop:"}
	cache := "cache: {default: redis, stores: {redis: {type: redis, host: " + redis.host + ", port: " + redis.port + fmt.Sprintf(", select: %d, prefix: 'shop:'}}}\n", db)
	if o.files {
		settings["cache"] = map[string]any{"path": filepath.Join(p.dir, "runtime", "cache"), "framework": b.framework}
		cache = ""
	}
	p.settings = writeJSON(t, settings)
	yaml := p.yaml(redis, db, database)
	if o.endure {
		yaml = strings.Replace(strings.Replace(yaml, fmt.Sprintf("expire: %d", lease), "expire: null", 1), fmt.Sprintf("retry_after: %d", lease), "retry_after: null", 1)
	}
	p.write("spool.yaml", yaml+cache)
	return p
}

// connection is the name that both sides give to their connection.
func (p *pair) connection() string {
	if p.b.store == "redis" {
		return "redis"
	}
	return "database"
}

// yaml is ThinkPHP's config/queue.php of the version, and what else Spool has
// to know.
func (p *pair) yaml(redis *redisStore, db int, database string) string {
	server := ""
	if p.b.store == "redis" {
		server = fmt.Sprintf(", host: %s, port: %s, password: '', select: %d, timeout: 0, persistent: false", redis.host, redis.port, db)
	}
	failed := fmt.Sprintf("{driver: file, path: %q}", filepath.Join(p.dir, "failed.json"))
	queue := fmt.Sprintf("{connector: %s, expire: %d, default: default%s, failed: %s}", strings.Title(p.connection()), lease, server, failed) //nolint:staticcheck // ASCII
	if p.tq3 {
		queue = fmt.Sprintf("{default: %s, connections: {%[1]s: {type: %[1]s, profile: %s, version: %s, queue: default, retry_after: %d%s}}, failed: {type: database, table: failed_jobs}}",
			p.connection(), p.b.profile, p.b.version, lease, server)
	}
	return fmt.Sprintf("thinkphp: %s\nqueue: %s\ndatabase: %s\n", p.b.framework, queue, database) +
		"worker: {tries: 0, backoff: 0, sleep: 1, timeout: 2, memory: 0}\n"
}

func mysqlYAML(t *testing.T, dsn string) string {
	t.Helper()
	text, user, password := pdo(t, dsn)
	parts := map[string]string{}
	for part := range strings.SplitSeq(strings.TrimPrefix(text, "mysql:"), ";") {
		k, v, _ := strings.Cut(part, "=")
		parts[k] = v
	}
	server := fmt.Sprintf("host: %q, port: %s", parts["host"], parts["port"])
	if s := parts["unix_socket"]; s != "" {
		server = fmt.Sprintf("unix_socket: %q", s)
	}
	return fmt.Sprintf("{default: mysql, connections: {mysql: {driver: mysql, %s, database: %q, username: %q, password: %q, prefix: tp_}}}", server, parts["dbname"], user, password)
}

// sqlite makes the tables of think-migration in a file.
func (p *pair) sqlite(file string) {
	p.t.Helper()
	db := openSQLite(p.t, file)
	for _, query := range []string{
		"CREATE TABLE tp_jobs (id integer PRIMARY KEY AUTOINCREMENT NOT NULL, queue varchar(255), payload longtext, attempts tinyint, reserve_time integer, available_time integer, create_time integer)",
		"CREATE TABLE tp_failed_jobs (id integer PRIMARY KEY AUTOINCREMENT NOT NULL, connection text, queue text, payload longtext, exception longtext, fail_time timestamp DEFAULT CURRENT_TIMESTAMP)",
	} {
		if _, err := db.ExecContext(p.t.Context(), query); err != nil {
			p.t.Fatal(err)
		}
	}
}

func (p *pair) write(name, text string) {
	p.t.Helper()
	if err := os.WriteFile(filepath.Join(p.dir, name), []byte(text), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

// command is a command of the peer, not yet running.
func (p *pair) command(args ...string) *exec.Cmd {
	cmd := runPHP(context.WithoutCancel(p.t.Context()), p.php, "peer.php", append([]string{p.settings}, args...)...)
	cmd.Env = append(os.Environ(), "THINK_REPORT="+p.report)
	return cmd
}

// peer runs a command of the peer and returns what it prints.
func (p *pair) peer(args ...string) string {
	p.t.Helper()
	cmd := p.command(args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		p.t.Fatalf("peer %s: %v\n%s%s", strings.Join(args, " "), err, out, stderr.String())
	}
	return string(out)
}

// start starts the peer's daemon; it is killed with the test if it still runs.
func (p *pair) start(args ...string) *exec.Cmd {
	p.t.Helper()
	cmd := p.command(append([]string{"work"}, args...)...)
	cmd.Stderr = p.t.Output()
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd
}

// report is what a job of the peer wrote down.
type report struct {
	Event, Job string
	Attempts   int
	Data       json.RawMessage
}

func (p *pair) reports() []report {
	p.t.Helper()
	file, err := os.Open(p.report)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		p.t.Fatal(err)
	}
	defer file.Close()
	var all []report
	for lines := bufio.NewScanner(file); lines.Scan(); {
		var r report
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			p.t.Fatalf("%v: %s", err, lines.Text())
		}
		all = append(all, r)
	}
	return all
}

// spool returns Spool with the settings of spool.yaml.
func (p *pair) spool(mux *spool.Mux) *connect.Set {
	p.t.Helper()
	cfg, err := config.Load(&config.Options{Dir: p.dir})
	if err != nil {
		text, _ := os.ReadFile(filepath.Join(p.dir, "spool.yaml"))
		p.t.Fatalf("%v\n%s", err, text)
	}
	set, err := connect.New(cfg, &connect.Options{Mux: mux, Logger: slog.New(slog.NewTextHandler(p.t.Output(), nil))})
	if err != nil {
		p.t.Fatal(err)
	}
	return set
}

func (p *pair) close(set *connect.Set) {
	if err := set.Close(); err != nil {
		p.t.Error(err)
	}
}

// side returns Spool's side without handlers, the same each time.
func (p *pair) side() *connect.Set {
	p.t.Helper()
	if p.set == nil {
		p.set = p.spool(nil)
		p.t.Cleanup(func() { p.close(p.set) })
	}
	return p.set
}

// workGo has Spool's worker run what is ready. change may alter its options.
func (p *pair) workGo(mux *spool.Mux, change func(*worker.Options)) worker.Result {
	p.t.Helper()
	set := p.spool(mux)
	defer p.close(set)
	conn, err := set.Manager.Connection(p.t.Context(), "")
	if err != nil {
		p.t.Fatal(err)
	}
	o, err := set.WorkerOptions(p.t.Context())
	if err != nil {
		p.t.Fatal(err)
	}
	o.Memory = 0 // the process is that of all tests
	o.StopWhenEmpty = true
	if change != nil {
		change(o)
	}
	res, err := worker.New(conn, mux, o).Run(p.t.Context())
	if err != nil || res.ExitCode != worker.ExitOK {
		p.t.Fatalf("the worker ended with %+v, %v", res, err)
	}
	return res
}

// eventually waits until ready is true.
func eventually(t *testing.T, what string, ready func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ready(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within a minute", what)
		}
	}
}

// size is how many jobs the queue holds, in any state.
func (p *pair) size() int64 {
	p.t.Helper()
	conn, err := p.side().Manager.Connection(p.t.Context(), "")
	if err != nil {
		p.t.Fatal(err)
	}
	s, err := conn.Size(p.t.Context(), "")
	if err != nil {
		p.t.Fatal(err)
	}
	return s.Total()
}
