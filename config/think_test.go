package config

import (
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
		"queue: {connector: Topthink, token: x}":                           "spool.yaml:1: queue.connections.topthink: has the connector Topthink",
		"queue: {connections: {a: {connector: 'app\\queue\\Mine'}}}":       "names a class of PHP",
		"queue: {connections: {a: {type: redis}}}":                         "say which think-queue is beside us",
		"queue: {connections: {a: {driver: redis, profile: tq2}}}":         `unknown profile "tq2"`,
		"queue: {connections: {a: {type: redis, profile: tq3, expir: 3}}}": `unknown key "expir"`,
		"queue: {failed: {type: 'app\\Failed'}}":                           "queue.failed.type: is a class of PHP",
		"thinkphp: 7":                                                      "thinkphp: unknown thinkphp",
		"queue: {connections: {a: {driver: beanstalkd, profile: tq3}}}":    "is no setting of the driver beanstalkd",
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
