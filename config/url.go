package config

import (
	"net/url"
	"strconv"
	"strings"
)

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
