// Package redisdb opens Redis clients from settings as Laravel's
// config/database.php has them: one place that knows the forms an address may
// take and how to say what is wrong with it.
//
// Prefixes are not its business: whoever names keys (packages redisqueue and
// cache/rediscache) puts them in front.
package redisdb

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Options are the settings of one Redis connection. The zero value is
// 127.0.0.1:6379, database 0, no password.
type Options struct {
	// URL overrides the fields below by what it contains:
	// redis://user:password@host:port/db, rediss:// or tls:// for TLS,
	// tcp:// for redis://, unix:///path?database=1, and queries of the form
	// ?database=1 or ?password=x.
	URL string
	// Host is a name or address; a leading tls:// asks for TLS, and a path or
	// unix:// names a socket. Empty means 127.0.0.1.
	Host string
	// Port is the TCP port; 0 means 6379.
	Port int
	// Socket is the path of a Unix socket; it wins over Host and Port.
	Socket string
	// Username is for servers with access control lists; empty means the
	// default user.
	Username string
	Password string
	// DB is the number of the database. A cluster has only 0.
	DB int
	// TLS asks for an encrypted connection. Its zero value (&tls.Config{})
	// checks the certificate against Host and the system's authorities.
	TLS *tls.Config
	// Cluster lists nodes ("host:port") of a Redis Cluster; one that answers is
	// enough. Host, Port and Socket are not used then.
	Cluster []string
	// Sentinel finds the master through sentinels; Host, Port and Socket are
	// not used then.
	Sentinel Sentinel
	// ClientName is shown by CLIENT LIST; empty means "spool".
	ClientName string
	// DialTimeout bounds connecting and logging in; 0 means 5 s.
	DialTimeout time.Duration
	// Timeout is how long the server may take to answer before the connection
	// is given up; 0 means 10 s. (Waiting for jobs isn't bounded by it.)
	Timeout time.Duration
}

// Sentinel says how to find a master that sentinels watch over.
type Sentinel struct {
	// Master is the name of the master set; empty means no sentinels.
	Master string
	// Addrs are the sentinels, "host:port".
	Addrs []string
	// Username and Password are those of the sentinels, not of the server.
	Username, Password string
}

// resolve takes apart URL and Host and fills in defaults.
func (o Options) resolve() (Options, error) {
	if o.URL != "" {
		if err := o.applyURL(); err != nil {
			return o, err
		}
	}
	switch scheme, rest, found := strings.Cut(o.Host, "://"); {
	case strings.HasPrefix(o.Host, "/"):
		o.Socket = o.Host
	case !found:
	case scheme == "unix":
		o.Socket = rest
	case encrypted(scheme):
		o.Host = rest
		o.encrypt()
	case plain(scheme):
		o.Host = rest
	default:
		return o, fmt.Errorf("redis host %q: the scheme must be tcp, tls or unix", o.Host)
	}
	if o.Host == "" {
		o.Host = "127.0.0.1"
	}
	if o.Port == 0 {
		o.Port = 6379
	}
	if o.Port < 0 || o.Port > 65535 {
		return o, fmt.Errorf("redis port %d: it must be between 1 and 65535", o.Port)
	}
	if o.DB < 0 {
		return o, fmt.Errorf("redis database %d: it must be 0 or more", o.DB)
	}
	if o.ClientName == "" {
		o.ClientName = "spool"
	}
	if o.DialTimeout <= 0 {
		o.DialTimeout = 5 * time.Second
	}
	if o.Timeout <= 0 {
		o.Timeout = 10 * time.Second
	}
	return o, o.checkModes()
}

func (o *Options) checkModes() error {
	switch {
	case len(o.Cluster) > 0 && o.Sentinel.Master != "":
		return errors.New("redis: both a cluster and sentinels are configured: leave one of them out")
	case len(o.Cluster) > 0 && o.DB != 0:
		return fmt.Errorf("redis database %d: a cluster has only database 0", o.DB)
	case o.Sentinel.Master != "" && len(o.Sentinel.Addrs) == 0:
		return fmt.Errorf("redis sentinel %q: no addresses of sentinels", o.Sentinel.Master)
	case o.Sentinel.Master == "" && len(o.Sentinel.Addrs) > 0:
		return errors.New("redis sentinel: the name of the master is missing")
	}
	return nil
}

func encrypted(scheme string) bool { return scheme == "rediss" || scheme == "tls" }
func plain(scheme string) bool     { return scheme == "redis" || scheme == "tcp" }

func (o *Options) encrypt() {
	if o.TLS == nil {
		o.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	}
}

// applyURL overrides the fields by what the URL contains. Its errors never
// quote the URL, which may hold a password.
func (o *Options) applyURL() error {
	u, err := url.Parse(o.URL)
	if err != nil {
		var bad *url.Error
		if errors.As(err, &bad) {
			err = bad.Err
		}
		if errors.As(err, new(url.EscapeError)) || errors.As(err, new(url.InvalidHostError)) || strings.Contains(err.Error(), "port") {
			err = errors.New("it can't be taken apart: percent-encode special characters in user and password")
		}
		return fmt.Errorf("redis url: %w", err)
	}
	switch {
	case encrypted(u.Scheme):
		o.encrypt()
	case u.Scheme == "unix":
		o.Socket = u.Path
	case !plain(u.Scheme):
		return fmt.Errorf("redis url: the scheme must be redis, rediss, tcp, tls or unix, not %q", u.Scheme)
	}
	if h := u.Hostname(); h != "" && u.Scheme != "unix" {
		o.Host = h
	}
	if p := u.Port(); p != "" {
		if o.Port, err = strconv.Atoi(p); err != nil {
			return errors.New("redis url: the port is not a number")
		}
	}
	if u.User != nil {
		// Laravel takes the word null for none, as in redis://null:secret@host.
		if name := u.User.Username(); name != "" && name != "null" {
			o.Username = name
		}
		if pw, ok := u.User.Password(); ok && pw != "null" {
			o.Password = pw
		}
	}
	if path := strings.TrimPrefix(u.Path, "/"); path != "" && u.Scheme != "unix" {
		if err := o.setDB(path); err != nil {
			return err
		}
	}
	return o.applyQuery(u.Query())
}

// applyQuery takes settings from a URL's query by Laravel's names. Others
// belong to PHP's client libraries and mean nothing here.
func (o *Options) applyQuery(q url.Values) error {
	for _, name := range []string{"database", "db"} {
		if v := q.Get(name); v != "" {
			if err := o.setDB(v); err != nil {
				return err
			}
		}
	}
	for name, field := range map[string]*string{"username": &o.Username, "password": &o.Password, "name": &o.ClientName} {
		if v := q.Get(name); v != "" && v != "null" {
			*field = v
		}
	}
	return nil
}

func (o *Options) setDB(text string) error {
	n, err := strconv.Atoi(text)
	if err != nil {
		return fmt.Errorf("redis url: database %q is not a number", text)
	}
	o.DB = n
	return nil
}

// addresses returns where to connect to.
func (o *Options) addresses() []string {
	switch {
	case len(o.Cluster) > 0:
		return o.Cluster
	case o.Sentinel.Master != "":
		return o.Sentinel.Addrs
	case o.Socket != "":
		return []string{o.Socket}
	}
	return []string{net.JoinHostPort(o.Host, strconv.Itoa(o.Port))}
}

// String describes the connection without its password, for messages.
func (o Options) String() string {
	o, err := o.resolve()
	if err != nil {
		return "redis (settings that can't be used)"
	}
	where := strings.Join(o.addresses(), ", ")
	switch {
	case len(o.Cluster) > 0:
		return "redis cluster at " + where
	case o.Sentinel.Master != "":
		where = fmt.Sprintf("redis %q by sentinels at %s", o.Sentinel.Master, where)
	default:
		where = "redis at " + where
	}
	if o.DB != 0 {
		where += fmt.Sprintf(", database %d", o.DB)
	}
	if o.Username != "" {
		where += fmt.Sprintf(", user %q", o.Username)
	}
	return where
}
