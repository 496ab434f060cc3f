package config

import (
	"cmp"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Database is one database connection.
type Database struct {
	// Name is the key it stands under.
	Name string `key:"-"`
	// Driver is the sort of database.
	Driver string `key:"driver" enum:"sqlite,mysql,mariadb,pgsql"`
	// URL is the connection as one URL. Its parts go before the fields beside
	// it, into which Load merges them: only those need to be read.
	URL string `key:"url" secret:"url"`
	// Host is the server's name; for pgsql also the folder of its socket.
	Host string `key:"host" for:"mysql,mariadb,pgsql"`
	// Port is the server's TCP port.
	Port int `key:"port" for:"mysql,mariadb,pgsql"`
	// Socket is the path of the Unix socket; it goes before Host.
	Socket string `key:"unix_socket" for:"mysql,mariadb"`
	// Database is the database's name, or the file of sqlite (absolute, or
	// :memory:).
	Database string `key:"database"`
	// Username is the account.
	Username string `key:"username" for:"mysql,mariadb,pgsql"`
	// Password is the account's password.
	Password string `key:"password" for:"mysql,mariadb,pgsql" secret:"true"`
	// Charset is the character set of the connection.
	Charset string `key:"charset" for:"mysql,mariadb,pgsql"`
	// Collation is the collation of the connection.
	Collation string `key:"collation" for:"mysql,mariadb"`
	// Prefix is put before table names.
	Prefix string `key:"prefix"`
	// Schema is the search path, comma-separated.
	Schema string `key:"search_path" for:"pgsql"`
	// SSLMode is libpq's word for how TLS is used.
	SSLMode string `key:"sslmode" for:"pgsql" enum:"disable,allow,prefer,require,verify-ca,verify-full"`
	// SSLCA is the file of the certificate authority.
	SSLCA string `key:"sslca" for:"mysql,mariadb,pgsql" path:"true"`
	// SSLCert is the file of the client's certificate.
	SSLCert string `key:"sslcert" for:"mysql,mariadb,pgsql" path:"true"`
	// SSLKey is the file of the client's key.
	SSLKey string `key:"sslkey" for:"mysql,mariadb,pgsql" path:"true"`
	// Synchronous is SQLite's pragma. What a power cut may lose in journal mode
	// wal: with full and extra nothing, with normal the last commits, with off the
	// file. In the other modes, with full the very last commit.
	Synchronous string `key:"synchronous" for:"sqlite" enum:"extra,full,normal,off"`
	// JournalMode is SQLite's pragma; unset leaves a file as it is, and gives a new
	// one wal. Switching a file needs it for itself.
	JournalMode string `key:"journal_mode" for:"sqlite" enum:"wal,delete,truncate,persist"`
	// BusyTimeout is how long a foreign writer of the file is waited for.
	BusyTimeout time.Duration `key:"busy_timeout" for:"sqlite"`
	// MaxOpen is the size of the pool; 0 leaves it to the driver.
	MaxOpen int `key:"max_open" for:"mysql,mariadb,pgsql"`
}

// RedisOptions apply to all Redis connections.
type RedisOptions struct {
	// Prefix is put before every key.
	Prefix string `key:"prefix"`
	// Cluster is redis (the server's own cluster) or empty.
	Cluster string `key:"cluster"`
}

// Redis is one Redis connection.
type Redis struct {
	// Name is the key it stands under.
	Name string `key:"-"`
	// URL is the connection as one URL. Its parts go before the fields beside
	// it, into which Load merges them: only those need to be read.
	URL string `key:"url" secret:"url"`
	// Scheme is how the server is spoken to.
	Scheme string `key:"scheme" enum:"tcp,tls,unix"`
	// Host is the server's name, without a scheme.
	Host string `key:"host"`
	// Port is the server's TCP port.
	Port int `key:"port"`
	// Socket is the path of the Unix socket; it goes before Host.
	Socket string `key:"unix_socket" path:"true"`
	// Username is the ACL account.
	Username string `key:"username"`
	// Password is the account's password; empty sends no AUTH.
	Password string `key:"password" secret:"true"`
	// Database is the number of the database.
	Database int `key:"database"`
	// Prefix is put before every key; unset, that of options applies.
	Prefix string `key:"prefix"`
	// Timeout is how long connecting may take; 0 leaves it to the client.
	Timeout time.Duration `key:"timeout"`
	// ReadTimeout is how long a reply may take; 0 leaves it to the client.
	ReadTimeout time.Duration `key:"read_timeout"`
	// TLS is used with the scheme tls.
	TLS TLS `key:"tls"`
	// Cluster says that the server is a Redis Cluster; Database must be 0.
	Cluster bool `key:"cluster"`
	// Nodes are host:port of the cluster's nodes; empty means Host and Port.
	Nodes []string `key:"nodes"`
	// Sentinel finds the server by Sentinel where its Master is not empty.
	Sentinel Sentinel `key:"sentinel"`
}

// TLS is how an encrypted connection is checked.
type TLS struct {
	// CA is the file of the certificate authority; empty: the system's.
	CA string `key:"ca" path:"true"`
	// Cert is the file of the client's certificate.
	Cert string `key:"cert" path:"true"`
	// Key is the file of the client's key.
	Key string `key:"key" path:"true"`
	// ServerName replaces Host when the certificate is checked.
	ServerName string `key:"server_name"`
	// Insecure accepts any certificate.
	Insecure bool `key:"insecure"`
}

// Sentinel is how Redis Sentinel is asked for the server.
type Sentinel struct {
	// Master is the name of the master set.
	Master string `key:"master"`
	// Nodes are host:port of the sentinels.
	Nodes []string `key:"nodes"`
	// Username is the account on the sentinels themselves.
	Username string `key:"username"`
	// Password is the password on the sentinels themselves.
	Password string `key:"password" secret:"true"`
}

// Cache says where signals, locks and counters are kept.
type Cache struct {
	// Default is the name of the store in use.
	Default string `key:"default"`
	// Prefix is Laravel's cache.prefix, as it is written. [Store.Prefix] is what
	// is put before keys.
	Prefix string `key:"prefix"`
	// Stores are the cache stores by name.
	Stores map[string]*Store `key:"stores"`
}

// Store is one cache store.
type Store struct {
	// Name is the key it stands under.
	Name string `key:"-"`
	// Driver is what holds the values; array is this process's memory.
	Driver string `key:"driver" enum:"database,redis,file,array,null"`
	// Prefix is put before keys. Unset, it is cache.prefix, with a ":" behind it
	// on Redis up to Laravel 10. The drivers file, array and null have none.
	Prefix string `key:"prefix" for:"database,redis"`
	// Connection is the name of the database (empty: the default one) or Redis
	// connection.
	Connection string `key:"connection" for:"database,redis"`
	// LockConnection is where locks are kept; empty means Connection.
	LockConnection string `key:"lock_connection" for:"database,redis"`
	// Table is the table of the values.
	Table string `key:"table" for:"database"`
	// LockTable is the table of the locks.
	LockTable string `key:"lock_table" for:"database"`
	// Flat says that the files of a ThinkPHP application stand in the folder
	// itself (its cache_subdir is false).
	Flat bool `key:"flat" for:"file"`
	// Path is the folder of the values.
	Path string `key:"path" for:"file" path:"true"`
	// LockPath is the folder of the locks; empty means Path.
	LockPath string `key:"lock_path" for:"file" path:"true"`
}

// KeyPrefix is what stands before the keys of a queue connection in Redis.
// think-queue puts nothing there, so only a prefix that somebody has set counts
// for it.
func (c *Config) KeyPrefix(q *Connection) string {
	name := cmp.Or(q.Connection, "default")
	r := c.Redis[name]
	if r == nil || profile(q) != "laravel" && c.Source("database.redis."+name+".prefix").Kind == FromDefault {
		return ""
	}
	return r.Prefix
}

// profile is what a connection stores.
func profile(q *Connection) string { return cmp.Or(q.Profile, "laravel") }

// sameServer says whether two Redis connections lead to the same database.
func sameServer(a, b *Redis) bool {
	return a != nil && b != nil && a.Host == b.Host && a.Port == b.Port && a.Socket == b.Socket && a.Database == b.Database &&
		slices.Equal(a.Nodes, b.Nodes) && a.Sentinel.Master == b.Sentinel.Master && slices.Equal(a.Sentinel.Nodes, b.Sentinel.Nodes)
}

// urlDriver is the driver that the scheme of a URL means to Laravel.
func urlDriver(scheme string) string {
	switch scheme = strings.ToLower(scheme); scheme {
	case "mysql2":
		return "mysql"
	case "postgres", "postgresql":
		return "pgsql"
	case "sqlite3":
		return "sqlite"
	case "redis":
		return "tcp"
	case "rediss":
		return "tls"
	case "mssql":
		return "sqlsrv"
	}
	return scheme
}

// urlParts are the settings that a URL stands for, as Laravel reads it: scheme,
// host, port, user and password, the path as the database, and whatever its
// query names. What is wrong comes back as text, without the URL.
func urlParts(s string) (parts map[string]string, wrong string) {
	parts = map[string]string{}
	// sqlite:///file has no host.
	for _, p := range []string{"sqlite:///", "sqlite3:///"} {
		if rest, ok := strings.CutPrefix(s, p); ok {
			name, _, _ := strings.Cut(rest, "?")
			name, err := url.PathUnescape(name)
			if err != nil {
				return nil, "has a bad %-escape"
			}
			return map[string]string{"driver": "sqlite", "database": name}, ""
		}
	}
	u, err := url.Parse(s)
	if err != nil || u.Opaque != "" || u.Scheme == "" {
		return nil, "is no URL like scheme://user:password@host:port/database; write %40 for an @ in the password, and so on"
	}
	parts["driver"] = urlDriver(u.Scheme)
	set := func(key, v string) {
		if v != "" {
			parts[key] = v
		}
	}
	set("host", u.Hostname())
	set("port", u.Port())
	if parts["driver"] == "unix" {
		set("unix_socket", u.Path) // its database is in the query
	} else {
		set("database", strings.TrimPrefix(u.Path, "/"))
	}
	if u.User != nil {
		set("username", u.User.Username())
		p, _ := u.User.Password()
		set("password", p)
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, "has a bad query"
	}
	for k, v := range query {
		parts[k] = v[len(v)-1]
	}
	return parts, ""
}

// maskURL hides the password of a URL, and what it cannot read altogether.
func maskURL(s string) string {
	if s == "" {
		return s
	}
	u, err := url.Parse(s)
	if err != nil || u.Opaque != "" || u.Scheme == "" {
		return masked
	}
	if u.User != nil {
		if _, ok := u.User.Password(); ok {
			u.User = url.UserPassword(u.User.Username(), maskWord)
		} else if isRedis(u.Scheme) {
			u.User = url.User(maskWord) // redis://password@host is a common slip
		}
	}
	if q := u.Query(); len(q) > 0 {
		for k := range q {
			if secretName(k) {
				q.Set(k, maskWord)
			}
		}
		u.RawQuery = q.Encode()
	}
	u.Fragment = ""
	return strings.ReplaceAll(u.String(), maskWord, masked)
}

func isRedis(scheme string) bool { return strings.HasPrefix(strings.ToLower(scheme), "redis") }

// secretName says whether a name promises a secret.
func secretName(k string) bool {
	k = strings.ToLower(k)
	for _, w := range []string{"pass", "secret", "token", "key", "auth", "sig"} {
		if strings.Contains(k, w) {
			return true
		}
	}
	return false
}

// masked stands for a secret; maskWord is it inside a URL, where * would be
// escaped.
const masked, maskWord = "********", "MASKED-SECRET"

func isPort(s string) bool {
	n, err := strconv.Atoi(s)
	return err == nil && n > 0 && n < 65536
}
