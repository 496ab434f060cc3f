package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// ThinkPHP 5's config/queue.php, as YAML.
const think5 = `
queue:
  connector: Redis
  expire: 60
  default: mail
  host: redis.example
  port: 6380
  password: secret
  select: 3
  timeout: 0
  persistent: false
`

// ThinkPHP 6's and 8's.
const think6 = `
queue:
  default: redis
  connections:
    sync:
      type: sync
      profile: tq3
    database:
      type: database
      queue: default
      table: jobs
      connection: null
      profile: tq3-legacy
    redis:
      type: redis
      profile: tq3
      queue: orders
      host: 127.0.0.1
      port: 6379
      password: ''
      select: 2
      timeout: 0
      persistent: false
      retry_after: 120
  failed:
    type: database
    table: failed_jobs
`

func TestThinkQueueSettings(t *testing.T) {
	cfg := load(t, write(t, map[string]string{"spool.yaml": think5}), nil)
	q := cfg.Connections["redis"]
	if cfg.Default != "redis" || q == nil || q.Driver != "redis" || q.Profile != "tq1" || q.Queue != "mail" || *q.RetryAfter != time.Minute {
		t.Fatalf("default %s: %+v", cfg.Default, q)
	}
	r := cfg.Redis[q.Connection]
	if r.Host != "redis.example" || r.Port != 6380 || r.Password != "secret" || r.Database != 3 || r.Prefix != "" {
		t.Errorf("Redis of the queue is %+v", r)
	}
	if src := cfg.Source("queue.connections.redis.retry_after"); src.Line != 4 {
		t.Errorf("the lease comes from %v", src)
	}

	cfg = load(t, write(t, map[string]string{"spool.yaml": think6}), nil)
	q = cfg.Connections["redis"]
	if q.Profile != "tq3" || q.Queue != "orders" || *q.RetryAfter != 2*time.Minute || cfg.Redis[q.Connection].Database != 2 {
		t.Errorf("redis: %+v, %+v", q, cfg.Redis[q.Connection])
	}
	d := cfg.Connections["database"]
	if d.Driver != "database" || d.Profile != "tq3-legacy" || d.Table != "jobs" || d.Queue != "default" || *d.RetryAfter != time.Minute {
		t.Errorf("database: %+v", d)
	}
	if s := cfg.Connections["sync"]; s.Driver != "sync" || s.Profile != "tq3" {
		t.Errorf("sync: %+v", s)
	}
	if cfg.Failed.Driver != "think" {
		t.Errorf("failed: %+v", cfg.Failed)
	}

	cfg = load(t, write(t, map[string]string{"spool.yaml": strings.Replace(think5, "expire: 60", "expire: null", 1)}), nil)
	if q := cfg.Connections["redis"]; q.RetryAfter != nil {
		t.Errorf("expire null is %v", *q.RetryAfter)
	}
}

func TestThinkQueueErrors(t *testing.T) {
	for yaml, want := range map[string]string{
		"queue: {connector: Topthink, token: x}":                               "spool.yaml:1: queue.connections.topthink: has the connector Topthink",
		"queue: {connections: {a: {connector: 'app\\queue\\Mine'}}}":           "names a class of PHP",
		"queue: {connections: {a: {type: redis}}}":                             "say which think-queue is beside us",
		"queue: {connections: {a: {driver: redis, profile: tq2}}}":             `unknown profile "tq2"`,
		"queue: {connections: {a: {type: redis, profile: tq3, expir: 3}}}":     `unknown key "expir"`,
		"queue: {connections: {a: {type: redis, profile: tq3, expire: 3600}}}": "says expire, which think-queue 3 doesn't read",
		"queue: {failed: {type: 'app\\Failed'}}":                               "queue.failed.type: is a class of PHP",
		"thinkphp: 7":                                                          "thinkphp: unknown thinkphp",
		"queue: {connections: {a: {driver: beanstalkd, profile: tq3}}}":        "is no setting of the driver beanstalkd",
	} {
		_, err := Load(&Options{Dir: write(t, map[string]string{"spool.yaml": yaml})})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", yaml, err, want)
		}
	}
}

// A .env file with sections, as ThinkPHP 6 has it.
const thinkEnv = `APP_DEBUG = true

[APP]
DEFAULT_TIMEZONE = Asia/Tokyo

[DATABASE]
TYPE = mysql
HOSTNAME = db.example ; the old one
HOSTPORT = 3307
DATABASE = shop
USERNAME = "shop"
PASSWORD = 'p;=#w'
charset = utf8
PREFIX = tp_

# of our own
[REDIS]
HOST = redis.example
PASSWORD = secret
SELECT = 4
`

func TestThinkPHPEnv(t *testing.T) {
	yaml := "queue: {default: redis, connections: {redis: {driver: redis, profile: tq3}, database: {driver: database, profile: tq3}}}"
	cfg := load(t, write(t, map[string]string{"spool.yaml": yaml, ".env": thinkEnv}), &Options{Environ: []string{"PHP_DATABASE_PASSWORD=of the process"}})
	d := cfg.Databases["mysql"]
	if cfg.DefaultDatabase != "mysql" || d.Host != "db.example" || d.Port != 3307 || d.Database != "shop" || d.Username != "shop" || d.Password != "of the process" || d.Charset != "utf8" || d.Prefix != "tp_" {
		t.Errorf("database %s: %+v", cfg.DefaultDatabase, d)
	}
	r := cfg.Redis["default"]
	if r.Host != "redis.example" || r.Password != "secret" || r.Database != 4 || r.Prefix != "" {
		t.Errorf("redis: %+v", r)
	}
	if cfg.ThinkPHP != "6" || cfg.App.Timezone != "Asia/Tokyo" || cfg.Cache.Prefix != "" || cfg.Laravel != (Version{}) {
		t.Errorf("ThinkPHP %q, time zone %s, cache prefix %q, Laravel %s", cfg.ThinkPHP, cfg.App.Timezone, cfg.Cache.Prefix, cfg.Laravel)
	}
	for _, w := range cfg.Warnings {
		t.Errorf("warned: %s", w)
	}

	// ThinkPHP 8's file has no sections.
	env8 := "APP_DEBUG = true\n\nDB_TYPE = mysql\nDB_HOST = db8.example\nDB_NAME = shop\nDB_USER = u\nDB_PASS = p\nDB_PORT = 3308\nDB_CHARSET = utf8mb4\nDB_PREFIX = x_\n"
	cfg = load(t, write(t, map[string]string{"spool.yaml": "thinkphp: 8\n" + yaml, ".env": env8}), nil)
	if d := cfg.Databases["mysql"]; d.Host != "db8.example" || d.Database != "shop" || d.Username != "u" || d.Password != "p" || d.Prefix != "x_" {
		t.Errorf("ThinkPHP 8: %+v", d)
	}
	if d := cfg.Databases["mysql"]; d.Charset != "utf8mb4" || d.Collation != "utf8mb4_unicode_ci" {
		t.Errorf("charset %s, collation %s", d.Charset, d.Collation)
	}
	// Its own example says utf8, and knows no collations.
	cfg = load(t, write(t, map[string]string{"spool.yaml": "thinkphp: 8\n" + yaml, ".env": strings.Replace(env8, "utf8mb4", "utf8", 1)}), nil)
	if d := cfg.Databases["mysql"]; d.Charset != "utf8" || d.Collation != "" {
		t.Errorf("charset %s, collation %s", d.Charset, d.Collation)
	}
	if cfg.App.Timezone != "Asia/Shanghai" {
		t.Errorf("time zone %s", cfg.App.Timezone)
	}

	_, err := Load(&Options{Dir: write(t, map[string]string{".env": "[A]\nB = \"open\n"})})
	if err == nil || !strings.Contains(err.Error(), ".env:2: B: a missing closing quote") || strings.Contains(err.Error(), "open") {
		t.Errorf("a quote that is never closed: %v", err)
	}
	_, err = Load(&Options{Dir: write(t, map[string]string{".env": "[A]\nwhat is this\n"})})
	if err == nil || !strings.Contains(err.Error(), ".env:2: neither") {
		t.Errorf("a line that is nothing: %v", err)
	}
}

// composer.lock tells the versions.
func TestThinkPHPLock(t *testing.T) {
	files := map[string]string{
		"spool.yaml":    "queue: {connections: {redis: {type: redis, profile: tq3-legacy}}}",
		"composer.lock": `{"packages":[{"name":"topthink/framework","version":"v6.0.16"},{"name":"topthink/think-queue","version":"v3.0.4"}]}`,
	}
	cfg := load(t, write(t, files), nil)
	if cfg.ThinkPHP != "6" || cfg.Connections["redis"].Version != "3.0.4" {
		t.Errorf("ThinkPHP %q, think-queue %q", cfg.ThinkPHP, cfg.Connections["redis"].Version)
	}
}

// ThinkPHP's config/cache.php, of 5 (one store, several) and of 6 and 8.
func TestThinkPHPCache(t *testing.T) {
	for yaml, want := range map[string]struct{ store, driver, path string }{
		"thinkphp: 8":   {"file", "file", "runtime/cache"},
		"thinkphp: 5.0": {"file", "file", "runtime/cache"},
		"thinkphp: 6\ncache: {default: file, stores: {file: {type: File, path: '', prefix: '', expire: 0, tag_prefix: 'tag:', serialize: []}, memcached: {type: memcached, host: x}}}": {"file", "file", "runtime/cache"},
		"thinkphp: 6\ncache: {default: files, stores: {files: {type: File, path: var/c, prefix: shop}}}":                                                                               {"files", "file", "var/c/shop"},
		"thinkphp: 5.1\ncache: {type: File, path: '', prefix: shop, expire: 0}":                                                                                                        {"file", "file", "runtime/cache/shop"},
		"thinkphp: 5.1\ncache: {type: complex, default: {type: File, cache_subdir: false}, redis: {type: redis, host: r}}":                                                             {"default", "file", "runtime/cache"},
		"thinkphp: 5.0\ncache: {type: redis, host: cache.example, port: 6380, password: p, select: 5, prefix: 'shop:', timeout: 0, persistent: false}":                                 {"redis", "redis", ""},
		"thinkphp: 8\ncache: {default: redis, stores: {redis: {type: redis, host: cache.example, port: 6380, password: p, select: 5, prefix: 'shop:', expire: 0}}}":                    {"redis", "redis", ""},
	} {
		dir := write(t, map[string]string{"spool.yaml": yaml})
		cfg := load(t, dir, nil)
		s := cfg.Cache.Stores[cfg.Cache.Default]
		if cfg.Cache.Default != want.store || s == nil || s.Driver != want.driver {
			t.Errorf("%s: the store is %s: %+v", yaml, cfg.Cache.Default, s)
			continue
		}
		if want.path != "" && s.Path != filepath.Join(dir, filepath.FromSlash(want.path)) {
			t.Errorf("%s: the folder is %s", yaml, s.Path)
		}
		if s.Flat != strings.Contains(yaml, "cache_subdir: false") {
			t.Errorf("%s: flat is %v", yaml, s.Flat)
		}
		if s.Driver == "redis" {
			if r := cfg.Redis[s.Connection]; s.Prefix != "shop:" || r.Host != "cache.example" || r.Port != 6380 || r.Password != "p" || r.Database != 5 || r.Prefix != "" {
				t.Errorf("%s: prefix %q on %+v", yaml, s.Prefix, r)
			}
		}
	}
	for yaml, want := range map[string]string{
		"thinkphp: 8\ncache: {default: m, stores: {m: {type: memcached}}}":        "spool.yaml:2: cache.stores.m: is a store that only PHP reads (memcached)",
		"thinkphp: 8\ncache: {stores: {file: {type: File, data_compress: true}}}": "cache.stores.file.data_compress: is not understood but as false",
		"cache: {default: file, stores: {file: {type: File}}}":                    "say thinkphp: 5.0, 5.1, 6 or 8 too",
	} {
		_, err := Load(&Options{Dir: write(t, map[string]string{"spool.yaml": yaml})})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", yaml, err, want)
		}
	}
}

// A whole version is taken for the one whose settings it has.
func TestThinkPHPVersions(t *testing.T) {
	for version, want := range map[string]string{"5.0.7": "5.0.10", "5.0.10": "5.0.10", "v5.0.11": "5.0", "5.0.25": "5.0", "5.1.42": "5.1", "6.1.2": "6", "6.0": "6", "8.0.4": "8", "8": "8"} {
		if cfg := load(t, write(t, map[string]string{"spool.yaml": "thinkphp: '" + version + "'"}), nil); cfg.ThinkPHP != want {
			t.Errorf("thinkphp: %s is %s, want %s", version, cfg.ThinkPHP, want)
		}
		lock := `{"packages":[{"name":"topthink/framework","version":"` + version + `"}]}`
		if cfg := load(t, write(t, map[string]string{"composer.lock": lock}), nil); cfg.ThinkPHP != want {
			t.Errorf("composer.lock with %s: %s, want %s", version, cfg.ThinkPHP, want)
		}
	}
}

// Failed jobs are kept where nobody says otherwise: think-queue 3 has a table
// for them, 1 and 2 have none.
func TestThinkPHPFailedJobs(t *testing.T) {
	for version, want := range map[string]string{"5.0": "file", "5.1": "file", "6": "think", "8": "think"} {
		dir := write(t, map[string]string{"spool.yaml": "thinkphp: " + version})
		f := load(t, dir, nil).Failed
		if f.Driver != want || want == "file" && f.Path != filepath.Join(dir, "runtime", "spool-failed.json") || want == "think" && f.Table != "failed_jobs" {
			t.Errorf("ThinkPHP %s: %+v", version, f)
		}
	}
	cfg := load(t, write(t, map[string]string{"spool.yaml": "thinkphp: 8\nqueue: {failed: {type: none}}"}), nil)
	if cfg.Failed.Driver != "null" {
		t.Errorf("type none is %+v", cfg.Failed)
	}
}

// The table of defaults in the guide is what a worker has.
func TestThinkPHPDefaultsInTheDocs(t *testing.T) {
	guide, err := os.ReadFile(filepath.Join("..", "docs", "thinkphp.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(guide), "## Defaults of the workers")
	said := map[string]string{}
	for line := range strings.Lines(table) {
		if strings.HasPrefix(line, "## ") {
			break
		}
		if cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|"); len(cells) == 5 {
			said[strings.TrimSpace(cells[0])] = strings.Trim(strings.TrimSpace(cells[4]), "*")
		}
	}
	for _, yaml := range []string{
		"thinkphp: 5.1\nqueue: {connector: Redis}",
		"thinkphp: 8\nqueue: {default: a, connections: {a: {type: redis, profile: tq3, queue: default}}}",
		"thinkphp: 6\nqueue: {default: a, connections: {a: {type: database, profile: tq3-legacy}}}",
	} {
		cfg := load(t, write(t, map[string]string{"spool.yaml": yaml}), nil)
		w, q := cfg.Worker, cfg.Connections[cfg.Default]
		for row, want := range map[string]string{
			"jobs at a time": fmt.Sprint(w.Concurrency), "tries": fmt.Sprint(w.Tries),
			"delay after an error": fmt.Sprintf("%.0f", w.Backoff[0].Seconds()), "sleep": fmt.Sprintf("up to %.0f s", w.Sleep.Seconds()),
			"timeout": fmt.Sprintf("%.0f s", w.Timeout.Seconds()), "memory": fmt.Sprintf("%d MB", w.Memory),
			"`expire`, `retry_after`": fmt.Sprintf("%.0f s", q.RetryAfter.Seconds()),
		} {
			if !strings.HasPrefix(said[row], want) {
				t.Errorf("%s\n%s: the guide says %q, but it is %s", yaml, row, said[row], want)
			}
		}
	}
}
