package laravel

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/config"
	"github.com/spoolq/spool/connect"
	"github.com/spoolq/spool/worker"
)

// application is the Laravel application with settings and a folder of its own.
type application struct {
	t       *testing.T
	backend backend
	php     string
	dir     string // .env, storage, migrations
	report  string // what its jobs write down
}

// newApplication returns the application on a backend, with empty tables made
// by its own migrations. env are further settings for its .env. RETRY_AFTER is
// the one that both sides understand besides those of a stock application;
// SPOOL_LARAVEL makes the settings those of another version than 8.
func newApplication(t *testing.T, b backend, env map[string]string) *application {
	t.Helper()
	a := &application{t: t, backend: b, php: requirePHP(t, b.extensions), dir: t.TempDir()}
	a.report = filepath.Join(a.dir, "report.jsonl")
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("Laravel's log:\n%.4000s", a.log())
		}
	})
	settings := stockSettings()
	maps.Copy(settings, b.env(t))
	maps.Copy(settings, env)
	if version, err := strconv.Atoi(settings["SPOOL_LARAVEL"]); err != nil {
		t.Fatal(err)
	} else if version >= 11 {
		settings["CACHE_STORE"] = settings["CACHE_DRIVER"]
		delete(settings, "CACHE_DRIVER")
	}
	made, err := installation()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(a.dir, made); err != nil {
		t.Fatal(err)
	}
	if settings["DB_CONNECTION"] == "sqlite" {
		settings["DB_DATABASE"] = filepath.Join(a.dir, databaseFile)
	}
	a.write(".env", dotenv(settings))
	if y := extraSettings(settings); y != "" {
		a.write("spool.yaml", y)
	}
	if settings["DB_CONNECTION"] != "sqlite" {
		a.artisan("migrate", "--force")
	}
	return a
}

// stockSettings are those of a new application of Laravel 8 whose name is its
// own, and with it the prefixes of its keys.
func stockSettings() map[string]string {
	return map[string]string{
		"APP_NAME": "Interop É " + rand.Text(), "APP_KEY": "base64:c3Bvb2wtaW50ZXJvcC1wdWJsaWMtdGVzdC1rZXktMzI=",
		"DB_CONNECTION": "sqlite", "CACHE_DRIVER": "file", "SPOOL_LARAVEL": "8",
	}
}

// dotenv is the text of an .env file.
func dotenv(settings map[string]string) string {
	var file strings.Builder
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		fmt.Fprintf(&file, "%s=%q\n", name, settings[name])
	}
	return file.String()
}

// extraSettings is the spool.yaml of an application whose config files read
// more from .env than a stock application's do.
func extraSettings(settings map[string]string) string {
	var lines strings.Builder
	add := func(key, name string) {
		if settings[name] != "" {
			fmt.Fprintf(&lines, "      %s: ${%s}\n", key, name)
		}
	}
	connection := settings["QUEUE_CONNECTION"]
	add("retry_after", "RETRY_AFTER")
	if connection == "beanstalkd" {
		add("host", "BEANSTALKD_HOST")
		add("port", "BEANSTALKD_PORT")
	}
	if lines.Len() == 0 {
		return ""
	}
	return "queue:\n  connections:\n    " + connection + ":\n" + lines.String()
}

func (a *application) write(name, text string) {
	a.t.Helper()
	if err := os.WriteFile(filepath.Join(a.dir, name), []byte(text), 0o600); err != nil {
		a.t.Fatal(err)
	}
}

// databaseName is the name of the application's database connection.
func (a *application) databaseName() string {
	if a.backend.kind == "database" {
		return a.backend.name
	}
	return "sqlite"
}

// command is a command of one of the application's scripts.
func (a *application) command(script string, args ...string) *exec.Cmd {
	args = slices.Concat(compiledOnce(), []string{filepath.Join("app", script)}, args)
	cmd := exec.CommandContext(a.t.Context(), a.php, args...)
	cmd.Env = append(os.Environ(), "INTEROP_RUN="+a.dir, "INTEROP_REPORT="+a.report)
	return cmd
}

// run runs one of the application's scripts and returns what it prints.
func (a *application) run(script string, args ...string) string {
	a.t.Helper()
	cmd := a.command(script, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		a.t.Fatalf("php %s %s: %v\n%s%s", script, strings.Join(args, " "), err, stdout.String(), stderr.String())
	}
	return stdout.String()
}

// log is what Laravel has logged.
func (a *application) log() string {
	b, err := os.ReadFile(filepath.Join(a.dir, "storage", "logs", "laravel.log"))
	if err != nil {
		return ""
	}
	return string(b)
}

// artisan runs a command of Laravel.
func (a *application) artisan(args ...string) string {
	a.t.Helper()
	return a.run("artisan", append(args, "--no-ansi")...)
}

// push has Laravel push jobs in one process, e.g. push("class", 3, "delayed",
// 1): jobs 1 to 3 of the first kind and job 1 of the other; see app/push.php.
func (a *application) push(kindsAndNumbers ...any) {
	a.t.Helper()
	args := make([]string, len(kindsAndNumbers))
	for i, v := range kindsAndNumbers {
		args[i] = fmt.Sprint(v)
	}
	a.run("push.php", args...)
}

// work has Laravel's worker run everything that waits; flags are further ones.
func (a *application) work(flags ...string) {
	a.t.Helper()
	a.artisan(append([]string{"queue:work", "--stop-when-empty"}, flags...)...)
}

// report is what a job in PHP wrote down; see app/Support/Report.php.
type report struct {
	Event, UUID       string
	Time              float64 // unix
	Attempt           int
	Queue, Connection string
	Data              json.RawMessage
}

// reports returns what the application's jobs wrote down.
func (a *application) reports() []report {
	a.t.Helper()
	file, err := os.Open(a.report)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		a.t.Fatal(err)
	}
	defer file.Close()
	var all []report
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var r report
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			a.t.Fatalf("%v: %s", err, lines.Text())
		}
		all = append(all, r)
	}
	if err := lines.Err(); err != nil {
		a.t.Fatal(err)
	}
	return all
}

// spool returns Spool on the settings of the application: the same .env file,
// and nothing else where the application is a stock one.
func (a *application) spool(mux *spool.Mux) *connect.Set {
	a.t.Helper()
	cfg, err := config.Load(&config.Options{Dir: a.dir})
	if err != nil {
		a.t.Fatal(err)
	}
	for _, w := range cfg.Warnings {
		a.t.Errorf("the settings of a plain application are warned about: %v", w)
	}
	set, err := connect.New(cfg, &connect.Options{Mux: mux, Logger: slog.New(slog.NewTextHandler(a.t.Output(), nil))})
	if err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(func() {
		if err := set.Close(); err != nil {
			a.t.Error(err)
		}
	})
	return set
}

// goWorker returns Spool's worker on the application's settings; opts change
// its options.
func (a *application) goWorker(mux *spool.Mux, opts ...func(*worker.Options)) *worker.Worker {
	a.t.Helper()
	set := a.spool(mux)
	conn, err := set.Manager.Connection(a.t.Context(), "")
	if err != nil {
		a.t.Fatal(err)
	}
	o, err := set.WorkerOptions(a.t.Context())
	if err != nil {
		a.t.Fatal(err)
	}
	o.Memory = 0 // the process is that of all tests
	for _, opt := range opts {
		opt(o)
	}
	return worker.New(conn, mux, o)
}

// workGo has Spool's worker run everything that waits.
func (a *application) workGo(mux *spool.Mux, opts ...func(*worker.Options)) worker.Result {
	a.t.Helper()
	opts = append([]func(*worker.Options){func(o *worker.Options) { o.StopWhenEmpty = true }}, opts...)
	res, err := a.goWorker(mux, opts...).Run(a.t.Context())
	if err != nil || res.ExitCode != worker.ExitOK {
		a.t.Fatalf("the worker ended with %+v, %v", res, err)
	}
	return res
}

// isEmpty checks that nothing is left on a queue ("": the default one).
func (a *application) isEmpty(queue string) {
	a.t.Helper()
	conn, err := a.spool(nil).Manager.Connection(a.t.Context(), "")
	if err != nil {
		a.t.Fatal(err)
	}
	size, err := conn.Size(a.t.Context(), queue)
	if err != nil || size.Total() != 0 {
		a.t.Errorf("the queue is not empty: %+v, %v", size, err)
	}
}
