package cache_test

import (
	"context"
	"database/sql"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/spoolq/spool/cache"
	"github.com/spoolq/spool/cache/cachetest"
	"github.com/spoolq/spool/internal/testserver"
	"github.com/spoolq/spool/sqldb"
	sqlmysql "github.com/spoolq/spool/sqldb/mysql"
	"github.com/spoolq/spool/sqldb/postgres"
	"github.com/spoolq/spool/sqldb/schema"
	"github.com/spoolq/spool/sqldb/sqlite"
)

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

// tables creates the two tables as one version of Laravel makes them.
func tables(t *testing.T, db *sqldb.DB, version int) {
	t.Helper()
	statements, err := schema.Statements(db.Dialect(), schema.Names{Cache: "cache", CacheLocks: "cache_locks"}, version)
	if err != nil {
		t.Fatal(err)
	}
	for _, statement := range statements {
		run(t, db, statement)
	}
}

func run(t *testing.T, db *sqldb.DB, statement string, args ...any) {
	t.Helper()
	err := db.Write(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, statement, args...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestSQL(t *testing.T) {
	for name, open := range databases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cachetest.Run(t, func(t *testing.T) cachetest.Subject {
				db := open(t)
				tables(t, db.DB, schema.Newest)
				return cache.NewSQL(db.DB, &cache.SQLOptions{Prefix: "laravel_cache_"})
			})
		})
	}
}

func TestSQLIsSharedWithLaravel(t *testing.T) {
	for name, open := range databases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := open(t)
			tables(t, db.DB, 8)
			s := cache.NewSQL(db.DB, &cache.SQLOptions{Prefix: "laravel_cache"})
			sharedWithLaravel(t, s, append([]string{"database"}, append(db.pdo, "laravel_cache")...)...)
		})
	}
}

func TestSQLWritesLaravelsRows(t *testing.T) {
	for name, open := range databases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := open(t)
			tables(t, db.DB, 8)
			s := cache.NewSQL(db.DB, &cache.SQLOptions{Prefix: "laravel_cache"})
			now := time.Now().Unix()
			if err := s.Put(t.Context(), "illuminate:queue:restart", 1795174284, 0); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Acquire(t.Context(), "lock", "owner", 0); err != nil {
				t.Fatal(err)
			}
			d := db.Dialect()
			check := func(table, key, column, want string, lasts int64) {
				t.Helper()
				var got string
				var expires int64
				err := db.SQL().QueryRowContext(t.Context(), d.Rebind("SELECT "+column+", expiration FROM "+table+" WHERE "+d.Ident("key")+" = ?"), key).Scan(&got, &expires)
				if err != nil {
					t.Fatal(err)
				}
				if got != want {
					t.Errorf("%s: got %q, want %q", table, got, want)
				}
				if want := min(now+lasts, 1<<31-1); expires < want || expires > want+60 {
					t.Errorf("%s: expires in second %d, want about %d", table, expires, want)
				}
			}
			check("cache", "laravel_cacheilluminate:queue:restart", "value", "i:1795174284;", 315360000)
			check("cache_locks", "laravel_cachelock", "owner", "owner", 86400)
		})
	}
}

// PostgreSQL has no NUL in text; Laravel stores such values in base64 there,
// newer versions on SQLite too.
func TestSQLKeepsBinaryValues(t *testing.T) {
	const value = "a\x00b\x00"
	for name, open := range databases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := open(t)
			tables(t, db.DB, schema.Newest)
			s := cache.NewSQL(db.DB, nil)
			if err := s.Put(t.Context(), "k", value, 0); err != nil {
				t.Fatal(err)
			}
			if got, err := s.Many(t.Context(), "k"); err != nil || got["k"] != value {
				t.Errorf("got %q, %v", got["k"], err)
			}
			got := laravel(t, append([]string{"database"}, append(db.pdo, "")...), []any{"get", "k"}, []any{"forever", "php", value})
			if got[0] != value {
				t.Errorf("Laravel reads %q", got[0])
			}
			if got, err := s.Many(t.Context(), "php"); err != nil || got["php"] != value {
				t.Errorf("from Laravel: got %q, %v", got["php"], err)
			}
			run(t, db.DB, "UPDATE cache SET value = 'czo0OiJhAGIAIjs='") // Laravel 11 on SQLite
			if got, err := s.Many(t.Context(), "k"); err != nil || got["k"] != value {
				t.Errorf("from base64: got %q, %v", got["k"], err)
			}
		})
	}
}

func TestSQLKeepsLocksInAnotherDatabase(t *testing.T) {
	values, locks := databases["sqlite"](t), databases["sqlite"](t)
	tables(t, values.DB, 11)
	tables(t, locks.DB, 11)
	run(t, values.DB, "DROP TABLE cache_locks")
	run(t, locks.DB, "DROP TABLE cache")
	s := cache.NewSQL(values.DB, &cache.SQLOptions{Locks: locks.DB})
	if ok, err := s.Acquire(t.Context(), "l", "me", time.Minute); !ok || err != nil {
		t.Fatal(ok, err)
	}
	if ok, err := s.Add(t.Context(), "k", 1, time.Minute); !ok || err != nil {
		t.Fatal(ok, err)
	}
}

func TestSQLPrunesExpiredLocks(t *testing.T) {
	db := databases["sqlite"](t)
	tables(t, db.DB, schema.Newest)
	s := cache.NewSQL(db.DB, nil)
	run(t, db.DB, "INSERT INTO cache_locks VALUES ('expired', 'x', 1), ('held', 'x', 4000000000)")
	for range 50 {
		if _, err := s.Acquire(t.Context(), "l", "me", time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	var n int
	if err := db.SQL().QueryRowContext(t.Context(), "SELECT COUNT(*) FROM cache_locks").Scan(&n); err != nil {
		t.Fatal(err)
	}
	if n != 2 {
		t.Errorf("%d locks are left, want the two that are held", n)
	}
}

func TestSQLWithoutTable(t *testing.T) {
	for name, open := range databases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := open(t)
			s := cache.NewSQL(db.DB, nil)
			for what, f := range map[string]func() error{
				"Many":      func() error { _, err := s.Many(t.Context(), "k"); return err },
				"Put":       func() error { return s.Put(t.Context(), "k", 1, 0) },
				"Add":       func() error { _, err := s.Add(t.Context(), "k", 1, 0); return err },
				"Increment": func() error { _, err := s.Increment(t.Context(), "k", 1, 0); return err },
				"Acquire":   func() error { _, err := s.Acquire(t.Context(), "k", "me", 0); return err },
			} {
				if err := f(); db.Fault(err) != sqldb.NoTable {
					t.Errorf("%s: got %v, want the database's own word that a table is missing", what, err)
				}
			}
		})
	}
}
