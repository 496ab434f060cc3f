package config

import (
	"os"
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	const laravel = "laravel: 11\n"
	tests := []struct {
		name, yaml string
		conns      []string
		want       []string // the start of each finding
	}{
		{"the stock Laravel 11", laravel, nil, nil},
		{"the stock Laravel 10 in production", "laravel: 10\n", nil, []string{"warn: queue.connections.sync.driver: sync runs each job inside"}},
		{"sync elsewhere", "laravel: 10\napp: {env: local}", nil, nil},
		{"the null connection", laravel, []string{"null"}, []string{"warn: queue.connections.null.driver: null drops"}},
		{"memory in production", "", []string{"memory"}, []string{"warn: queue.connections.memory.driver: memory keeps"}},
		{"a connection of the application's own", laravel, []string{"mine"}, nil},
		{"retry_after null", laravel + "queue: {connections: {database: {retry_after: null}}}", nil, []string{"warn: queue.connections.database.retry_after: null: jobs of a worker that died"}},
		{"retry_after 0", laravel + "queue: {connections: {database: {retry_after: 0}}}", nil, []string{"refuse: queue.connections.database.retry_after: 0 s is too short"}},
		{"retry_after 2.9", laravel + "queue: {connections: {database: {retry_after: 2.9}}}", nil, []string{"refuse: queue.connections.database.retry_after: 2.9 s is too short"}},
		{"retry_after 3", laravel + "queue: {connections: {database: {retry_after: 3}}}\nworker: {timeout: 2, sleep: 1}", nil, nil},
		{"timeout at retry_after", laravel + "worker: {timeout: 90}", nil, []string{"warn: queue.connections.database.retry_after: worker.timeout (90 s) is not below retry_after (90 s): Spool renews"}},
		{"timeout under retry_after", laravel + "worker: {timeout: 89}", nil, nil},
		{"no timeout", laravel + "worker: {timeout: 0}", nil, []string{"warn: queue.connections.database.retry_after: worker.timeout is 0"}},
		{"a job's timeout", laravel + "jobs: [{name: A, shell: x, timeout: 90}, {name: B, shell: x, timeout: 10}]", nil, []string{"warn: jobs[0].timeout: 90 s is not below"}},
		{"block_for 0", laravel + "database: {redis: {options: {prefix: x}}}\nqueue: {connections: {redis: {block_for: 0}}}", []string{"redis"}, []string{"warn: queue.connections.redis.block_for: 0 blocks without limit"}},
		{"block_for 0 of beanstalkd is the stock", laravel, []string{"beanstalkd"}, nil},
		{"beanstalkd without retry_after", laravel + "queue: {connections: {beanstalkd: {retry_after: null}}}", []string{"beanstalkd"}, []string{"warn: queue.connections.beanstalkd.retry_after: null: beanstalkd has no reservations that stay"}},
		{"sleep at timeout", laravel + "worker: {timeout: 3}", nil, []string{"warn: worker.sleep: sleep and rest (3 s) reach timeout (3 s)"}},
		{"any number of tries at once", laravel + "worker: {tries: 0}", nil, []string{"warn: worker.tries: 0 is any number"}},
		{"any number of tries with a pause", laravel + "worker: {tries: 0, backoff: [0, 5]}", nil, nil},
		{"no slots", laravel + "worker: {concurrency: 0}", nil, []string{"refuse: worker.concurrency: must be 1 or more"}},
		{"failed jobs dropped", laravel + "queue: {failed: {driver: null}}", nil, []string{"warn: queue.failed.driver: null keeps no record"}},
		{"a cache of this process", laravel + "cache: {default: array}", nil, []string{"warn: cache.default: the store array cannot carry"}},
		{"a prefix that may be another", "laravel: 12\ncache: {prefix: x}", []string{"redis"}, []string{`warn: database.redis.default.prefix: "laravel_database_" is a guess: Laravel 12 applications have either this prefix or "laravel-database-"`}},
		{"a cache prefix that may be another", "laravel: 12\n", nil, []string{`warn: cache.stores.database.prefix: "laravel_cache_" is a guess: Laravel 12 applications have either this prefix or "laravel-cache-"`}},
		{"a prefix that is said", "laravel: 12\ncache: {prefix: x}\ndatabase: {redis: {options: {prefix: laravel_database_}}}", []string{"redis"}, nil},
		{"cache and queue in one Redis database", laravel + "cache: {default: redis}\ndatabase: {redis: {cache: {database: 0}}}", []string{"redis"}, []string{"warn: database.redis.cache.database: the cache store redis and the queue connection redis share Redis database 0"}},
		{"cache and queue apart", laravel + "cache: {default: redis}", []string{"redis"}, nil},
		{"a cluster", laravel + "database: {redis: {default: {cluster: true, database: 2}}}", []string{"redis"}, []string{"refuse: database.redis.default.database: a Redis Cluster has", "warn: queue.connections.redis.queue: Laravel 11 needs braces"}},
		{"a cluster, braces", laravel + "queue: {connections: {redis: {queue: '{default}'}}}\ndatabase: {redis: {default: {nodes: ['a:1']}}}", []string{"redis"}, nil},
		{"a cluster, a name that can't be tagged", "laravel: none\nqueue: {connections: {redis: {queue: '}x'}}}\ndatabase: {redis: {default: {cluster: true}}}", []string{"redis"}, []string{`refuse: queue.connections.redis.queue: "}x" can't be used on a Redis Cluster`}},
		{"a cluster, a prefix that switches tags off", "laravel: none\ndatabase: {redis: {default: {cluster: true, prefix: 'a{}b'}}}", []string{"redis"}, []string{`refuse: database.redis.default.prefix: "a{}b" has {} in it`}},
		{"beanstalkd with no priority", laravel + "queue: {connections: {beanstalkd: {priority: 0}}}", []string{"beanstalkd"}, []string{"refuse: queue.connections.beanstalkd.priority: 0: it must be 1 or more"}},
		{"SQS that empties the cache", laravel + "queue: {connections: {sqs: {prefix: x, overflow: {enabled: true, flush_on_clear: true}}}}", []string{"sqs"}, []string{"warn: queue.connections.sqs.overflow.flush_on_clear: clearing a queue empties the cache store database"}},
		{"SQS that empties a cache of its own", laravel + "queue: {connections: {sqs: {prefix: x, overflow: {enabled: true, store: file, flush_on_clear: true}}}}", []string{"sqs"}, nil},
		{"a failover", laravel + "queue: {connections: {both: {driver: failover, connections: [database, 'null']}}}", []string{"both"}, []string{"warn: queue.connections.null.driver: null drops", "warn: queue.connections.both.driver: a worker of this connection works database only"}},
		{"in the background", "laravel: none", []string{"background", "deferred"}, []string{"warn: queue.connections.background.driver: background runs jobs in the program", "warn: queue.connections.deferred.driver: deferred runs jobs in the program"}},
		{"degraded", laravel + "queue: {degrade: sync}", nil, []string{"warn: queue.degrade: every dispatch goes to the connection sync"}},
		{"SQLite in memory", laravel + "database: {connections: {sqlite: {database: ':memory:', synchronous: off}}}", nil, []string{"refuse: database.connections.sqlite.database: :memory: is not the path", "warn: database.connections.sqlite.synchronous: off: a power cut may lose the jobs pushed last and damage"}},
		{"two profiles on one queue", "queue: {connections: {old: {driver: redis, profile: tq1}}}\ndatabase: {redis: {options: {prefix: x}}}", []string{"redis"}, []string{"refuse: queue.connections.redis.profile: laravel: the connection old has queue default in the same place and stores what tq1 says there"}},
		{"two profiles, two prefixes", "queue: {connections: {old: {driver: redis, profile: tq1}}}\ndatabase: {redis: {default: {}}}", []string{"redis"}, nil},
		{"two profiles, two queues", "queue: {connections: {redis: {queue: a}, old: {driver: redis, profile: tq1, queue: b}}}\ndatabase: {redis: {options: {prefix: x}}}", []string{"redis"}, nil},
		{"two profiles, two databases", "queue: {connections: {old: {driver: redis, profile: tq1, connection: second}}}\ndatabase: {redis: {options: {prefix: x}, second: {database: 3}}}", []string{"redis"}, nil},
		{"two profiles, and keys in braces", "queue: {connections: {a: {driver: redis, profile: tq3-legacy}, b: {driver: redis, profile: tq3}}}\nworker: {timeout: 9}", []string{"a", "b"}, nil},
		{"two profiles on the worker's queue", "queue: {connections: {redis: {queue: a}, old: {driver: redis, profile: tq1, queue: b}}}\ndatabase: {redis: {options: {prefix: x}}}\nworker: {queue: [c, b]}", []string{"redis"}, []string{"refuse: queue.connections.redis.profile: laravel: the connection old has queue b"}},
		{"two profiles in one table", "queue: {connections: {a: {driver: database, profile: tq1, table: j}, b: {driver: database, profile: tq3, table: j}}}\nworker: {timeout: 9}", []string{"a"}, []string{"refuse: queue.connections.a.profile: tq1: the connection b has queue default in the same place"}},
		{"profiles that are one in a table", "queue: {connections: {a: {driver: database, profile: tq3-legacy, table: j}, b: {driver: database, profile: tq3, table: j}}}\nworker: {timeout: 9}", []string{"a", "b"}, nil},
		{"SQS of nobody", laravel, []string{"sqs"}, []string{"refuse: queue.connections.sqs.prefix: still names"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := load(t, write(t, map[string]string{"spool.yaml": tt.yaml}), nil)
			got := Check(cfg, tt.conns...)
			for i, f := range got {
				if i >= len(tt.want) || !strings.HasPrefix(f.String(), tt.want[i]) {
					t.Errorf("found %s", f)
				}
			}
			if len(got) < len(tt.want) {
				t.Errorf("found %v, want %q", got, tt.want)
			}
		})
	}
}

func TestCheckBeginsWithWarnings(t *testing.T) {
	cfg := load(t, t.TempDir(), &Options{Environ: []string{"QUEUE_CONECTION=x"}})
	if got := Check(cfg); len(got) != 1 || got[0].Level != Warn || !strings.Contains(got[0].Message, "QUEUE_CONECTION") || got[0].Source.Name != "QUEUE_CONECTION" {
		t.Errorf("findings %v", got)
	}
}

// everything is a file with every sort of setting, and secrets in all of them.
const everything = `
laravel: 13
app: {name: "My $ App", env: local, key: topsecret, previous_keys: [topsecret1, topsecret2]}
queue:
  default: redis
  connections:
    sqs: {driver: sqs, key: topsecret, secret: topsecret, token: topsecret, suffix: "-x"}
    "null": {driver: "null"}
    other: {driver: database, connection: pgsql, retry_after: null, table: "jobs table", queue: "yes"}
    redis: {driver: redis, block_for: 2.5, retry_after: 1m}
  failed: {driver: file, path: failed.json, limit: 7}
database:
  default: pgsql
  connections:
    pgsql: {driver: pgsql, url: "postgres://u:topsecret@h:1/d?sslmode=require&charset=latin1", sslca: ca.pem}
    mysql: {driver: mysql, password: topsecret, unix_socket: /run/my.sock, max_open: 4}
  redis:
    options: {prefix: "p$${x}:"}
    default: {url: "rediss://:topsecret@h/2", tls: {ca: ca.pem, insecure: true}}
    more: {password: topsecret, nodes: ["a:1", "b:2"], sentinel: {master: m, nodes: ["s:1"], password: topsecret}, prefix: ""}
cache: {default: file, prefix: "#x: y", stores: {file: {path: c}}}
worker: {queue: [high, low], backoff: [1, 2.5], memory: 0, json: true, sleep: 100ms}
jobs:
  - {name: ['App\Jobs\*', "b: c"], command: [php, "-r", "echo 'a b';"], dir: sub, env: {A_TOKEN: topsecret}, tries: 0, timeout: 5, backoff: [1], fail_on_timeout: true}
  - {name: hook, url: "https://u:topsecret@h/p?token=topsecret", headers: {Authorization: "Bearer topsecret"}, max_exceptions: 2}
  - {name: "*", shell: "cat > /dev/null"}
`

func TestSecretsAreMasked(t *testing.T) {
	dir := write(t, map[string]string{"spool.yaml": everything})
	cfg := load(t, dir, nil)
	out := explained(cfg, "", "") + string(cfg.Render(nil))
	for _, f := range Check(cfg, "redis", "sqs", "other") {
		out += f.String()
	}
	for _, line := range strings.Split(explained(cfg, dir), "\n") {
		out += line
		if strings.Contains(line, "topsecret") {
			t.Errorf("a secret is told: %s", line)
		}
	}
	if strings.Contains(out, "topsecret") {
		t.Error("a secret is told")
	}
	if got := cfg.Databases["pgsql"]; got.Password != "topsecret" || got.Host != "h" || got.SSLMode != "require" {
		t.Errorf("but they must be read: %+v", got)
	}
}

// TestRender writes a file and reads it back.
func TestRender(t *testing.T) {
	dir := write(t, map[string]string{"spool.yaml": everything})
	cfg := load(t, dir, nil)
	var environ []string
	yaml := cfg.Render(&RenderOptions{Header: "Made by a test.\nTwo lines.", Variable: func(key, secret string) (string, bool) {
		name := plainVariable(key)
		environ = append(environ, name+"="+secret)
		return name, false
	}})
	golden(t, "render.yaml", strings.ReplaceAll(string(yaml), dir, "DIR"))
	if err := os.WriteFile(dir+"/spool.yaml", yaml, 0o600); err != nil {
		t.Fatal(err)
	}
	again := load(t, dir, &Options{Environ: environ})
	if len(again.order) != len(cfg.order) {
		t.Errorf("%d settings became %d", len(cfg.order), len(again.order))
	}
	for _, key := range cfg.order {
		a, b := cfg.values[key], again.values[key]
		if b.n == nil || show(a.n, "") != show(b.n, "") {
			t.Errorf("%s was %q, is %+v", key, show(a.n, ""), b.n)
		}
	}
}

// TestSQLiteModes: the modes that can be had, in any case of letters, and why
// the others can't.
func TestSQLiteModes(t *testing.T) {
	for _, mode := range []string{"wal", "WAL", "delete", "Truncate", "persist"} {
		cfg, err := Load(&Options{Dir: write(t, map[string]string{"spool.yaml": "database: {connections: {sqlite: {journal_mode: " + mode + ", synchronous: NORMAL}}}"})})
		if err != nil {
			t.Errorf("%s: %v", mode, err)
			continue
		}
		if d := cfg.Databases["sqlite"]; d.JournalMode != strings.ToLower(mode) || d.Synchronous != "normal" {
			t.Errorf("%s is %q, synchronous %q", mode, d.JournalMode, d.Synchronous)
		}
	}
	for _, mode := range []string{"memory", "off"} {
		_, err := Load(&Options{Dir: write(t, map[string]string{"spool.yaml": "database: {connections: {sqlite: {journal_mode: '" + mode + "'}}}"})})
		if err == nil || !strings.Contains(err.Error(), "would damage the file") || !strings.Contains(err.Error(), "wal, delete") {
			t.Errorf("%s: %v", mode, err)
		}
	}
}
