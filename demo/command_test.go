package demo_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/cli"
	"github.com/spoolq/spool/connect"
	"github.com/spoolq/spool/internal/testserver"
)

// command is the command line as a process of its own, in a folder of its own,
// with an environment that configures nothing.
func command(t *testing.T, dir string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0], args...)
	cmd.Dir = dir
	cmd.Env = []string{asSpool + "=1", "TMPDIR=" + t.TempDir(), "TMP=" + t.TempDir(), "PATH=" + os.Getenv("PATH"), "SYSTEMROOT=" + os.Getenv("SYSTEMROOT")}
	return cmd
}

// temporary is where the command makes temporary folders.
func temporary(cmd *exec.Cmd) string {
	name := "TMPDIR="
	if runtime.GOOS == "windows" {
		name = "TMP="
	}
	for _, v := range cmd.Env {
		if dir, ok := strings.CutPrefix(v, name); ok {
			return dir
		}
	}
	return ""
}

func isEmpty(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) > 0 {
		t.Errorf("%s holds %v, %v", dir, entries, err)
	}
}

func succeeds(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args[1:], err, out)
	}
	return string(out)
}

func TestOnAFreshClone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cmd := command(t, dir, "demo")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	last, silence := begun, time.Duration(0)
	for lines := bufio.NewScanner(out); lines.Scan(); last = time.Now() {
		silence = max(silence, time.Since(last))
		fmt.Fprintln(&text, lines.Text())
	}
	err = cmd.Wait()
	took := time.Since(begun)
	if err != nil || took > 20*time.Second || silence > 2*time.Second {
		t.Errorf("%v; took %v, longest silence %v", err, took, silence)
	}
	for _, want := range []string{
		"It adds up: 300 pushed = 299 processed + 1 failed for good.", "None was lost, none ran twice",
		"is put back by hand", "spool queue:failed", "demo-high", "wait",
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the output doesn't say %q:\n%s", want, &text)
		}
	}
	if strings.Contains(text.String(), "\x1b") {
		t.Errorf("escape sequences in a pipe:\n%q", &text)
	}
	isEmpty(t, dir)
	isEmpty(t, temporary(cmd))
}

// What the demo suggests works as it stands, in order.
func TestNextCommandsWork(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the commands are run by sh")
	}
	for _, c := range []struct {
		args []string
		env  string
		want []string
	}{
		{[]string{"demo"}, "", []string{"It adds up: 300 pushed", "demo.ChargeCard", "PUSHED"}},
		{[]string{"demo", "--keep", "it's mine.db"}, "", []string{"demo.ChargeCard", "PUSHED", "It adds up: 1 pushed = 1 processed + 0 failed"}},
		{[]string{"demo", "--keep", "shop.db"}, "DB_CONNECTION=mysql", []string{"demo.ChargeCard", "PUSHED", "It adds up: 1 pushed = 1 processed + 0 failed"}},
	} {
		t.Run(strings.Join(c.args, " ")+c.env, func(t *testing.T) {
			t.Parallel()
			dir, bin := t.TempDir(), t.TempDir()
			if err := os.Symlink(os.Args[0], filepath.Join(bin, "spool")); err != nil {
				t.Fatal(err)
			}
			env := []string{"PATH=" + bin + ":" + os.Getenv("PATH")}
			if c.env != "" {
				env = append(env, c.env)
			}
			cmd := command(t, dir, c.args...)
			cmd.Env = append(cmd.Env, env...)
			_, next, ok := strings.Cut(succeeds(t, cmd), "Try next:\n")
			if !ok {
				t.Fatal("nothing is suggested")
			}
			commands := 0
			for line := range strings.Lines(next) {
				if line = strings.TrimSpace(line); strings.HasPrefix(line, "#") || line == "" {
					continue
				}
				sh := exec.Command("sh", "-c", line)
				sh.Dir, sh.Env = dir, cmd.Env
				if out := succeeds(t, sh); !strings.Contains(out, c.want[commands]) {
					t.Errorf("%s: want %q:\n%s", line, c.want[commands], out)
				}
				commands++
			}
			if commands != 3 {
				t.Errorf("%d commands:\n%s", commands, next)
			}
		})
	}
}

// summary is what the tests read of the summary.
type summary struct {
	OK                                           bool
	Pushed, Processed, Failed, Retried, Released int
	Runs                                         int
	Problems, FailedJobs                         []string
	Queues                                       []struct{ Wait, Run map[string]float64 }
}

func parse(t *testing.T, text []byte) (s summary) {
	t.Helper()
	if err := json.Unmarshal(text, &s); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return s
}

func TestOnConfiguredConnections(t *testing.T) {
	for name, settings := range map[string]func(t *testing.T) string{
		"redis": func(t *testing.T) string {
			host, port, err := net.SplitHostPort(testserver.Redis(t))
			if err != nil {
				t.Fatal(err)
			}
			return fmt.Sprintf("database:\n  redis:\n    default: {host: %s, port: %s, prefix: 'demo-test:'}\n", host, port)
		},
		"mysql": func(t *testing.T) string {
			c, err := mysql.ParseDSN(testserver.MySQL(t))
			if err != nil {
				t.Fatal(err)
			}
			where := "unix_socket: " + c.Addr
			if host, port, err := net.SplitHostPort(c.Addr); c.Net == "tcp" && err == nil {
				where = "host: " + host + ", port: " + port
			}
			return fmt.Sprintf("database:\n  default: mysql\n  connections:\n    mysql: {%s, database: %s, username: %s, password: '%s'}\n", where, c.DBName, c.User, c.Passwd)
		},
		"pgsql": func(t *testing.T) string {
			return fmt.Sprintf("database:\n  default: pgsql\n  connections:\n    pgsql: {url: '%s'}\n", testserver.Postgres(t))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "spool.yaml"), []byte(settings(t)), 0o600); err != nil {
				t.Fatal(err)
			}
			for range 2 { // on what the first has left, too
				cmd := command(t, dir, "demo", "--connection", name, "--jobs", "200", "--json")
				var out, progress bytes.Buffer
				cmd.Stdout, cmd.Stderr = &out, &progress
				if err := cmd.Run(); err != nil {
					t.Fatalf("%v\n%s%s", err, &progress, &out)
				}
				s := parse(t, out.Bytes())
				if !s.OK || s.Pushed != 200 || s.Processed != 199 || s.Failed != 1 || s.Released != 3 || s.Retried != 1 || s.Runs != 204 || len(s.Problems) > 0 {
					t.Errorf("%s\n%s", &out, &progress)
				}
			}
			list := succeeds(t, command(t, dir, "queue:failed"))
			if strings.Count(list, name+"@demo-high demo.ChargeCard") != 2 {
				t.Errorf("failed jobs:\n%s", list)
			}
		})
	}
}

func TestManyJobs(t *testing.T) {
	t.Parallel()
	cmd := command(t, t.TempDir(), "demo", "--jobs", "5000", "--json", "-q")
	out, err := cmd.Output()
	if s := parse(t, out); err != nil || !s.OK || s.Pushed != 5000 || s.Processed != 4999 || s.Runs != 5004 {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestWrongFlags(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"--jobs", "3"}, 2, "--jobs must be 10 or more"},
		{[]string{"--jobs", "-1"}, 2, "--jobs must be 10 or more"},
		{[]string{"--connection", "sync"}, 1, "runs jobs as they are pushed"},
		{[]string{"--connection", "null"}, 1, "drops every job"},
		{[]string{"--connection", "nope"}, 2, `no connection "nope"`},
		{[]string{"--connection", "redis", "--keep", "x.db"}, 2, "exclude each other"},
		{[]string{"--keep", "nowhere/x.db"}, 1, "the folder of the database file"},
		{[]string{"more"}, 2, "more"},
	} {
		cmd := command(t, t.TempDir(), append([]string{"demo"}, c.args...)...)
		out, err := cmd.CombinedOutput()
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok || exit.ExitCode() != c.code || !strings.Contains(string(out), c.want) {
			t.Errorf("%v: %v, want exit code %d and %q:\n%s", c.args, err, c.code, c.want, out)
		}
		isEmpty(t, temporary(cmd))
	}
}

// A job that somebody doubles is found out, and the exit code says so.
func TestSabotageIsAnExitCode(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var once sync.Once
	app := &cli.App{Setup: func(_ context.Context, s *connect.Set) error {
		spool.Listen(s.Manager.Events(), func(ctx context.Context, e spool.JobQueued) {
			once.Do(func() {
				conn, err := s.Manager.Connection(ctx, e.Connection)
				if err == nil {
					_, err = conn.PushRaw(ctx, e.Queue, e.Body, 0)
				}
				if err != nil {
					t.Error(err)
				}
			})
		})
		return nil
	}}
	var out, progress bytes.Buffer
	code := app.Run(t.Context(), []string{"demo", "--connection", "database", "--jobs", "50"}, cli.IO{Out: &out, Err: &progress, Dir: dir})
	if code != 1 || !strings.Contains(out.String(), "It does not add up:") || !strings.Contains(out.String(), "demo.ImportRows on demo") {
		t.Errorf("exit code %d\n%s%s", code, &out, &progress)
	}
}

func TestInterrupt(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("os.Process.Signal can't interrupt there")
	}
	for _, keep := range []bool{true, false} {
		t.Run(fmt.Sprintf("keep %v", keep), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			args := []string{"demo", "--jobs", "3000"}
			want := []string{"Interrupted after", "What was left is gone with the temporary file"}
			if keep {
				args = append(args, "--keep", "shop.db")
				want = []string{"Interrupted after", "Left in SQLite in shop.db:", "demo --keep shop.db --jobs 0"}
			}
			cmd := command(t, dir, args...)
			out := interrupted(t, cmd)
			for _, w := range want {
				if !strings.Contains(out, w) {
					t.Errorf("it doesn't say %q:\n%s", w, out)
				}
			}
			isEmpty(t, temporary(cmd))
			if keep {
				again := succeeds(t, command(t, dir, "demo", "--keep", "shop.db", "--jobs", "0"))
				if !strings.Contains(again, "It adds up") {
					t.Error(again)
				}
			}
		})
	}
}

// interrupted runs a demo, interrupts it at work, and returns its output.
func interrupted(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	var at time.Time
	for lines := bufio.NewScanner(out); lines.Scan(); {
		fmt.Fprintln(&text, lines.Text())
		if at.IsZero() && strings.Contains(lines.Text(), "working:") {
			at = time.Now()
			if err := cmd.Process.Signal(os.Interrupt); err != nil {
				t.Error(err)
			}
		}
	}
	err = cmd.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 1 {
		t.Errorf("%v, want exit code 1:\n%s", err, &text)
	}
	if took := time.Since(at); took > 3*time.Second {
		t.Errorf("it took %v to end:\n%s", took, &text)
	}
	return text.String()
}
