package laravel

import (
	"crypto/rand"
	"net"
	"net/url"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"

	"github.com/spoolq/spool/internal/testserver"
)

// backend is where the queue is.
type backend struct {
	name       string
	extensions []string // of PHP, or files on its include path
	// env starts what is needed and returns the settings that lead there.
	env func(t *testing.T) map[string]string
}

func backends() []backend {
	return []backend{
		{"phpredis", []string{"redis", "pdo_sqlite"}, func(t *testing.T) map[string]string { return redisEnv(t, "phpredis") }},
		{"predis", []string{"Predis/Autoloader.php", "pdo_sqlite"}, func(t *testing.T) map[string]string { return redisEnv(t, "predis") }},
		{"mysql", []string{"pdo_mysql"}, mysqlEnv},
		{"pgsql", []string{"pdo_pgsql"}, pgsqlEnv},
		{"sqlite", []string{"pdo_sqlite"}, func(*testing.T) map[string]string {
			return map[string]string{"QUEUE_CONNECTION": "database"}
		}},
	}
}

func redisEnv(t *testing.T, client string) map[string]string {
	t.Helper()
	host, port, err := net.SplitHostPort(testserver.Redis(t))
	if err != nil {
		t.Fatal(err)
	}
	return map[string]string{
		"QUEUE_CONNECTION": "redis", "REDIS_CLIENT": client, "REDIS_HOST": host, "REDIS_PORT": port,
		"REDIS_PREFIX": "interop_" + strings.ToLower(rand.Text()) + "_database_",
	}
}

func mysqlEnv(t *testing.T) map[string]string {
	t.Helper()
	cfg, err := mysql.ParseDSN(testserver.MySQL(t))
	if err != nil {
		t.Fatal(err)
	}
	return databaseEnv(t, "mysql", cfg.Addr, cfg.DBName, cfg.User, cfg.Passwd)
}

func pgsqlEnv(t *testing.T) map[string]string {
	t.Helper()
	u, err := url.Parse(testserver.Postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	return databaseEnv(t, "pgsql", u.Host, strings.TrimPrefix(u.Path, "/"), u.User.Username(), "")
}

func databaseEnv(t *testing.T, connection, addr, database, user, password string) map[string]string {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]string{
		"QUEUE_CONNECTION": "database", "DB_CONNECTION": connection, "DB_HOST": host, "DB_PORT": port,
		"DB_DATABASE": database, "DB_USERNAME": user, "DB_PASSWORD": password,
	}
}
