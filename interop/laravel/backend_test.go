package laravel

import (
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
	kind       string   // redis, database or beanstalkd: the driver of both sides
	extensions []string // of PHP, or files on its include path
	// env starts what is needed and returns the settings that lead there.
	env func(t *testing.T) map[string]string
}

func backends() []backend {
	return []backend{
		{"phpredis", "redis", []string{"redis", "pdo_sqlite"}, func(t *testing.T) map[string]string { return redisEnv(t, "phpredis") }},
		{"predis", "redis", []string{"Predis/Autoloader.php", "pdo_sqlite"}, func(t *testing.T) map[string]string { return redisEnv(t, "predis") }},
		{"mysql", "database", []string{"pdo_mysql"}, mysqlEnv},
		{"pgsql", "database", []string{"pdo_pgsql"}, pgsqlEnv},
		{"sqlite", "database", []string{"pdo_sqlite"}, func(*testing.T) map[string]string {
			return map[string]string{"QUEUE_CONNECTION": "database"}
		}},
		{"beanstalkd", "beanstalkd", []string{"Pheanstalk/autoload.php", "pdo_sqlite"}, beanstalkdEnv},
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

// beanstalkdEnv has a server of the cell's own, for a stock application's queue
// has one name, and a server has one tube of a name.
func beanstalkdEnv(t *testing.T) map[string]string {
	t.Helper()
	host, port, err := net.SplitHostPort(testserver.NewBeanstalkd(t).Addr)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]string{"QUEUE_CONNECTION": "beanstalkd", "BEANSTALKD_HOST": host, "BEANSTALKD_PORT": port}
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
