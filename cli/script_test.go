//go:build unix

package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	mysqlsdk "github.com/go-sql-driver/mysql"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/config"
	"github.com/spoolq/spool/connect"
	"github.com/spoolq/spool/internal/testserver"
	"github.com/spoolq/spool/sqldb/sqlite"
)

// tests is the run of this binary's tests with their servers.
type tests struct{ *testing.M }

func (t tests) Run() int { return testserver.Run(t.M) }

func TestMain(m *testing.M) {
	testscript.Main(tests{m}, map[string]func(){"spool": func() { Main(nil) }})
}

// bg runs spool in the background of a script: its output goes to NAME.out,
// and its exit code too when it ends.
const bg = `#!/bin/sh
name=$1; shift
spool "$@" >"$name.out" 2>&1 &
echo $! >"$name.pid.new" && mv "$name.pid.new" "$name.pid"
wait $!
echo "exit code $?" >>"$name.out"
`

// runScripts runs the scripts of a folder with these variables.
func runScripts(t *testing.T, dir string, vars ...string) {
	t.Helper()
	if testing.Short() && dir != "script" {
		t.Skip("long: the other backends, after the embedded default")
	}
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	caches, err := exec.Command("go", "env", "GOCACHE", "GOMODCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	goCache, modCache, _ := strings.Cut(strings.TrimSpace(string(caches)), "\n")
	testscript.Run(t, testscript.Params{
		Deadline:            time.Now().Add(10 * time.Minute),
		Dir:                 filepath.Join("testdata", dir),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			bin := filepath.Join(env.WorkDir, ".bin")
			if err := os.MkdirAll(bin, 0o755); err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(bin, "bg"), []byte(bg), 0o755); err != nil {
				return err
			}
			env.Vars = append(env.Vars, vars...)
			if err := addSettings(env); err != nil {
				return err
			}
			env.Setenv("PATH", bin+string(filepath.ListSeparator)+env.Getenv("PATH"))
			env.Setenv("ROOT", root)
			for name, value := range map[string]string{"GOCACHE": goCache, "GOMODCACHE": modCache, "GOFLAGS": "-mod=mod", "GOPROXY": "off", "GONOSUMDB": "*"} {
				env.Setenv(name, value)
			}
			env.Setenv("APP_ENV", "testing")
			env.Setenv("REDIS_PREFIX", filepath.Base(env.WorkDir)+fmt.Sprint(time.Now().UnixNano())+":")
			env.Defer(func() { killLeftOver(env.WorkDir) })
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"push": cmdPush, "pushraw": cmdPushRaw, "batch": cmdBatch, "meets": cmdMeets, "signal": cmdSignal, "serve": cmdServe, "expire": cmdExpire, "sql": cmdSQL,
			"bury": cmdBury, "queue": cmdQueue,
		},
	})
}

// killLeftOver kills what a script that failed has left running.
func killLeftOver(dir string) {
	files, _ := filepath.Glob(filepath.Join(dir, "*.pid"))
	for _, f := range files {
		if pid := pidIn(f); pid > 0 {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

func pidIn(file string) int {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	pid, _ := strconv.Atoi(strings.TrimSpace(string(text)))
	return pid
}

// with opens the connections that the script's settings describe.
func with(ts *testscript.TestScript, fn func(ctx context.Context, s *connect.Set) error) {
	var environ []string
	for _, name := range []string{
		"QUEUE_CONNECTION", "DB_CONNECTION", "DB_URL", "DB_HOST", "DB_PORT", "DB_DATABASE", "DB_USERNAME", "DB_PASSWORD",
		"REDIS_HOST", "REDIS_PORT", "REDIS_PREFIX", "CACHE_STORE", "HTTP", "STALK_PORT",
	} {
		if v := ts.Getenv(name); v != "" {
			environ = append(environ, name+"="+v)
		}
	}
	cfg, err := config.Load(&config.Options{Dir: ts.MkAbs("."), Environ: environ})
	ts.Check(err)
	s, err := connect.New(cfg, &connect.Options{Logger: slog.New(slog.DiscardHandler)})
	ts.Check(err)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	ts.Check(errors.Join(fn(ctx, s), s.Close()))
}

// cmdPush is push [-delay=D] QUEUE NAME DATA: it dispatches a job. QUEUE may be
// connection:queue.
func cmdPush(ts *testscript.TestScript, neg bool, args []string) {
	var opts []spool.DispatchOption
	if len(args) > 0 && strings.HasPrefix(args[0], "-delay=") {
		d, err := time.ParseDuration(strings.TrimPrefix(args[0], "-delay="))
		ts.Check(err)
		opts, args = append(opts, spool.Delay(d)), args[1:]
	}
	if len(args) > 0 && strings.HasPrefix(args[0], "-unique=") {
		opts, args = append(opts, spool.Unique(strings.TrimPrefix(args[0], "-unique="))), args[1:]
	}
	if neg || len(args) != 3 {
		ts.Fatalf("usage: push [-delay=D] [-unique=ID] QUEUE NAME DATA")
	}
	queue := args[0]
	if conn, q, ok := strings.Cut(queue, ":"); ok {
		opts, queue = append(opts, spool.OnConnection(conn)), q
	}
	with(ts, func(ctx context.Context, s *connect.Set) error {
		_, err := spool.Push(ctx, s.Client, args[1], jsonData(args[2]), append(opts, spool.OnQueue(queue))...)
		return err
	})
}

// jsonData is a job's data as it stands.
type jsonData string

func (d jsonData) MarshalJSON() ([]byte, error) { return []byte(d), nil }

// cmdPushRaw is pushraw QUEUE FILE: it stores what is in the file.
func cmdPushRaw(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: pushraw QUEUE FILE")
	}
	body, err := os.ReadFile(ts.MkAbs(args[1]))
	ts.Check(err)
	with(ts, func(ctx context.Context, s *connect.Set) error {
		c, err := s.Manager.Connection(ctx, "")
		if err == nil {
			_, err = c.PushRaw(ctx, args[0], body, 0)
		}
		return err
	})
}

// cmdExpire is expire QUEUE: it reserves all jobs of a queue of the database
// and has the leases end at once, as if their worker had died long ago.
func cmdExpire(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: expire QUEUE")
	}
	with(ts, func(ctx context.Context, s *connect.Set) error {
		db, err := s.Database(ctx, "")
		if err == nil {
			_, err = db.SQL().ExecContext(ctx, "UPDATE jobs SET attempts = attempts + 1, reserved_at = available_at - 1000 WHERE queue = '"+args[0]+"'")
		}
		return err
	})
}

// cmdSQL is sql FILE STATEMENT: it runs a statement on a SQLite file.
func cmdSQL(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: sql FILE STATEMENT")
	}
	db, err := sqlite.Open(ts.MkAbs(args[0]), nil)
	ts.Check(err)
	_, err = db.SQL().Exec(args[1])
	ts.Check(errors.Join(err, db.Close()))
}

// cmdMeets is meets FILE REGEXP: it waits until the file matches.
func cmdMeets(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: meets FILE REGEXP")
	}
	want := regexp.MustCompile(`(?m)` + args[1])
	var text []byte
	for until := time.Now().Add(30 * time.Second); time.Now().Before(until); time.Sleep(10 * time.Millisecond) {
		if text, _ = os.ReadFile(ts.MkAbs(args[0])); want.Match(text) {
			return
		}
	}
	ts.Fatalf("%s never matched %s:\n%s", args[0], args[1], text)
}

// cmdSignal is signal NAME SIGNAL, for what bg started.
func cmdSignal(ts *testscript.TestScript, neg bool, args []string) {
	signals := map[string]syscall.Signal{
		"TERM": syscall.SIGTERM, "INT": syscall.SIGINT, "QUIT": syscall.SIGQUIT, "USR2": syscall.SIGUSR2,
		"CONT": syscall.SIGCONT, "KILL": syscall.SIGKILL,
	}
	if neg || len(args) != 2 || signals[args[1]] == 0 {
		ts.Fatalf("usage: signal NAME TERM|INT|QUIT|USR2|CONT|KILL")
	}
	ts.Check(syscall.Kill(pidIn(ts.MkAbs(args[0]+".pid")), signals[args[1]]))
}

// cmdServe starts a web server and sets HTTP to its address: /ok takes a job,
// /busy takes it the second time, /broken never.
func cmdServe(ts *testscript.TestScript, neg bool, args []string) {
	var busy atomic.Bool
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/broken":
			http.Error(w, "out of order", http.StatusInternalServerError)
		case r.URL.Path == "/busy" && !busy.Swap(true):
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	ts.Defer(srv.Close)
	ts.Setenv("HTTP", srv.URL)
}

func TestScripts(t *testing.T) { runScripts(t, "script") }

func TestScriptsOnSQLite(t *testing.T) { runScripts(t, "backend") }

func TestScriptsOnRedis(t *testing.T) {
	host, port, err := net.SplitHostPort(testserver.Redis(t))
	if err != nil {
		t.Fatal(err)
	}
	vars := []string{"QUEUE_CONNECTION=redis", "CACHE_STORE=redis", "REDIS_HOST=" + host, "REDIS_PORT=" + port}
	runScripts(t, "backend", vars...)
	_, locked, err := net.SplitHostPort(testserver.NewRedis(t, "--requirepass", "secret").Addr)
	if err != nil {
		t.Fatal(err)
	}
	runScripts(t, "redis", append(vars, "LOCKED_PORT="+locked)...)
}

func TestScriptsOnPostgres(t *testing.T) {
	vars := []string{"DB_CONNECTION=pgsql", "DB_URL=" + testserver.Postgres(t)}
	runScripts(t, "backend", vars...)
	dsn := testserver.Postgres(t)
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	runScripts(t, "postgres", "DB_CONNECTION=pgsql", "DB_URL="+dsn, "PGHOST="+u.Hostname(), "PGPORT="+u.Port())
}

func TestScriptsOnMySQL(t *testing.T) {
	runScripts(t, "backend", mysqlVars(t)...)
	runScripts(t, "mysql", mysqlVars(t)...)
}

// mysqlVars are Laravel's variables for a new database.
func mysqlVars(t *testing.T) []string {
	cfg, err := mysqlsdk.ParseDSN(testserver.MySQL(t))
	if err != nil {
		t.Fatal(err)
	}
	vars := []string{"DB_CONNECTION=mysql", "DB_DATABASE=" + cfg.DBName, "DB_USERNAME=" + cfg.User, "DB_PASSWORD=" + cfg.Passwd}
	if cfg.Net == "unix" {
		return append(vars, "DB_SOCKET="+cfg.Addr)
	}
	host, port, err := net.SplitHostPort(cfg.Addr)
	if err != nil {
		t.Fatal(err)
	}
	return append(vars, "DB_HOST="+host, "DB_PORT="+port)
}
