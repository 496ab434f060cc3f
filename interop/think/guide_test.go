package think

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	mysqlsdk "github.com/go-sql-driver/mysql"
)

// guide returns the files spool.yaml of docs/thinkphp.md's first section, by
// their version of ThinkPHP.
func guide(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "thinkphp.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "## A Go worker in five minutes")
	section, _, _ = strings.Cut(section, "\n## ")
	files := map[string]string{}
	for _, m := range regexp.MustCompile("(?s)```yaml\n( *thinkphp: ([0-9.]+)\n.*?)```").FindAllStringSubmatch(section, -1) {
		files[m[2]] = regexp.MustCompile("(?m)^ {3}").ReplaceAllString(m[1], "")
	}
	return files
}

// TestGuide follows "A Go worker in five minutes" to the letter, with the peer as
// the application: its settings, the example as the worker, in processes of
// their own.
func TestGuide(t *testing.T) {
	php := requirePHP(t)
	worker := filepath.Join(t.TempDir(), "worker")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", worker, "../../examples/thinkphp").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	files := guide(t)
	if len(files) != 2 {
		t.Fatalf("the guide has %d files", len(files))
	}
	for thinkphp, b := range map[string]backend{"5.1": {"tq1", "2.0.4", "redis", "5.1.42"}, "8": {"tq3", "3.0.9", "redis", "8.0.4"}} {
		t.Run("ThinkPHP "+thinkphp, func(t *testing.T) {
			t.Parallel()
			g := newGuided(t, php, b, files[thinkphp], worker)
			if out, err := g.run("check"); err != nil {
				t.Errorf("check: %v\n%s", err, out)
			}

			g.peer("push", "SendMail", `{"to":"a@b.c"}`, "default")
			g.peer("push", `app\job\Report@daily`, `{"day":1}`, "default")
			out, err := g.run("queue:work", "--stop-when-empty")
			if err != nil || !strings.Contains(out, "Mail to a@b.c - attempt 1") || !strings.Contains(out, `Report of {"day":1}`) {
				t.Errorf("queue:work: %v\n%s", err, out)
			}

			// The other way.
			if out, err := g.run("queue:push", `app\job\Mail`, "--data", `{"n":7}`); err != nil {
				t.Errorf("queue:push: %v\n%s", err, out)
			}
			g.peer("work", "--stop-when-empty", "--tries=1")
			if r := g.reports(); len(r) != 1 || string(r[0].Data) != `{"n":7}` || r[0].Attempts != 1 {
				t.Errorf("PHP saw %+v", r)
			}
			g.restarts()
		})
	}
}

// guided is an application with the guide's worker beside it.
type guided struct {
	*pair
	worker string
}

func newGuided(t *testing.T, php []string, b backend, yaml, worker string) *guided {
	t.Helper()
	redis := newRedisStore(t)
	p := &pair{t: t, b: b, php: php, dir: t.TempDir()}
	p.report = filepath.Join(p.dir, "report.jsonl")
	settings := redis.settings(t)
	settings["profile"], settings["version"], settings["name"], settings["expire"] = b.profile, b.version, "redis", 60
	settings["cache"] = map[string]any{"path": filepath.Join(p.dir, "runtime", "cache"), "framework": b.framework}
	p.settings = writeJSON(t, settings)
	if !strings.Contains(yaml, "port: 6379") {
		t.Fatalf("no Redis is named:\n%s", yaml)
	}
	p.write("spool.yaml", strings.ReplaceAll(yaml, "port: 6379", "port: "+redis.port))
	if strings.Contains(yaml, "type: database") { // of failed jobs
		p.write(".env", thinkEnv(t, b))
	}
	return &guided{pair: p, worker: worker}
}

// thinkEnv is a .env of ThinkPHP 8, to a database with the application's tables.
func thinkEnv(t *testing.T, b backend) string {
	t.Helper()
	tables := recordings(t, "v"+b.version, "database")["schema"].Tables
	st := newTableStore(t, tables["tp_jobs"].Create)
	st.exec(t, tables["tp_failed_jobs"].Create)
	c, err := mysqlsdk.ParseDSN(st.dsn)
	if err != nil {
		t.Fatal(err)
	}
	host, port, found := strings.Cut(c.Addr, ":")
	if c.Net != "tcp" || !found {
		t.Fatalf("the server is at %s %s", c.Net, c.Addr)
	}
	return fmt.Sprintf("APP_DEBUG = true\n\nDB_TYPE = mysql\nDB_HOST = %s\nDB_NAME = %s\nDB_USER = %s\nDB_PASS = %s\nDB_PORT = %s\nDB_CHARSET = utf8\nDB_PREFIX = tp_\n",
		host, c.DBName, c.User, c.Passwd, port)
}

func (g *guided) command(args ...string) *exec.Cmd {
	cmd := exec.CommandContext(g.t.Context(), g.worker, args...)
	cmd.Dir = g.dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + g.dir}
	return cmd
}

func (g *guided) run(args ...string) (string, error) {
	out, err := g.command(args...).CombinedOutput()
	return string(out), err
}

// restarts has the worker run as a daemon, and PHP's queue:restart end it.
func (g *guided) restarts() {
	cmd := g.command("queue:work")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		g.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		g.t.Fatal(err)
	}
	g.peer("push", "SendMail", `{"to":"daemon"}`, "default")
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if strings.Contains(lines.Text(), "Mail to daemon") {
			g.peer("restart")
			break
		}
	}
	_, _ = io.Copy(io.Discard, out)
	if err := cmd.Wait(); err != nil {
		g.t.Errorf("restarted, the worker ends with %v\n%s", err, stderr.String())
	}
}
