package connect

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/config"
	"github.com/spoolq/spool/internal/testserver"
	"github.com/spoolq/spool/sqlqueue"
	"github.com/spoolq/spool/think"
)

// onRedis fills in the address of a server of the test's own.
func onRedis(t *testing.T, yaml string) string {
	t.Helper()
	host, port, err := net.SplitHostPort(testserver.NewRedis(t).Addr)
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(yaml, "SERVER", "host: "+host+", port: "+port)
}

func TestTwoProfilesOnOneQueue(t *testing.T) {
	s := set(t, onRedis(t, `
queue:
  default: tq1
  connections:
    tq1: {connector: Redis, SERVER}
    legacy: {type: redis, profile: tq3-legacy, SERVER}
    tq3: {type: redis, profile: tq3, SERVER}
    laravel: {driver: redis, connection: plain}
database: {redis: {plain: {prefix: '', SERVER}}}
`))
	push := func(connection, queue string) {
		t.Helper()
		if _, err := spool.Push(t.Context(), s.Client, "Job", 1, spool.OnConnection(connection), spool.OnQueue(queue)); err != nil {
			t.Fatal(err)
		}
	}
	push("tq1", "one")
	push("legacy", "three")
	push("laravel", "php")
	push("tq3", "new")
	for _, c := range []struct {
		connection, queue string
		have              think.Shape // what is reported; "" if all is well
	}{
		{"tq1", "one", ""}, {"legacy", "one", think.ShapeTQ1}, {"laravel", "one", think.ShapeTQ1},
		{"legacy", "three", ""}, {"tq1", "three", think.ShapeTQ3}, {"laravel", "three", think.ShapeTQ3},
		{"laravel", "php", ""}, {"tq1", "php", think.ShapeLaravel}, {"legacy", "php", think.ShapeLaravel},
		{"tq3", "one", ""}, {"tq3", "new", ""}, {"tq1", "empty", ""},
	} {
		_, err := s.CheckQueues(t.Context(), c.connection, c.queue)
		var mixed *MixedQueueError
		switch {
		case c.have == "" && err != nil:
			t.Errorf("%s on %s: %v", c.connection, c.queue, err)
		case c.have != "" && (!errors.As(err, &mixed) || mixed.Have != c.have || mixed.Jobs != 1):
			t.Errorf("%s on %s: %v, want a report of %s", c.connection, c.queue, err, c.have)
		}
	}

	// Jobs of another version, under its own keys, are told of.
	for connection, queue := range map[string]string{"tq3": "three", "legacy": "new"} {
		advice, err := s.CheckQueues(t.Context(), connection, queue)
		if err != nil || len(advice) != 1 || !strings.Contains(advice[0], "1 jobs of queue "+queue) {
			t.Errorf("%s beside %s: %q, %v", connection, queue, advice, err)
		}
	}
	// Go's jobs of a queue are where the keys of its profile say, and a mix is
	// found in any state.
	push("tq1", "mixed")
	if _, err := spool.Push(t.Context(), s.Client, "Job", 1, spool.OnConnection("legacy"), spool.OnQueue("mixed"), spool.Delay(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.CheckQueues(t.Context(), "tq1", "mixed"); err == nil || !strings.Contains(err.Error(), "correct profile") {
		t.Errorf("a mix: %v", err)
	}
}

func TestThinkTables(t *testing.T) {
	s := set(t, `
queue:
  default: jobs
  connections:
    jobs: {type: database, profile: tq3, table: jobs}
    old: {connector: Database, table: jobs, expire: null}
  failed: {type: database, table: failed}
database: {default: sqlite, connections: {sqlite: {driver: sqlite, database: think.db, prefix: tp_}}}
cache: {default: array}
`)
	for _, table := range s.Tables() {
		if n := table.Name(); n == "tp_jobs" || n == "tp_failed" {
			t.Errorf("%s would be made: it is ThinkPHP's", n)
		}
	}
	db, err := s.Database(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := s.Manager.Connection(t.Context(), "jobs")
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Ping(t.Context()); err == nil || !strings.Contains(err.Error(), "ThinkPHP makes it") {
		t.Errorf("without a table: %v", err)
	}
	for _, err := range []error{conn.Ping(t.Context()), s.Ready(t.Context())} {
		if text := s.Explain(err).Error(); strings.Count(text, "ThinkPHP makes it") != 1 || strings.Contains(text, "spool migrate") {
			t.Errorf("a table of ThinkPHP's is explained by: %s", text)
		}
	}
	for _, q := range []string{
		"CREATE TABLE tp_jobs (id integer PRIMARY KEY AUTOINCREMENT, queue text, payload text, attempts integer, reserved integer, reserved_at integer, available_at integer, created_at integer)",
		"CREATE TABLE tp_failed (id integer PRIMARY KEY AUTOINCREMENT, connection text, queue text, payload text, exception text, fail_time text)",
	} {
		if _, err := db.SQL().ExecContext(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
	var wrong *sqlqueue.LayoutError
	if err := conn.Ping(t.Context()); !errors.As(err, &wrong) || wrong.Fits != "tq1" {
		t.Errorf("a table of another version: %v", err)
	}
	old, err := s.Manager.Connection(t.Context(), "old")
	if err != nil {
		t.Fatal(err)
	}
	if err := old.Ping(t.Context()); err != nil {
		t.Error(err)
	}

	// expire null: nothing comes back by itself, but on command.
	if _, err := spool.Push(t.Context(), s.Client, "Job", 1, spool.OnConnection("old")); err != nil {
		t.Fatal(err)
	}
	if _, err := db.SQL().ExecContext(t.Context(), "UPDATE tp_jobs SET reserved = 1, reserved_at = 1"); err != nil {
		t.Fatal(err)
	}
	if rs, err := old.Driver().Reserve(t.Context(), "default", 1); err != nil || len(rs) != 0 {
		t.Errorf("%d jobs, %v", len(rs), err)
	}
	if n, err := old.Rescue(t.Context(), "", 10); n != 1 || err != nil {
		t.Errorf("rescued %d, %v", n, err)
	}
	if rs, err := old.Driver().Reserve(t.Context(), "default", 1); err != nil || len(rs) != 1 || rs[0].Attempts != 2 {
		t.Errorf("%+v, %v", rs, err)
	}
	store, err := s.Failed(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Ready(t.Context()); err != nil {
		t.Errorf("%T: %v", store, err)
	}
}

func TestRestarts(t *testing.T) {
	s := set(t, "queue: {default: a, connections: {a: {type: redis, profile: tq3}, b: {driver: redis}, c: {connector: Redis}}}")
	if got := strings.Join(s.Restarts(), " "); got != "think:queue:restart illuminate:queue:restart" {
		t.Errorf("restart is told by %q", got)
	}
}

// A version of another profile is refused with both names.
func TestWrongThinkVersion(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"spool.yaml":    "queue: {default: redis, connections: {redis: {type: redis, profile: tq3}}}",
		"composer.lock": `{"packages":[{"name":"topthink/think-queue","version":"v2.0.4"}]}`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg, err := config.Load(&config.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New(cfg, nil); err == nil || !strings.Contains(err.Error(), "think-queue 2.0.4 stores what the profile tq1 says, not tq3") {
		t.Errorf("think-queue 2.0.4 as tq3: %v", err)
	}
}
