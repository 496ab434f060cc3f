//go:build unix

package cli

import (
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spoolq/spool"
)

// thinkApp is the folder of an application of ThinkPHP 5 with its table.
func thinkApp(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	yaml := `
thinkphp: 5.1
queue: {connector: Database, table: jobs, expire: 60, failed: {driver: file, path: failed.json}}
database: {default: sqlite, connections: {sqlite: {driver: sqlite, database: think.db}}}
cache: {default: file, stores: {file: {driver: file, path: cache}}}
`
	if err := os.WriteFile(filepath.Join(dir, "spool.yaml"), []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", filepath.Join(dir, "think.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), "CREATE TABLE jobs (id integer PRIMARY KEY AUTOINCREMENT, queue text, payload text, attempts integer, reserved integer, reserved_at integer, available_at integer, created_at integer)"); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestThinkQueueCommands(t *testing.T) {
	dir := thinkApp(t)
	app := func() *App { return &App{Mux: spool.NewMux()} }
	const keeps = "this worker keeps running"
	for args, times := range map[string]int{
		"queue:work --stop-when-empty": 1, "queue:work --daemon --stop-when-empty": 0, "queue:work --once --sleep=0": 0,
	} {
		code, _, stderr := run(t.Context(), app(), dir, strings.Fields(args)...)
		if code != 0 || strings.Count(stderr, keeps) != times {
			t.Errorf("%s: code %d, says %d times that it keeps running:\n%s", args, code, strings.Count(stderr, keeps), stderr)
		}
	}

	code, _, stderr := run(t.Context(), app(), dir, "queue:subscribe", "mail", "https://shop.example/hook", "--option=x")
	if code != 2 || !strings.Contains(stderr, "not supported") || !strings.Contains(stderr, "url:") {
		t.Errorf("queue:subscribe: code %d\n%s", code, stderr)
	}

	// queue:restart tells think-queue's workers, too.
	if code, _, stderr := run(t.Context(), app(), dir, "queue:restart"); code != 0 {
		t.Errorf("queue:restart: code %d\n%s", code, stderr)
	}

	// A queue with another system's jobs isn't worked.
	db, err := sql.Open("sqlite", filepath.Join(dir, "think.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), `INSERT INTO jobs (queue, payload, attempts, reserved, available_at, created_at) VALUES ('default', '{"job":"J","maxTries":null,"timeout":null,"data":1}', 0, 0, 1, 1)`); err != nil {
		t.Fatal(err)
	}
	if code, out, _ := run(t.Context(), app(), dir, "check"); code != 1 || !strings.Contains(out, "holds jobs of think-queue 3") {
		t.Errorf("check: code %d\n%s", code, out)
	}
	if code, _, stderr := run(t.Context(), app(), dir, "queue:work", "--once"); code == 0 || !strings.Contains(stderr, "holds jobs of think-queue 3") {
		t.Errorf("another version's jobs: code %d\n%s", code, stderr)
	}
}
