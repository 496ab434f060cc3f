package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// write makes a folder with files and returns it.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func load(t *testing.T, dir string, o *Options) *Config {
	t.Helper()
	if o == nil {
		o = &Options{}
	}
	o.Dir = dir
	cfg, err := Load(o)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// explained renders settings and warnings, with dir as DIR.
func explained(cfg *Config, dir string, skip ...string) string {
	var b strings.Builder
	for _, s := range cfg.Explain() {
		skipped := false
		for _, p := range skip {
			skipped = skipped || strings.HasPrefix(s.Key, p)
		}
		if !skipped {
			fmt.Fprintf(&b, "%s = %s  # %s\n", s.Key, s.Value, s.Source)
		}
	}
	for _, f := range cfg.Warnings {
		b.WriteString(f.String() + "\n")
	}
	return strings.ReplaceAll(b.String(), dir, "DIR")
}

func lockFile(version string) string {
	return `{"packages": [{"name": "brick/math", "version": "0.1"}, {"name": "laravel/framework", "version": "` + version + `"}]}`
}

// TestStockEnv reads the .env file of a fresh application of each version.
func TestStockEnv(t *testing.T) {
	locks := map[string]string{
		"5.6": "v5.6.40", "5.7": "v5.7.29", "5.8": "v5.8.38", "6": "v6.20.44", "7": "v7.30.6", "8": "v8.83.29",
		"9": "v9.52.16", "10": "v10.48.22", "11": "v11.44.0", "12": "v12.26.4", "13": "v13.26.1",
	}
	for version, lock := range locks {
		t.Run(version, func(t *testing.T) {
			env, err := os.ReadFile("testdata/env/laravel-" + version + ".env")
			if err != nil {
				t.Fatal(err)
			}
			dir := write(t, map[string]string{".env": string(env), "composer.lock": lockFile(lock)})
			golden(t, "laravel-"+version+".txt", explained(load(t, dir, nil), dir, "worker.", "queue.connections.sqs", "queue.connections.beanstalkd"))
		})
	}
}

func TestNames_of_an_operators_guide(t *testing.T) {
	env, err := os.ReadFile("testdata/env/mes.env")
	if err != nil {
		t.Fatal(err)
	}
	dir := write(t, map[string]string{"mes.env": string(env), "composer.lock": lockFile("v8.83.29")})
	cfg := load(t, dir, &Options{EnvFile: "mes.env"})
	golden(t, "mes.txt", explained(cfg, dir, "worker.", "queue.connections.sqs", "queue.connections.beanstalkd"))
	r := cfg.Redis[cfg.Connections["redis"].Connection]
	if r.Name != "queue_redis" || r.Host != "10.10.0.7" || r.Port != 6380 || r.Password != "queue-secret" || r.Database != 3 || r.Prefix != "mes_database_" {
		t.Errorf("the queue's Redis is %+v", r)
	}
	if q := cfg.Connections["redis"]; *q.RetryAfter != time.Hour || *q.BlockFor != 5*time.Second {
		t.Errorf("the queue is %+v", q)
	}
}

func TestNothing_configured_is_the_embedded_default(t *testing.T) {
	dir := t.TempDir()
	cfg := load(t, dir, nil)
	golden(t, "nothing.txt", explained(cfg, dir))
	d := cfg.Databases[cfg.Connections[cfg.Default].Connection]
	if d.Driver != "sqlite" || d.Database != filepath.Join(dir, "spool.db") || d.Synchronous != "full" || d.JournalMode != "wal" {
		t.Errorf("the default database is %+v", d)
	}
	if f := Check(cfg); len(f) != 0 {
		t.Errorf("findings: %v", f)
	}
	if cfg.Laravel != (Version{}) || cfg.Failed.Database != "sqlite" || cfg.Failed.Driver != "database-uuids" || cfg.Cache.Stores[cfg.Cache.Default].Connection != "sqlite" {
		t.Errorf("not the embedded default: %+v", cfg)
	}
}

func TestPrecedence(t *testing.T) {
	const key = "queue.connections.redis.retry_after"
	yaml := "laravel: 11\nqueue:\n  connections:\n    redis:\n      retry_after: 30\n"
	dotenv := "REDIS_QUEUE_RETRY_AFTER=40\n"
	process := []string{"REDIS_QUEUE_RETRY_AFTER=50"}
	flags := []Flag{{"--retry-after", key, "60"}}
	tests := []struct {
		name   string
		files  map[string]string
		env    []string
		flags  []Flag
		want   time.Duration
		source string
	}{
		{"default", map[string]string{"spool.yaml": "laravel: 11\n"}, nil, nil, 90 * time.Second, "default (Laravel 11)"},
		{"file over default", map[string]string{"spool.yaml": yaml}, nil, nil, 30 * time.Second, "spool.yaml:5"},
		{"env file over file", map[string]string{"spool.yaml": yaml, ".env": dotenv}, nil, nil, 40 * time.Second, "env REDIS_QUEUE_RETRY_AFTER (.env:1)"},
		{"process over env file", map[string]string{"spool.yaml": yaml, ".env": dotenv}, process, nil, 50 * time.Second, "env REDIS_QUEUE_RETRY_AFTER"},
		{"flag over all", map[string]string{"spool.yaml": yaml, ".env": dotenv}, process, flags, 60 * time.Second, "flag --retry-after"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := load(t, write(t, tt.files), &Options{Environ: tt.env, Flags: tt.flags})
			if got := *cfg.Connections["redis"].RetryAfter; got != tt.want {
				t.Errorf("retry_after %v, want %v", got, tt.want)
			}
			if got := cfg.Source(key).String(); got != tt.source {
				t.Errorf("source %q, want %q", got, tt.source)
			}
		})
	}
}

func TestVersionIsFound(t *testing.T) {
	tests := []struct {
		name    string
		files   map[string]string
		env     []string
		flags   []Flag
		want    string
		source  string
		warning string
	}{
		{"nothing", nil, nil, nil, "none", "default", ""},
		{"composer.lock", map[string]string{"composer.lock": lockFile("v9.1.0")}, nil, nil, "9", "composer.lock", ""},
		{"the file says it", map[string]string{"composer.lock": lockFile("v9.1.0"), "spool.yaml": "laravel: 10"}, nil, nil, "10", "spool.yaml:1", ""},
		{"the environment says it", map[string]string{"spool.yaml": "laravel: 10"}, []string{"SPOOL_LARAVEL=5.8"}, nil, "5.8", "env SPOOL_LARAVEL", ""},
		{"a flag says it", map[string]string{"spool.yaml": "laravel: 10"}, []string{"SPOOL_LARAVEL=5.8"}, []Flag{{"--laravel", "laravel", "v12.1"}}, "12", "flag --laravel", ""},
		{"told not to be one", map[string]string{"composer.lock": lockFile("v9.1.0"), "spool.yaml": "laravel: none"}, nil, nil, "none", "spool.yaml:1", ""},
		{"a future one", map[string]string{"composer.lock": lockFile("v15.0.1")}, nil, nil, "15", "composer.lock", ""},
		{"a branch", map[string]string{"composer.lock": lockFile("12.x-dev")}, nil, nil, "12", "composer.lock", ""},
		{"assumed by CACHE_DRIVER", map[string]string{".env": "APP_KEY=x\nCACHE_DRIVER=file"}, nil, nil, "8", "default (assumed)", "Laravel 8 is assumed"},
		{"assumed by FILESYSTEM_DISK", map[string]string{".env": "APP_KEY=x\nCACHE_DRIVER=file\nFILESYSTEM_DISK=local"}, nil, nil, "10", "default (assumed)", "Laravel 10 is assumed"},
		{"assumed by CACHE_STORE", map[string]string{".env": "QUEUE_CONNECTION=redis\nCACHE_STORE=redis"}, nil, nil, "12", "default (assumed)", "Laravel 12 is assumed"},
		{"assumed by QUEUE_DRIVER", map[string]string{".env": "QUEUE_DRIVER=redis"}, nil, nil, "5.6", "default (assumed)", "Laravel 5.6 is assumed"},
		{"a .env of something else", map[string]string{".env": "PORT=80\nDATABASE_URL=postgres://h/d"}, nil, nil, "none", "default", ""},
		{"a bad lock file", map[string]string{"composer.lock": "{"}, nil, nil, "none", "default", "no JSON"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := load(t, write(t, tt.files), &Options{Environ: tt.env, Flags: tt.flags})
			if got := cfg.Laravel.String(); got != tt.want {
				t.Errorf("version %s, want %s", got, tt.want)
			}
			if got := cfg.Source("laravel").String(); got != tt.source {
				t.Errorf("source %q, want %q", got, tt.source)
			}
			var all []string
			for _, f := range cfg.Warnings {
				all = append(all, f.String())
			}
			if s := strings.Join(all, "\n"); !strings.Contains(s, tt.warning) || tt.warning == "" && s != "" {
				t.Errorf("warnings %q, want %q", s, tt.warning)
			}
		})
	}
}

func TestVariablesThatAreOdd(t *testing.T) {
	dir := write(t, map[string]string{"composer.lock": lockFile("v11.0.0"), ".env": strings.Join([]string{
		"QUEUE_CONECTION=redis", "QUEUE_RETRY_AFTER=90", "REDIS_QUEUE_RETRYAFTER=1", "CACHE_DRIVER=redis", "DATABASE_URL=postgres://h/d",
		"REDIS_RETRY_AFTER=100", "SPOOL_WORKER_CONCURENCY=3", "QUEUE_MONITOR_TOKEN=x", "MY_QUEUE=1",
	}, "\n")})
	cfg := load(t, dir, nil)
	var got []string
	for _, f := range cfg.Warnings {
		got = append(got, f.String())
	}
	golden(t, "odd-variables.txt", strings.Join(got, "\n")+"\n")
	if cfg.Cache.Default != "redis" || *cfg.Connections["redis"].RetryAfter != 100*time.Second || cfg.Databases["sqlite"].Driver != "sqlite" {
		t.Errorf("cache %s, retry_after %v", cfg.Cache.Default, cfg.Connections["redis"].RetryAfter)
	}
}

func TestFileErrors(t *testing.T) {
	dir := write(t, map[string]string{"spool.yaml": `# every kind of mistake
laravel: eleven
qeue: {}
queue:
  defalt: redis
  default: redsi
  connections:
    redis:
      retry_afer: 90
      retry_after: soon
      table: jobs
      block_for: -1
      host: x
    mail: {driver: reddis}
    late: {driver: rabbitmq}
    empty:
    bad.name: {driver: redis}
    list: [1, 2]
    twice: {driver: redis}
    twice: {driver: redis}
  failed: {driver: mongo, database: mysqll}
database:
  redis:
    default: {port: "63x", password: "${NO_SUCH}"}
    other: {url: "http://u:topsecret@h"}
  connections:
    mysql: {port: 99999999999, sslmode: sometimes}
    db: {url: "postgres://u:topsecret@h:port/d"}
cache: {default: memcached}
jobs:
  - {command: php x.php, tries: many}
  - name: A
  - {name: B, url: "ftp://x", timeout: 1m}
app: {key: [topsecret], timezone: {a: b}}
worker: {queue: {a: b}, concurrency: lots}
`})
	_, err := Load(&Options{Dir: dir})
	if err == nil {
		t.Fatal("no error")
	}
	golden(t, "file-errors.txt", err.Error()+"\n")
	if strings.Contains(err.Error(), "topsecret") {
		t.Error("a secret is told")
	}
	for _, e := range Errors(err) {
		if e.Source.File != "spool.yaml" || e.Source.Line == 0 {
			t.Errorf("without a place: %v", e)
		}
	}
	// References are looked at once everything else is right.
	dir = write(t, map[string]string{"spool.yaml": `queue:
  default: redsi
  connections:
    redis: {connection: cahce}
    database: {connection: mysqll}
    empty: {driver: failover}
    nowhere: {driver: failover, connections: [redis, datbase]}
    nested: {driver: failover, connections: [empty]}
    twice: {driver: failover, connections: [redis, redis]}
  degrade: synk
  php_connection: rediss
  failed: {database: nope}
database: {default: pgsq}
cache: {default: memcached, stores: {redis: {lock_connection: x}}}
app: {maintenance: {driver: cache, store: y}}
jobs:
  - {command: [a], url: "http://x"}
`})
	_, err = Load(&Options{Dir: dir})
	if err == nil {
		t.Fatal("no error")
	}
	golden(t, "reference-errors.txt", err.Error()+"\n")
}

func TestSyntaxErrorsKeepSecrets(t *testing.T) {
	for name, content := range map[string]string{
		"yaml":      "app:\n  key: \"topsecret\n foo: [",
		"tab":       "app:\n\tkey: topsecret",
		"flow":      "app: {key: topsecret",
		"scalar":    "topsecret",
		"list":      "- topsecret",
		"documents": "a: 1\n---\nb: topsecret",
		"braces":    "app: {key: '${topsecret is}'}",
		"open":      "app: {key: '${topsecret'}",
		"alias":     "app: {key: *topsecre}",
		"dotenv":    "",
	} {
		t.Run(name, func(t *testing.T) {
			files := map[string]string{"spool.yaml": content, ".env": ""}
			if name == "dotenv" {
				files = map[string]string{".env": "APP_KEY=a topsecret\n"}
			}
			_, err := Load(&Options{Dir: write(t, files)})
			if err == nil {
				t.Fatal("no error")
			}
			if strings.Contains(err.Error(), "topsecret") {
				t.Errorf("a secret is told: %v", err)
			}
			for _, e := range Errors(err) {
				if e.Source.File == "" || e.Source.Line == 0 && name != "list" && name != "scalar" {
					t.Errorf("without a place: %v", e)
				}
			}
		})
	}
}

func TestYAMLForms(t *testing.T) {
	dir := write(t, map[string]string{"spool.yaml": `
laravel: 11
x: &no {}
`})
	if _, err := Load(&Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), `unknown key "x"`) {
		t.Errorf("error %v", err)
	}
	dir = write(t, map[string]string{"spool.yaml": `
laravel: 11
app: {key: 0123, name: "${APP:-a $$ ${B:-b}}"}
queue:
  default: fast
  connections:
    fast: &fast
      driver: redis
      connection: main
      queue: 7
      retry_after: 1m30s
      block_for: ~
    slow: {<<: *fast, retry_after: 3600.5, block_for: 0, migration_batch_size: 100}
    never: {driver: database, retry_after: null, after_commit: yes}
    nothing: {driver: null}
  failed: {driver: null}
database:
  redis:
    main: {host: "tls://r.example", password: "${PW}", nodes: "a:1, b:2"}
    sock: {host: /run/redis.sock}
    url: {url: "rediss://user:p%40ss@h:7000/4?timeout=2", prefix: ""}
    sentinel: {sentinel: {master: m, nodes: ["a:26379", "b:26379"]}}
worker: {queue: "high,default", backoff: [1, 5, 10], timeout: 2m, sleep: 0.5}
jobs:
  - name: App\Jobs\*
    command: [php, "run.php"]
    timeout: 0
    tries: 0
  - {name: [a, b], url: "https://u:pw@h/x", headers: {Authorization: "Bearer x"}, backoff: 5}
`})
	cfg := load(t, dir, &Options{Environ: []string{"PW=null", "B="}})
	fast, slow, never := cfg.Connections["fast"], cfg.Connections["slow"], cfg.Connections["never"]
	if *fast.RetryAfter != 90*time.Second || fast.BlockFor != nil || fast.Queue != "7" || *slow.RetryAfter != 3600500*time.Millisecond ||
		slow.BlockFor == nil || *slow.BlockFor != 0 || slow.Connection != "main" || slow.MigrationBatch != 100 || never.RetryAfter != nil || !never.AfterCommit {
		t.Errorf("connections %+v %+v %+v", fast, slow, never)
	}
	if cfg.App.Key != "0123" || cfg.App.Name != "a $ b" || cfg.Connections["nothing"].Driver != "null" || cfg.Failed.Driver != "null" {
		t.Errorf("app %+v, failed %+v", cfg.App, cfg.Failed)
	}
	r := cfg.Redis
	if m := r["main"]; m.Scheme != "tls" || m.Host != "r.example" || m.Password != "" || !m.Cluster || len(m.Nodes) != 2 || m.Nodes[1] != "b:2" || m.Prefix != "a_b_database_" {
		t.Errorf("main %+v", m)
	}
	if s := r["sock"]; s.Scheme != "unix" || s.Socket != "/run/redis.sock" {
		t.Errorf("sock %+v", s)
	}
	if u := r["url"]; u.Scheme != "tls" || u.Username != "user" || u.Password != "p@ss" || u.Host != "h" || u.Port != 7000 || u.Database != 4 || u.Timeout != 2*time.Second || u.Prefix != "" {
		t.Errorf("url %+v", u)
	}
	if s := r["sentinel"].Sentinel; s.Master != "m" || len(s.Nodes) != 2 {
		t.Errorf("sentinel %+v", s)
	}
	w := cfg.Worker
	if d := cmp.Diff(w.Backoff, []time.Duration{time.Second, 5 * time.Second, 10 * time.Second}); d != "" || len(w.Queue) != 2 || w.Sleep != time.Second/2 {
		t.Errorf("worker %+v", w)
	}
	if j := cfg.Jobs[0]; j.Names[0] != `App\Jobs\*` || j.Command[1] != "run.php" || *j.Timeout != 0 || *j.Tries != 0 || cfg.Jobs[1].Tries != nil || cfg.Jobs[1].Headers["Authorization"] != "Bearer x" {
		t.Errorf("jobs %+v", cfg.Jobs)
	}
	golden(t, "yaml-forms.txt", explained(cfg, dir, "worker.m", "cache.", "database.connections"))
}

func TestAliasesAreBounded(t *testing.T) {
	var b strings.Builder
	b.WriteString("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n")
	for i := 1; i < 9; i++ {
		fmt.Fprintf(&b, "a%d: &a%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i-1), 10), ", "))
	}
	start := time.Now()
	_, err := Load(&Options{Dir: write(t, map[string]string{"spool.yaml": b.String()})})
	if err == nil || !strings.Contains(err.Error(), "aliases that hold aliases") || time.Since(start) > 5*time.Second {
		t.Errorf("%v after %v", err, time.Since(start))
	}
}

func TestFilesNamedMustExist(t *testing.T) {
	for _, o := range []*Options{{File: "x.yaml"}, {EnvFile: "x.env"}} {
		o.Dir = t.TempDir()
		if _, err := Load(o); err == nil || !strings.Contains(err.Error(), "does not exist") {
			t.Errorf("%+v: %v", o, err)
		}
	}
	if _, err := Load(&Options{Dir: t.TempDir(), Flags: []Flag{{"--x", "worker.x", "1"}}}); err == nil || !strings.Contains(err.Error(), "flag --x: sets the unknown key") {
		t.Errorf("error %v", err)
	}
}

func TestStockEnvOff(t *testing.T) {
	dir := write(t, map[string]string{"spool.yaml": "laravel: 11\nstock_env: false\ndatabase: {redis: {default: {host: \"${MY_REDIS}\"}}}\n"})
	cfg := load(t, dir, &Options{Environ: []string{"REDIS_HOST=wrong", "MY_REDIS=right", "SPOOL_WORKER_TRIES=7"}})
	if cfg.Redis["default"].Host != "right" || cfg.Worker.Tries != 7 {
		t.Errorf("host %s, tries %d", cfg.Redis["default"].Host, cfg.Worker.Tries)
	}
	if s := cfg.Source("database.redis.default.host").String(); s != "spool.yaml:3 (MY_REDIS)" {
		t.Errorf("source %q", s)
	}
}

func TestConnectionByName(t *testing.T) {
	cfg := load(t, t.TempDir(), nil)
	for name, want := range map[string]string{"": "database on sqlite", "redis": "redis on default", "pgsql": "database on pgsql"} {
		q, err := cfg.Connection(name)
		if err != nil {
			t.Fatal(err)
		}
		if got := q.Driver + " on " + q.Connection; got != want {
			t.Errorf("%q is %s, want %s", name, got, want)
		}
	}
	_, err := cfg.Connection("rediss")
	if err == nil || !strings.Contains(err.Error(), `no connection "rediss"; did you mean redis? (known: background, database, deferred, memory, null, redis, sync)`) {
		t.Errorf("error %v", err)
	}
}

func TestURLs(t *testing.T) {
	for in, want := range map[string]map[string]string{
		"mysql://u:p%40%3A@h:3307/d?charset=latin1": {"driver": "mysql", "username": "u", "password": "p@:", "host": "h", "port": "3307", "database": "d", "charset": "latin1"},
		"postgresql://h":        {"driver": "pgsql", "host": "h"},
		"sqlite:////var/x.db":   {"driver": "sqlite", "database": "/var/x.db"},
		"sqlite:///x.db":        {"driver": "sqlite", "database": "x.db"},
		"redis://:pw@[::1]:1/2": {"driver": "tcp", "password": "pw", "host": "::1", "port": "1", "database": "2"},
	} {
		got, wrong := urlParts(in)
		if d := cmp.Diff(got, want); d != "" || wrong != "" {
			t.Errorf("%s: %s\n%s", in, wrong, d)
		}
	}
	for in, want := range map[string]string{
		"mysql://u:pw@h/d":            "mysql://u:********@h/d",
		"redis://pw@h":                "redis://********@h",
		"http://h/x?token=pw&a=b":     "http://h/x?a=b&token=********",
		"mysql://u:p#w@h":             "********",
		"not a url with pw":           "********",
		"postgres://u@h/d?sslmode=no": "postgres://u@h/d?sslmode=no",
	} {
		if got := maskURL(in); got != want {
			t.Errorf("maskURL(%s) = %s, want %s", in, got, want)
		}
	}
}
