package laravel

import (
	"bufio"
	"bytes"
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
	"github.com/spoolq/spool/internal/testserver"
	"github.com/spoolq/spool/worker"
)

func TestMain(m *testing.M) { testserver.Main(m) }

// application is the Laravel application with settings and a folder of its own.
type application struct {
	t       *testing.T
	backend string
	php     string
	dir     string // .env, storage, migrations
	report  string // what its jobs write down
}

// newApplication returns the application on a backend, with empty tables made
// by its own migrations.
func newApplication(t *testing.T, b backend) *application {
	t.Helper()
	a := &application{t: t, backend: b.name, php: requirePHP(t, b.extensions), dir: t.TempDir()}
	a.report = filepath.Join(a.dir, "report.jsonl")
	env := map[string]string{
		"APP_NAME": "Interop", "APP_KEY": "base64:c3Bvb2wtaW50ZXJvcC1wdWJsaWMtdGVzdC1rZXktMzI=",
		"DB_CONNECTION": "sqlite", "CACHE_DRIVER": "file", "SPOOL_LARAVEL": "8",
	}
	maps.Copy(env, b.env(t))
	if env["DB_CONNECTION"] == "sqlite" {
		env["DB_DATABASE"] = filepath.Join(a.dir, "database.sqlite")
		if err := os.WriteFile(env["DB_DATABASE"], nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var file strings.Builder
	for _, name := range slices.Sorted(maps.Keys(env)) {
		fmt.Fprintf(&file, "%s=%q\n", name, env[name])
	}
	if err := os.WriteFile(filepath.Join(a.dir, ".env"), []byte(file.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if env["QUEUE_CONNECTION"] == "database" {
		a.artisan("queue:table")
	}
	a.artisan("queue:failed-table")
	a.artisan("migrate", "--force")
	return a
}

// requirePHP returns the path of php. Without it, the framework or an
// extension the test is skipped, or fails where nothing may be skipped.
func requirePHP(t *testing.T, extensions []string) string {
	t.Helper()
	missing := func(what string) {
		if os.Getenv("CI") == "true" {
			t.Fatalf("%s is not installed", what)
		}
		t.Skipf("%s is not installed (make test installs what is missing on Debian as root)", what)
	}
	php, err := exec.LookPath("php")
	if err != nil {
		missing("php")
	}
	const script = `
		foreach (array_slice($argv, 1) as $e) {
			if (!(str_ends_with($e, ".php") ? stream_resolve_include_path($e) : extension_loaded($e))) { echo $e; exit; }
		}`
	args := append([]string{"-r", script, "--", "Illuminate/autoload.php"}, extensions...)
	out, err := exec.CommandContext(t.Context(), php, args...).Output()
	if err != nil {
		t.Fatalf("php: %v", err)
	}
	if len(out) > 0 {
		missing("of PHP, " + string(out))
	}
	return php
}

// run runs one of the application's scripts and returns what it prints.
func (a *application) run(script string, args ...string) string {
	a.t.Helper()
	cmd := exec.CommandContext(a.t.Context(), a.php, append([]string{filepath.Join("app", script)}, args...)...)
	cmd.Env = append(os.Environ(), "INTEROP_RUN="+a.dir, "INTEROP_REPORT="+a.report)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		log, _ := os.ReadFile(filepath.Join(a.dir, "storage", "logs", "laravel.log"))
		a.t.Fatalf("php %s %s: %v\n%s%s\n%.4000s", script, strings.Join(args, " "), err, stdout.String(), stderr.String(), log)
	}
	return stdout.String()
}

// artisan runs a command of Laravel.
func (a *application) artisan(args ...string) string {
	a.t.Helper()
	return a.run("artisan", append(args, "--no-ansi")...)
}

// push has Laravel push jobs 1 to n of a kind; see app/push.php.
func (a *application) push(kind string, n int) {
	a.t.Helper()
	a.run("push.php", kind, strconv.Itoa(n))
}

// work has Laravel's worker run everything that waits.
func (a *application) work() {
	a.t.Helper()
	a.artisan("queue:work", "--stop-when-empty")
}

// report is what a job in PHP wrote down; see app/Support/Report.php.
type report struct {
	Event, UUID       string
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
// and nothing else.
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

// workGo has Spool's worker run everything that waits.
func (a *application) workGo(mux *spool.Mux) worker.Result {
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
	o.StopWhenEmpty = true
	res, err := worker.New(conn, mux, o).Run(a.t.Context())
	if err != nil || res.ExitCode != worker.ExitOK {
		a.t.Fatalf("the worker ended with %+v, %v", res, err)
	}
	size, err := conn.Size(a.t.Context(), "")
	if err != nil || size.Total() != 0 {
		a.t.Fatalf("the queue is not empty: %+v, %v", size, err)
	}
	return res
}
