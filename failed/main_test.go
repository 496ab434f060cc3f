package failed_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"

	"github.com/spoolq/spool/failed"
	"github.com/spoolq/spool/internal/testserver"
	"github.com/spoolq/spool/sqldb"
	sqlmysql "github.com/spoolq/spool/sqldb/mysql"
	"github.com/spoolq/spool/sqldb/postgres"
	"github.com/spoolq/spool/sqldb/sqlite"
)

// writerEnv makes the test binary a process that logs records to a file.
const writerEnv = "SPOOL_TEST_FAILED_WRITER"

func TestMain(m *testing.M) {
	if path := os.Getenv(writerEnv); path != "" {
		if err := logMany(path); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	testserver.Main(m)
}

// logMany logs, updates and forgets records as one of many processes.
func logMany(path string) error {
	s := failed.NewFile(path, &failed.FileOptions{Limit: 10_000})
	ctx := context.Background()
	for i := range recordsPerWriter {
		r := failed.Record{UUID: fmt.Sprintf("%d-%d", os.Getpid(), i), Payload: []byte(`{}`), Exception: "x"}
		for range 2 {
			if _, err := s.Log(ctx, r); err != nil {
				return err
			}
		}
		if i%5 == 0 {
			if n, err := s.Forget(ctx, r.UUID); n != 1 || err != nil {
				return fmt.Errorf("forget: %d, %w", n, err)
			}
		}
		if _, err := s.Count(ctx, failed.Filter{}); err != nil {
			return err
		}
	}
	return nil
}

// database is a fresh database, and how PHP's PDO opens it.
type database struct {
	*sqldb.DB
	pdo []string
}

// databases are the three dialects, each opening a database of its own.
var databases = map[string]func(t *testing.T) database{
	"sqlite": func(t *testing.T) database {
		path := filepath.Join(t.TempDir(), "db.sqlite")
		db, err := sqlite.Open(path, &sqlite.Options{Synchronous: sqlite.Normal})
		return database{opened(t, db, err), []string{"sqlite:" + path, "", ""}}
	},
	"mysql": func(t *testing.T) database {
		dsn := testserver.MySQL(t)
		cfg, err := mysql.ParseDSN(dsn)
		if err != nil {
			t.Fatal(err)
		}
		host, port, _ := strings.Cut(cfg.Addr, ":")
		db, err := sqlmysql.Open(dsn, nil)
		return database{opened(t, db, err), []string{"mysql:host=" + host + ";port=" + port + ";dbname=" + cfg.DBName, cfg.User, cfg.Passwd}}
	},
	"pgsql": func(t *testing.T) database {
		dsn := testserver.Postgres(t)
		u, err := url.Parse(dsn)
		if err != nil {
			t.Fatal(err)
		}
		password, _ := u.User.Password()
		db, err := postgres.Open(dsn, nil)
		return database{opened(t, db, err), []string{
			"pgsql:host=" + u.Hostname() + ";port=" + u.Port() + ";dbname=" + strings.Trim(u.Path, "/"), u.User.Username(), password,
		}}
	},
}

func opened(t *testing.T, db *sqldb.DB, err error) *sqldb.DB {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func run(t *testing.T, db *sqldb.DB, statements ...string) {
	t.Helper()
	err := db.Write(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
		for _, s := range statements {
			if _, err := tx.ExecContext(ctx, s); err != nil {
				return fmt.Errorf("%s: %w", s, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// laravel makes calls on one of Laravel's own failed-job providers.
func laravel(t *testing.T, provider []string, calls ...[]any) []any {
	t.Helper()
	_, err := os.Stat("/usr/share/php/Illuminate/Queue/Failed/DatabaseUuidFailedJobProvider.php")
	php, lookErr := exec.LookPath("php")
	if err != nil || lookErr != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("no PHP with Laravel: apt-get install php-cli php-laravel-framework (%v, %v)", err, lookErr)
		}
		t.Skip("no PHP with Laravel here: apt-get install php-cli php-laravel-framework")
	}
	in, err := json.Marshal(calls)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), php, append([]string{"testdata/provider.php"}, provider...)...)
	cmd.Stdin = bytes.NewReader(in)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("php: %v\n%s%s", err, out, stderr.Bytes())
	}
	var results []any
	if err := json.Unmarshal(out, &results); err != nil {
		t.Fatalf("php said %q: %v\n%s", out, err, stderr.Bytes())
	}
	return results
}
