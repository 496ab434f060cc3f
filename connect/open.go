package connect

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	mysqlsdk "github.com/go-sql-driver/mysql"
	"github.com/redis/rueidis"

	"github.com/spoolq/spool/beanstalkqueue"
	"github.com/spoolq/spool/cache"
	"github.com/spoolq/spool/cache/rediscache"
	"github.com/spoolq/spool/config"
	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/redisdb"
	"github.com/spoolq/spool/sqldb"
	"github.com/spoolq/spool/sqldb/mysql"
	"github.com/spoolq/spool/sqldb/postgres"
	"github.com/spoolq/spool/sqldb/sqlite"
)

// Database returns a configured database; "" means the default one.
func (s *Set) Database(ctx context.Context, name string) (*sqldb.DB, error) {
	return s.databases.get(ctx, s.databaseName(name))
}

// Absent returns an error if a database, "" for the default one, is a SQLite file
// that isn't there yet: to open it would make it, and without tables. It is nil
// for all others, and where [Set.Database] refuses the name.
func (s *Set) Absent(name string) error {
	d := s.Config.Databases[s.databaseName(name)]
	if d == nil || d.Driver != "sqlite" || d.Database == "" || d.Database == ":memory:" || strings.HasPrefix(d.Database, "file:") {
		return nil
	}
	if _, err := os.Stat(d.Database); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is not there yet; create it with %s", d.Database, migrateHint)
	}
	return nil
}

func (s *Set) databaseName(name string) string { return cmp.Or(name, s.Config.DefaultDatabase) }

// table puts the database's prefix before a table's name.
func (s *Set) table(database, table string) string {
	if d := s.Config.Databases[s.databaseName(database)]; d != nil {
		return d.Prefix + table
	}
	return table
}

func (s *Set) openDatabase(_ context.Context, name string) (*sqldb.DB, error) {
	d := s.Config.Databases[name]
	if d == nil {
		return nil, fmt.Errorf("database %q is not configured", name)
	}
	switch d.Driver {
	case "sqlite":
		return sqlite.Open(d.Database, &sqlite.Options{
			Synchronous: sqlite.Synchronous(d.Synchronous), Journal: sqlite.Journal(d.JournalMode), Wait: d.BusyTimeout,
		})
	case "mysql", "mariadb":
		return s.openMySQL(d)
	case "pgsql":
		return postgres.Open(postgresDSN(d), &postgres.Options{MaxConns: d.MaxOpen, Log: s.log})
	}
	return nil, fmt.Errorf("driver %q of database %s is not built into this program", d.Driver, name)
}

func (s *Set) openMySQL(d *config.Database) (*sqldb.DB, error) {
	c := mysqlsdk.NewConfig()
	c.User, c.Passwd, c.DBName = d.Username, d.Password, d.Database
	c.Net, c.Addr = "tcp", net.JoinHostPort(d.Host, strconv.Itoa(d.Port))
	if d.Socket != "" {
		c.Net, c.Addr = "unix", d.Socket
	}
	c.MaxAllowedPacket = 0
	c.Collation = d.Collation
	if d.Charset != "" {
		if err := c.Apply(mysqlsdk.Charset(d.Charset, d.Collation)); err != nil {
			return nil, fmt.Errorf("database %s: charset: %w", d.Name, err)
		}
	}
	if d.SSLCA != "" || d.SSLCert != "" {
		t, err := tlsConfig(config.TLS{CA: d.SSLCA, Cert: d.SSLCert, Key: d.SSLKey})
		if err != nil {
			return nil, fmt.Errorf("database %s: %w", d.Name, err)
		}
		t.ServerName = d.Host
		c.TLS = t
	}
	return mysql.OpenConfig(c, &mysql.Options{MaxConns: d.MaxOpen})
}

// postgresDSN renders the settings as key=value pairs.
func postgresDSN(d *config.Database) string {
	var b strings.Builder
	quote := strings.NewReplacer(`\`, `\\`, `'`, `\'`)
	for _, kv := range [][2]string{
		{"host", d.Host}, {"port", strconv.Itoa(d.Port)}, {"dbname", d.Database}, {"user", d.Username},
		{"password", d.Password}, {"search_path", d.Schema}, {"sslmode", d.SSLMode},
		{"sslrootcert", d.SSLCA}, {"sslcert", d.SSLCert}, {"sslkey", d.SSLKey},
	} {
		if kv[1] != "" && kv[1] != "0" {
			fmt.Fprintf(&b, "%s='%s' ", kv[0], quote.Replace(kv[1]))
		}
	}
	return b.String()
}

// Redis returns a configured Redis client; "" means "default".
func (s *Set) Redis(ctx context.Context, name string) (rueidis.Client, error) {
	return s.redis.get(ctx, cmp.Or(name, "default"))
}

func (s *Set) openRedis(ctx context.Context, name string) (rueidis.Client, error) {
	r := s.Config.Redis[name]
	if r == nil {
		return nil, fmt.Errorf("redis connection %q is not configured", name)
	}
	o := redisdb.Options{
		Host: r.Host, Port: r.Port, Socket: r.Socket, Username: r.Username, Password: r.Password, DB: r.Database,
		DialTimeout: r.Timeout, Timeout: r.ReadTimeout,
		Sentinel: redisdb.Sentinel{
			Master: r.Sentinel.Master, Addrs: r.Sentinel.Nodes,
			Username: r.Sentinel.Username, Password: r.Sentinel.Password,
		},
	}
	if r.Cluster {
		if o.Cluster = r.Nodes; len(o.Cluster) == 0 {
			o.Cluster = []string{net.JoinHostPort(r.Host, strconv.Itoa(r.Port))}
		}
	}
	if r.Scheme == "tls" {
		t, err := tlsConfig(r.TLS)
		if err != nil {
			return nil, fmt.Errorf("redis connection %s: %w", name, err)
		}
		o.TLS = t
	}
	return redisdb.Open(ctx, o)
}

// openBeanstalkd connects to a beanstalkd server. Without retry_after jobs get
// the driver's own: the server has no reservations that don't expire.
func openBeanstalkd(ctx context.Context, c *config.Connection, after time.Duration) (driver.Conn, error) {
	o := &beanstalkqueue.Options{RetryAfter: after, Priority: uint32(max(c.Priority, 0)), DialTimeout: c.Timeout}
	if c.BlockFor != nil {
		o.BlockFor = *c.BlockFor
	}
	addr := c.Host
	if !strings.HasPrefix(addr, "unix:") {
		addr = net.JoinHostPort(cmp.Or(addr, "localhost"), strconv.Itoa(cmp.Or(c.Port, 11300)))
	}
	return beanstalkqueue.Open(ctx, addr, o)
}

// tlsConfig reads the files of a TLS setting.
func tlsConfig(t config.TLS) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName, InsecureSkipVerify: t.Insecure} //nolint:gosec // only where the settings say so
	if t.CA != "" {
		pem, err := os.ReadFile(t.CA)
		if err != nil {
			return nil, fmt.Errorf("certificate authority: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("certificate authority: %s holds no PEM certificate", t.CA)
		}
	}
	if t.Cert != "" {
		pair, err := tls.LoadX509KeyPair(t.Cert, cmp.Or(t.Key, t.Cert))
		if err != nil {
			return nil, fmt.Errorf("client certificate: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// openStore opens a cache store.
func (s *Set) openStore(ctx context.Context, name string) (Cache, error) {
	c := s.Config.Cache.Stores[name]
	if c == nil {
		return nil, fmt.Errorf("cache store %q is not configured", name)
	}
	switch c.Driver {
	case "array", "null":
		return cache.NewMemory(), nil
	case "file":
		if v := s.Config.ThinkPHP; v != "" {
			return cache.NewThinkFile(c.Path, &cache.ThinkFileOptions{Form: thinkForm(v), Flat: c.Flat}), nil
		}
		return cache.NewFile(c.Path, &cache.FileOptions{LockDir: c.LockPath, LockPrefix: s.fileLockPrefix()}), nil
	case "database":
		return s.openSQLStore(ctx, c)
	case "redis":
		return s.openRedisStore(ctx, c)
	}
	return nil, fmt.Errorf("driver %q of cache store %s is not built into this program", c.Driver, name)
}

// thinkForm is what the file cache of a version of ThinkPHP writes.
func thinkForm(version string) cache.ThinkForm {
	switch version {
	case "5.0.10":
		return cache.Think5010
	case "5.0":
		return cache.Think50
	case "5.1":
		return cache.Think51
	}
	return cache.Think6
}

// fileLockPrefix is what Laravel puts before lock files since version 13.
func (s *Set) fileLockPrefix() string {
	if v := s.Config.Laravel; v.Major > 0 && v.Before(13, 0) {
		return ""
	}
	return "file-store-lock:"
}

func (s *Set) openSQLStore(ctx context.Context, c *config.Store) (Cache, error) {
	db, err := s.Database(ctx, c.Connection)
	if err != nil {
		return nil, err
	}
	locks, err := s.Database(ctx, cmp.Or(c.LockConnection, c.Connection))
	if err != nil {
		return nil, err
	}
	return cache.NewSQL(db, &cache.SQLOptions{
		Prefix: c.Prefix, Table: s.table(c.Connection, c.Table),
		LockTable: s.table(cmp.Or(c.LockConnection, c.Connection), c.LockTable), Locks: locks,
	}), nil
}

func (s *Set) openRedisStore(ctx context.Context, c *config.Store) (Cache, error) {
	client, err := s.Redis(ctx, c.Connection)
	if err != nil {
		return nil, err
	}
	lockName := cmp.Or(c.LockConnection, c.Connection)
	locks, err := s.Redis(ctx, lockName)
	if err != nil {
		return nil, err
	}
	return rediscache.New(client, &rediscache.Options{
		Prefix: s.Config.Redis[cmp.Or(c.Connection, "default")].Prefix + c.Prefix,
		Locks:  locks, LockPrefix: s.Config.Redis[cmp.Or(lockName, "default")].Prefix + c.Prefix,
	}), nil
}
