package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spoolq/spool/cli"
)

// A driver of the application's own is used by every command, named by a
// variable alone or set up in spool.yaml.
func TestShop(t *testing.T) {
	dir, jobs := t.TempDir(), filepath.Join(t.TempDir(), "jobs")
	t.Chdir(dir)
	var done []int
	run := func(environ string, args ...string) (int, string) {
		var out bytes.Buffer
		code := app(func(o OrderPaid) { done = append(done, o.ID) }).Run(t.Context(), args,
			cli.IO{In: strings.NewReader(""), Out: &out, Err: &out, Dir: dir, Env: []string{environ, "APP_ENV=testing"}})
		return code, out.String()
	}
	for _, c := range []struct {
		env  string
		args string
		code int
		want string
	}{
		{"", "migrate", 0, "failed_jobs"},
		{"", "size folder", 0, `folder:default \.+ 0 pending`},
		{"QUEUE_CONNECTION=fodler", "size", 2, `there is no connection "fodler".*did you mean folder`},
		{"", "size other", 2, `there is no connection "other"`},
	} {
		if code, out := run(c.env, strings.Fields(c.args)...); code != c.code || !regexp.MustCompile(c.want).MatchString(out) {
			t.Errorf("%s %s: code %d\n%s", c.env, c.args, code, out)
		}
	}
	settings := "queue: {default: orders, connections: {orders: {driver: folder, retry_after: 60, options: {path: '" + jobs + "'}}}}\n"
	if err := os.WriteFile(filepath.Join(dir, "spool.yaml"), []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"check", 0, "ok +connection orders: file"},
		{"push order.paid --data={\"id\":7}", 0, "-"},
		{"push order.paid --data={\"id\":8} --delay=1h", 0, "-"},
		{"size", 0, `orders:default \.+ 1 pending, 1 delayed, 0 reserved`},
		{"list", 0, `order\.paid \.+ pending #0`},
		{"monitor default --max=2", 1, "ALERT"},
		{"work --stop-when-empty", 0, `order\.paid \.+ .* DONE`},
		{"reserved", 0, "No expired reservations"},
		{"clear", 0, "Cleared 1 job"},
		{"demo --connection=orders --jobs=30", 0, "It adds up"},
		{"config queue.connections.orders", 0, `queue\.connections\.orders\.options +path: \*+`},
	} {
		if code, out := run("", strings.Fields(c.args)...); code != c.code || !regexp.MustCompile(c.want).MatchString(out) {
			t.Errorf("%s: code %d\n%s", c.args, code, out)
		}
	}
	if len(done) != 1 || done[0] != 7 {
		t.Errorf("orders %v were paid, want 7 alone", done)
	}
}
