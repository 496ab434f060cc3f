package testserver

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
)

var mysqlServer = kind{
	name:        "mysql",
	env:         "SPOOL_TEST_MYSQL",
	programs:    []string{"mysqld"},
	account:     "mysql",
	stopSignal:  syscall.SIGTERM,
	deathSignal: syscall.SIGKILL,
	prepare:     prepareMySQL,
	command: func(s *server) (string, []string) {
		return program("mysqld"), []string{
			"--no-defaults", "--datadir=" + mysqlData(s), "--bind-address=127.0.0.1", "--port=" + strconv.Itoa(s.port),
			"--socket=" + filepath.Join(s.dir, "socket"), "--pid-file=" + filepath.Join(s.dir, "pid"),
			"--init-file=" + mysqlInitFile(s), "--skip-name-resolve", "--skip-log-bin", "--max-connections=300",
			"--character-set-server=utf8mb4", "--default-time-zone=+00:00",
			"--innodb-buffer-pool-size=64M", "--performance-schema=OFF",
			"--loose-mysqlx=OFF", // of MySQL 8: it would take a port that is the same for all
		}
	},
	probe: func(s *server) error {
		var dir string
		err := onMySQL(mysqlDSN(s.addr(), ""), probeTimeout, func(ctx context.Context, db *sql.DB) error {
			return db.QueryRowContext(ctx, "SELECT @@datadir").Scan(&dir)
		})
		if err == nil && filepath.Clean(dir) != mysqlData(s) {
			return fmt.Errorf("another server has port %d", s.port)
		}
		return err
	},
	address: func(s *server) string { return mysqlDSN(s.addr(), "") },
}

// MySQL returns the DSN, as go-sql-driver has it, of a new, empty database on
// a MySQL or MariaDB server that other tests use too. The database is dropped
// at the end of the test. The DSN has no parameters.
func MySQL(t testing.TB) string {
	t.Helper()
	admin := address(t, mysqlKind)
	name := databaseName()
	exec := func(statements ...string) error {
		return onMySQL(admin, startTimeout, func(ctx context.Context, db *sql.DB) error {
			c, err := db.Conn(ctx)
			if err != nil {
				return err
			}
			defer c.Close()
			for _, s := range statements {
				if _, err := c.ExecContext(ctx, s); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := exec("CREATE DATABASE " + name + " CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci"); err != nil {
		t.Fatalf("create a database on %s: %v", admin, err)
	}
	t.Cleanup(func() {
		// A transaction that the test left open must not hang its end.
		if err := exec("SET SESSION lock_wait_timeout = 5", "DROP DATABASE "+name); err != nil {
			t.Logf("drop the test's database: %v", err)
		}
	})
	cfg, err := mysql.ParseDSN(admin)
	if err != nil {
		t.Fatal(err)
	}
	return mysqlDSN(cfg.Addr, name)
}

// NewMySQL starts a MySQL or MariaDB server for this test alone; it ends with
// the test. DSN is that of its empty database "spool". args are further
// command line arguments ("--max-connections=5").
func NewMySQL(t testing.TB, args ...string) *Server {
	t.Helper()
	return newServer(t, mysqlKind, args)
}

// prepareMySQL creates the system tables, and the file that creates the
// account of the tests whenever the server starts.
func prepareMySQL(s *server) error {
	const account = "'spool'@'127.0.0.1'"
	init := "CREATE DATABASE IF NOT EXISTS spool CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;\n" +
		"CREATE USER IF NOT EXISTS " + account + " IDENTIFIED BY 'spool';\n" +
		"GRANT ALL ON *.* TO " + account + " WITH GRANT OPTION;\n"
	if err := os.WriteFile(mysqlInitFile(s), []byte(init), 0o644); err != nil {
		return err
	}
	if install := program("mariadb-install-db"); install != "" {
		return s.run(install, "--no-defaults", "--datadir="+mysqlData(s),
			"--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve")
	}
	return s.run(program("mysqld"), "--no-defaults", "--initialize-insecure", "--datadir="+mysqlData(s))
}

func mysqlData(s *server) string     { return filepath.Join(s.dir, "data") }
func mysqlInitFile(s *server) string { return filepath.Join(s.dir, "init.sql") }

func mysqlDSN(addr, database string) string {
	return "spool:spool@tcp(" + addr + ")/" + database
}

// onMySQL opens a pool, calls f and closes it, all within the time given.
func onMySQL(dsn string, within time.Duration, f func(context.Context, *sql.DB) error) error {
	cfg, err := mysql.ParseDSN(dsn)
	if err != nil {
		return err
	}
	cfg.Logger = &mysql.NopLogger{} // a server that is starting cuts connections
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		return err
	}
	db := sql.OpenDB(connector)
	defer db.Close()
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	return f(ctx, db)
}

// databaseName returns a name that no other test uses.
func databaseName() string { return "spool_" + strings.ToLower(rand.Text()) }
