//go:build unix

package cli

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/connect"
	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/memqueue"
)

// run runs an application's command line in a folder of its own.
func run(ctx context.Context, app *App, dir string, args ...string) (code int, stdout, stderr string) {
	return runWith(ctx, app, dir, nil, args...)
}

// runWith is run with these variables too.
func runWith(ctx context.Context, app *App, dir string, environ []string, args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = app.Run(ctx, args, IO{In: strings.NewReader(""), Out: &out, Err: &errs, Env: append([]string{"APP_ENV=testing"}, environ...), Dir: dir})
	return code, out.String(), errs.String()
}

type greet struct {
	Name string `json:"name"`
}

// TestEmbedded is an application with a job, a listener, and a version.
func TestEmbedded(t *testing.T) {
	dir := t.TempDir()
	var greeted []string
	processed := 0
	app := func() *App {
		mux := spool.NewMux()
		spool.Handle(mux, func(_ context.Context, job greet) error {
			greeted = append(greeted, job.Name)
			return nil
		})
		return &App{
			Name: "shop", Mux: mux, Version: "1.2.3",
			Setup: func(ctx context.Context, s *connect.Set) error {
				spool.Listen(s.Manager.Events(), func(context.Context, spool.JobProcessed) { processed++ })
				return nil
			},
		}
	}
	if code, out, _ := run(t.Context(), app(), dir, "version"); code != 0 || !strings.HasPrefix(out, "shop 1.2.3 (") {
		t.Errorf("version: %d %q", code, out)
	}
	if _, out, _ := run(t.Context(), app(), dir, "work", "--help"); !strings.Contains(out, "shop queue:work [connection]") {
		t.Errorf("help calls the program otherwise:\n%s", out)
	}
	if code, _, errs := run(t.Context(), app(), dir, "work"); code != 1 || !strings.HasPrefix(errs, "shop: ") || !strings.Contains(errs, "`shop migrate`") {
		t.Errorf("a missing table: %d %q", code, errs)
	}
	if code, _, errs := run(t.Context(), app(), dir, "migrate"); code != 0 {
		t.Fatalf("migrate: %d %s", code, errs)
	}
	pusher := app()
	pusher.Setup = func(ctx context.Context, s *connect.Set) error {
		_, err := spool.Dispatch(ctx, s.Client, greet{"Ann"})
		return err
	}
	if code, out, errs := run(t.Context(), pusher, dir, "size"); code != 0 || !strings.Contains(out, "1 pending") {
		t.Fatalf("size: %d %s%s", code, out, errs)
	}
	code, out, errs := run(t.Context(), app(), dir, "work", "--stop-when-empty")
	if code != 0 || len(greeted) != 1 || greeted[0] != "Ann" || processed != 1 {
		t.Errorf("work: %d, greeted %v, %d processed\n%s%s", code, greeted, processed, out, errs)
	}
	broken := app()
	broken.Setup = func(context.Context, *connect.Set) error { return errors.New("no mail server") }
	if code, _, errs := run(t.Context(), broken, dir, "work"); code != 1 || errs != "shop: no mail server\n" {
		t.Errorf("an error of Setup: %d %q", code, errs)
	}
}

// TestOwnConnection: every command takes a connection that Setup has added.
func TestOwnConnection(t *testing.T) {
	dir := t.TempDir()
	if code, _, errs := run(t.Context(), &App{}, dir, "migrate"); code != 0 {
		t.Fatal(errs)
	}
	queue := memqueue.New(nil)
	worked := 0
	app := func() *App {
		mux := spool.NewMux()
		mux.HandleFunc("greet", func(context.Context, *spool.Job) error { worked++; return nil })
		return &App{Name: "shop", Mux: mux, Setup: func(_ context.Context, s *connect.Set) error {
			s.Manager.Add(spool.ConnectionConfig{Name: "mine", Open: func(context.Context) (driver.Conn, error) { return kept{queue}, nil }})
			return nil
		}}
	}
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"push", "greet", "--connection=mine"}, 0, "-"},
		{[]string{"size", "mine"}, 0, "mine:default .* 1 pending"},
		{[]string{"list", "mine"}, 0, "greet .* pending #0"},
		{[]string{"check", "mine"}, 0, "ok +connection mine: memory"},
		{[]string{"check"}, 0, "ok +connection mine: memory"},
		{[]string{"monitor", "mine:default", "--max=1"}, 1, "ALERT"},
		{[]string{"pause", "mine:default"}, 0, "Queue mine:default paused"},
		{[]string{"work", "mine", "--max-time=1"}, 0, "Queue default was paused"},
		{[]string{"resume", "mine:default"}, 0, "resumed"},
		{[]string{"reserved", "mine"}, 0, "No expired reservations"},
		{[]string{"work", "mine", "--stop-when-empty"}, 0, "greet .* DONE"},
		{[]string{"clear", "mine", "--force"}, 0, "Cleared 0 jobs"},
		{[]string{"migrate", "mine"}, 2, "connection mine is not in the settings"},
		{[]string{"size", "other"}, 2, `shop: .*there is no connection "other"`},
		{[]string{"__complete", "work", "m"}, 0, "(?m)^mine$"},
	} {
		code, out, errs := run(t.Context(), app(), dir, c.args...)
		if !regexp.MustCompile(c.want).MatchString(out+errs) || code != c.code {
			t.Errorf("%v: code %d, want %d\n%s%s", c.args, code, c.code, out, errs)
		}
	}
	if worked != 1 {
		t.Errorf("%d jobs worked, want 1", worked)
	}
}

// kept outlives the command that has opened it.
type kept struct{ *memqueue.Conn }

func (kept) Close() error { return nil }

func TestContextEndsAWorker(t *testing.T) {
	dir := t.TempDir()
	if code, _, errs := run(t.Context(), &App{}, dir, "migrate"); code != 0 {
		t.Fatal(errs)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if code, out, errs := run(ctx, &App{}, dir, "work"); code != 0 || !strings.Contains(errs, "no job has a handler here") || !strings.Contains(out, "Processing jobs from the [default] queue.") {
		t.Errorf("%d %s%s", code, out, errs)
	}
	cancel()
	if code, _, errs := run(ctx, &App{}, dir, "size"); code != 1 || !strings.Contains(errs, "spool: ") {
		t.Errorf("a command under a dead context: %d %q", code, errs)
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

func TestOutputThatCannotBeWritten(t *testing.T) {
	var errs bytes.Buffer
	code := new(App).Run(t.Context(), []string{"version"}, IO{Out: full{}, Err: &errs, Dir: t.TempDir()})
	if code != exitError || !strings.Contains(errs.String(), "standard output: no space left on device") {
		t.Errorf("%d %q", code, errs.String())
	}
}

// TestCtrlC interrupts commands whose server accepts connections and then
// says nothing.
func TestCtrlC(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silent.Close() }) // after the parallel tests
	_, port, err := net.SplitHostPort(silent.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"work", "redis"}, {"work", "mysql"}, {"listen", "pgsql"}, {"size", "redis"}, {"list", "mysql"}, {"migrate", "pgsql"}, {"check", "redis"}, {"clear", "mysql", "--force"},
	} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command("spool", args...)
			cmd.Dir = t.TempDir()
			cmd.Env = append(os.Environ(), "REDIS_PORT="+port, "DB_PORT="+port, "DB_HOST=127.0.0.1", "QUEUE_CONNECTION=sync", "APP_ENV=testing")
			var errs bytes.Buffer
			cmd.Stderr = &errs
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			ended := make(chan struct{})
			go func() { defer close(ended); _ = cmd.Wait() }() // how it ended is not the question
			select {
			case <-ended: // it must hang, else this tests nothing
				t.Fatalf("it ended by itself: %s", errs.String())
			case <-time.After(700 * time.Millisecond):
			}
			_ = cmd.Process.Signal(os.Interrupt)
			select {
			case <-ended:
			case <-time.After(3 * time.Second):
				_ = cmd.Process.Kill()
				<-ended
				t.Errorf("it went on after an interrupt: %s", errs.String())
			}
		})
	}
}
