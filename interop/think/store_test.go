package think

import (
	"context"
	"database/sql"
	"encoding/json"
	"iter"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	mysqlsdk "github.com/go-sql-driver/mysql"
	"github.com/redis/rueidis"

	"github.com/spoolq/spool/internal/testserver"
	"github.com/spoolq/spool/redisdb"
)

// store is where both sides keep their jobs.
type store interface {
	settings(t *testing.T) map[string]any // of the peer
	clear(t *testing.T)
	state(t *testing.T) map[string]any // as recordings have it
	add(t *testing.T, profile, body string)
}

// php is the command that starts PHP, with what the peer needs and, where that
// can be had, no more: hundreds are started. missing is what isn't installed.
var php = sync.OnceValues(func() (command []string, missing string) {
	program, err := exec.LookPath("php")
	if err != nil {
		return nil, "php"
	}
	lean := []string{program, "-n"}
	for _, e := range []string{"mysqlnd", "pdo", "pdo_mysql", "pdo_sqlite", "igbinary", "redis"} {
		lean = append(lean, "-d", "extension="+e)
	}
	const script = `foreach (["redis", "pdo_mysql", "pdo_sqlite"] as $e) { if (!extension_loaded($e)) { echo "php-$e "; } }`
	for _, command = range [][]string{lean, {program}} {
		out, err := exec.CommandContext(context.Background(), command[0], append(command[1:], "-r", script)...).CombinedOutput()
		if missing = strings.TrimSpace(string(out)); err == nil && missing == "" {
			return command, ""
		}
	}
	return nil, missing
})

// requirePHP returns the command. Without PHP, or an extension, the test is
// skipped, or fails where nothing may be skipped.
func requirePHP(t *testing.T) []string {
	t.Helper()
	command, missing := php()
	switch {
	case missing == "":
	case os.Getenv("CI") == "true":
		t.Fatalf("%s is not installed", missing)
	default:
		t.Skipf("%s is not installed (make test installs what is missing on Debian as root)", missing)
	}
	return command
}

// runPHP is a script of the peer, not yet running.
func runPHP(ctx context.Context, command []string, script string, args ...string) *exec.Cmd {
	args = slices.Concat(command[1:], []string{filepath.Join("peer", script)}, args)
	return exec.CommandContext(ctx, command[0], args...)
}

// writeJSON writes v to a file of the test's own and returns its path.
func writeJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.CreateTemp(t.TempDir(), "settings-*.json")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return filepath.Clean(f.Name())
}

func mapsKeys[V any](m map[string]V) iter.Seq[string] { return maps.Keys(m) }

// redisStore is a Redis server of the test's own: think-queue has no prefix
// that could keep tests apart.
type redisStore struct {
	host, port string
	client     rueidis.Client
}

func newRedisStore(t *testing.T) *redisStore {
	t.Helper()
	host, port, err := net.SplitHostPort(testserver.NewRedis(t).Addr)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	client, err := redisdb.Open(t.Context(), redisdb.Options{Host: host, Port: n})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return &redisStore{host: host, port: port, client: client}
}

func (s *redisStore) settings(*testing.T) map[string]any {
	return map[string]any{"driver": "redis", "host": s.host, "port": s.port}
}

func (s *redisStore) clear(t *testing.T) {
	t.Helper()
	if err := s.client.Do(t.Context(), s.client.B().Flushall().Build()).Error(); err != nil {
		t.Fatal(err)
	}
}

func (s *redisStore) add(t *testing.T, profile, body string) {
	t.Helper()
	key := "queues:default"
	if profile == "tq3" {
		key = "{" + key + "}"
	}
	if err := s.client.Do(t.Context(), s.client.B().Rpush().Key(key).Element(body).Build()).Error(); err != nil {
		t.Fatal(err)
	}
}

func (s *redisStore) state(t *testing.T) map[string]any {
	t.Helper()
	keys, err := s.client.Do(t.Context(), s.client.B().Keys().Pattern("*").Build()).AsStrSlice()
	if err != nil {
		t.Fatal(err)
	}
	state := map[string]any{}
	for _, key := range keys {
		var items []any
		switch kind, err := s.client.Do(t.Context(), s.client.B().Type().Key(key).Build()).ToString(); {
		case err != nil:
			t.Fatal(err)
		case kind == "list":
			list, err := s.client.Do(t.Context(), s.client.B().Lrange().Key(key).Start(0).Stop(-1).Build()).AsStrSlice()
			if err != nil {
				t.Fatal(err)
			}
			for _, body := range list {
				items = append(items, body)
			}
		case kind == "zset":
			set, err := s.client.Do(t.Context(), s.client.B().Zrange().Key(key).Min("0").Max("-1").Withscores().Build()).AsZScores()
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range set {
				items = append(items, map[string]any{"score": strconv.FormatFloat(m.Score, 'f', -1, 64), "text": m.Member})
			}
		default:
			continue
		}
		state[key] = map[string]any{"items": items}
	}
	return state
}

// tableStore is a table tp_jobs on MySQL or MariaDB.
type tableStore struct {
	dsn, create string
	db          *sql.DB
}

func newTableStore(t *testing.T, create string) *tableStore {
	t.Helper()
	s := &tableStore{dsn: testserver.MySQL(t), create: create}
	var err error
	if s.db, err = sql.Open("mysql", s.dsn); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.db.Close() })
	s.exec(t, create)
	return s
}

func (s *tableStore) exec(t *testing.T, query string) {
	t.Helper()
	if _, err := s.db.ExecContext(t.Context(), query); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

func (s *tableStore) settings(t *testing.T) map[string]any {
	t.Helper()
	dsn, user, password := pdo(t, s.dsn)
	return map[string]any{"driver": "database", "dsn": dsn, "user": user, "password": password, "table": "tp_jobs"}
}

// pdo is a data source name in PHP's form.
func pdo(t *testing.T, dsn string) (pdo, user, password string) {
	t.Helper()
	c, err := mysqlsdk.ParseDSN(dsn)
	if err != nil {
		t.Fatal(err)
	}
	if c.Net == "unix" {
		return "mysql:unix_socket=" + c.Addr + ";dbname=" + c.DBName, c.User, c.Passwd
	}
	host, port, err := net.SplitHostPort(c.Addr)
	if err != nil {
		t.Fatal(err)
	}
	return "mysql:host=" + host + ";port=" + port + ";dbname=" + c.DBName, c.User, c.Passwd
}

func (s *tableStore) clear(t *testing.T) {
	t.Helper()
	s.exec(t, "TRUNCATE tp_jobs")
}

func (s *tableStore) add(t *testing.T, _, _ string) { t.Fatal("a table has no list") }

func (s *tableStore) state(t *testing.T) map[string]any {
	t.Helper()
	rows, err := s.db.QueryContext(t.Context(), "SELECT * FROM tp_jobs ORDER BY id")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	all := []any{}
	for rows.Next() {
		values, row := make([]any, len(columns)), map[string]any{}
		targets := make([]any, len(columns))
		for i := range values {
			targets[i] = &values[i]
		}
		if err := rows.Scan(targets...); err != nil {
			t.Fatal(err)
		}
		for i, c := range columns {
			switch v := values[i].(type) {
			case nil:
				row[c] = nil
			case []byte:
				row[c] = string(v)
				if n, err := strconv.ParseInt(string(v), 10, 64); err == nil && c != "queue" && c != "payload" {
					row[c] = float64(n)
				}
			case int64:
				row[c] = float64(v)
			default:
				row[c] = v
			}
		}
		all = append(all, row)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return map[string]any{"tp_jobs": map[string]any{"rows": all}}
}

// openSQLite opens a SQLite file.
func openSQLite(t *testing.T, file string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}
