package config

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// ThinkPHP's settings are understood where they stand in spool.yaml: those of
// its config/queue.php, whose names differ from Laravel's and by version, and
// the variables of its .env, which has sections.

// thinkDefault is the source of what think-queue takes where nothing is said.
var thinkDefault = Source{Kind: FromDefault, Name: "think-queue"}

// flatKeys are those of ThinkPHP 5's config/queue.php, which has one connection
// and no names.
var flatKeys = []string{
	"connector", "expire", "default", "host", "port", "password", "select", "timeout", "persistent", "table", "dsn",
	"token", "project_id", "protocol", "api_version", "max_retries", "profile", "version", "namespace",
}

// fromThink rewrites ThinkPHP's words in a tree into those of [Config].
func (l *loader) fromThink(tree *node) {
	l.fromThinkCache(tree)
	q := tree.at("queue")
	if q == nil || q.kind != mapping {
		return
	}
	if c := q.child("connector"); c != nil {
		l.unflatten(q, c)
	}
	if all := q.child("connections"); all != nil && all.kind == mapping {
		for _, name := range all.keys {
			if c := all.fields[name]; c.kind == mapping {
				l.thinkConnection(tree, name, c)
			}
		}
	}
	if f := q.child("failed"); f != nil && f.kind == mapping && f.child("type") != nil && f.child("driver") == nil {
		t := f.child("type")
		f.remove("type")
		switch t.text {
		case "none", "":
			f.put("driver", text("null", t.src))
		case "database":
			f.put("driver", text("think", t.src))
		default:
			l.errs = append(l.errs, &Error{t.src, "queue.failed.type", "is a class of PHP: say none, database, or one of Spool's own as driver"})
		}
	}
}

// unflatten makes a named connection of ThinkPHP 5's one.
func (l *loader) unflatten(q, connector *node) {
	name := strings.ToLower(connector.text)
	if connector.kind != scalar || strings.ContainsAny(name, `\. `) {
		name = "think"
	}
	c := &node{src: connector.src}
	for _, key := range flatKeys {
		if v := q.child(key); v != nil {
			c.put(key, v)
			q.remove(key)
		}
	}
	q.set(c, "connections", name)
	q.put("default", text(name, connector.src))
}

// thinkConnection rewrites one connection, if it is one of ThinkPHP's.
func (l *loader) thinkConnection(tree *node, name string, c *node) {
	key := "queue.connections." + name
	fail := func(n *node, what string) { l.errs = append(l.errs, &Error{n.src, key, what}) }
	word, kind := c.child("connector"), c.child("type")
	if !slices.Contains([]string{"tq1", "tq3-legacy", "tq3"}, c.value("profile")) {
		switch {
		case word != nil:
			c.put("profile", text("tq1", word.src).derive())
		case kind != nil:
			fail(kind, "has ThinkPHP's type but no profile: say which think-queue is beside us, profile: tq3 (3.0.5 and later) or tq3-legacy (3.0.2 to 3.0.4)")
			c.remove("type")
			c.put("driver", text(strings.ToLower(kind.text), kind.src))
			return
		default:
			return
		}
	}
	if word == nil {
		word = kind
	}
	c.remove("connector")
	c.remove("type")
	if word != nil && c.child("driver") == nil {
		d := strings.ToLower(word.text)
		switch {
		case d == "topthink":
			d = "null"
			fail(word, "has the connector Topthink, whose service pushes jobs to a URL: that is not supported, and no version of think-queue that had it worked; have Spool call a URL instead (jobs: [{name: …, url: …}], see docs/thinkphp.md)")
		case strings.Contains(d, `\`):
			d = "null"
			fail(word, "names a class of PHP as its driver: Spool works redis, database and sync")
		}
		c.put("driver", text(d, word.src))
	}
	rename(c, "default", "queue")
	if old := c.child("expire"); old != nil && c.value("profile") != "tq1" {
		fail(old, "says expire, which think-queue 3 doesn't read (its jobs are taken again after 60 s, or retry_after): say retry_after")
	}
	rename(c, "expire", "retry_after")
	if lease := c.child("retry_after"); lease == nil && (c.value("driver") == "redis" || c.value("driver") == "database") {
		c.put("retry_after", text("60", thinkDefault))
	}
	c.remove("persistent") // connections always are
	if d := c.child("dsn"); d != nil {
		c.remove("dsn")
		if d.kind != scalar || d.text != "" {
			l.warn(key, d.src, "dsn is read by no think-queue since 2.0.2: the database is database.connections")
		}
	}
	if c.value("version") == "" && l.lock.queue != "" {
		c.put("version", text(l.lock.queue, Source{Kind: FromFile, File: l.lock.file}))
	}
	if c.value("driver") == "redis" {
		l.ownRedis(tree, "queue_"+name, c)
	}
}

// ownRedis makes a Redis connection of the server's settings, which stand in
// the queue connection or the cache store itself in ThinkPHP.
func (l *loader) ownRedis(tree *node, own string, c *node) {
	r := &node{src: c.src}
	for _, k := range [][2]string{{"host", "host"}, {"port", "port"}, {"password", "password"}, {"select", "database"}, {"timeout", "timeout"}} {
		if v := c.child(k[0]); v != nil {
			r.put(k[1], v)
			c.remove(k[0])
		}
	}
	if len(r.keys) == 0 || c.child("connection") != nil {
		return
	}
	r.put("prefix", text("", thinkDefault))
	tree.set(r, "database", "redis", own)
	c.put("connection", text(own, r.fields[r.keys[0]].src).derive())
}

func rename(n *node, from, to string) {
	if v := n.child(from); v != nil && n.child(to) == nil {
		n.remove(from)
		n.put(to, v)
	}
}

// thinkStock lays ThinkPHP's defaults over Spool's own.
func thinkStock(stock *node, version, root string) *node {
	src := Source{Kind: FromDefault, Name: "ThinkPHP " + version}
	over := &node{}
	failed := "think" // its table failed_jobs
	if strings.HasPrefix(version, "5") {
		failed = "file" // think-queue 1 and 2 have no table
	}
	for key, value := range map[string]string{
		"queue.failed.driver": failed, "queue.failed.path": filepath.Join(root, "runtime", "spool-failed.json"),
		"app.timezone": "Asia/Shanghai", "cache.default": "file", "cache.prefix": "", "database.redis.options.prefix": "", "database.redis.cache.database": "0", "cache.stores.redis.lock_connection": "",
		"database.default": "mysql", "database.connections.mysql.username": "root", "database.connections.mysql.charset": "utf8mb4",
	} {
		over.setKey(key, text(value, src))
	}
	return stock.merge(over)
}

// thinkBindings lists the variables of ThinkPHP's own config files, as they are
// called with their section in front: HOSTNAME in the section DATABASE is
// DATABASE_HOSTNAME (6), DB_HOST needs none (8). Those of Redis and the queue are what
// applications commonly use: ThinkPHP itself has no variables for them.
func thinkBindings() []binding {
	const db, rd = "database.connections", "database.redis"
	servers, stock := []string{"mysql", "mariadb", "pgsql"}, []string{"default", "cache"}
	names := func(list ...string) []envName {
		out := make([]envName, len(list))
		for i, n := range list {
			out[i] = envName{name: n, plain: true}
		}
		return out
	}
	return []binding{
		{[]string{"app.timezone"}, names("APP_DEFAULT_TIMEZONE", "DEFAULT_TIMEZONE")},
		{[]string{"queue.default"}, names("QUEUE_DEFAULT", "QUEUE_TYPE", "QUEUE_CONNECTION")},
		{[]string{"database.default"}, names("DATABASE_DRIVER", "DATABASE_TYPE", "DB_DRIVER", "DB_TYPE")},
		{below(db, "host", servers...), names("DATABASE_HOSTNAME", "DB_HOST")},
		{below(db, "port", servers...), names("DATABASE_HOSTPORT", "DB_PORT")},
		{below(db, "database", append([]string{"sqlite"}, servers...)...), names("DATABASE_DATABASE", "DB_NAME")},
		{below(db, "username", servers...), names("DATABASE_USERNAME", "DB_USER")},
		{below(db, "password", servers...), names("DATABASE_PASSWORD", "DB_PASS")},
		{below(db, "charset", servers...), names("DATABASE_CHARSET", "DB_CHARSET")},
		{below(db, "prefix", append([]string{"sqlite"}, servers...)...), names("DATABASE_PREFIX", "DB_PREFIX")},
		{below(rd, "host", stock...), names("REDIS_HOST", "REDIS_HOSTNAME")},
		{below(rd, "port", stock...), names("REDIS_PORT", "REDIS_HOSTPORT")},
		{below(rd, "password", stock...), names("REDIS_PASSWORD")},
		{below(rd, "database", stock...), names("REDIS_SELECT", "REDIS_DB")},
		{[]string{"cache.default"}, names("CACHE_DRIVER", "CACHE_TYPE")},
		{[]string{"cache.prefix"}, names("CACHE_PREFIX")},
	}
}

// thinkLock is what composer.lock says of ThinkPHP.
type thinkLock struct{ file, framework, queue string }

// readThinkLock reads it; a file that isn't there or says nothing is empty.
func readThinkLock(path, shown string) (t thinkLock) {
	b, err := os.ReadFile(filepath.Clean(path))
	if err != nil {
		return t
	}
	var lock struct {
		Packages []struct{ Name, Version string }
	}
	if json.Unmarshal(b, &lock) != nil {
		return t // findVersion says so
	}
	t.file = shown
	for _, p := range lock.Packages {
		switch v := strings.TrimPrefix(p.Version, "v"); p.Name {
		case "topthink/framework":
			t.framework = v
		case "topthink/think-queue":
			if released.MatchString(v) {
				t.queue = v
			}
		}
	}
	return t
}

var (
	released   = regexp.MustCompile(`^\d+\.\d+\.\d+$`)
	iniSection = regexp.MustCompile(`(?m)^[ \t]*\[([A-Za-z_][A-Za-z0-9_]*)\][ \t]*\r?$`)
	iniName    = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.]*$`)
)

// findThink decides whether a ThinkPHP application is involved, and which.
func (l *loader) findThink() {
	said := l.flags.at("thinkphp")
	if said == nil {
		said = l.yaml.at("thinkphp")
	}
	if v, ok := l.env["SPOOL_THINKPHP"]; ok && l.flags.at("thinkphp") == nil {
		said = text(v.value, v.src)
	}
	switch {
	case said != nil:
		l.think = said
	case l.yaml.at("laravel") != nil || l.flags.at("laravel") != nil || l.env.has("SPOOL_LARAVEL"):
	case l.lock.framework != "":
		l.think = text(l.lock.framework, Source{Kind: FromFile, File: l.lock.file})
	case l.sections:
		l.think = text("6", Source{Kind: FromDefault, Name: "the .env file has sections"})
	}
	if l.think != nil && (l.think.null || l.think.text == "none" || l.think.text == "") {
		l.think = nil
	}
	if l.think == nil {
		if l.words != nil {
			l.errs = append(l.errs, &Error{l.words.src, "cache", "says type, as ThinkPHP does: say thinkphp: 5.0, 5.1, 6 or 8 too, since its versions write differently"})
		}
		return
	}
	l.think = text(thinkVersion(l.think.text), l.think.src)
	for name, v := range l.env { // how ThinkPHP calls variables of the process
		if bare, ok := strings.CutPrefix(name, "PHP_"); ok && v.src.File == "" {
			if have, taken := l.env[bare]; !taken || have.src.File != "" {
				l.env[bare] = v
			}
		}
	}
}

// parseSections reads a .env file of ThinkPHP, as PHP's parse_ini_file does: a
// variable's name is that of its section and its own, in capitals.
func parseSections(content string) ([]dotenvEntry, error) {
	var entries []dotenvEntry
	section := ""
	for i, line := range strings.Split(strings.TrimPrefix(content, "\ufeff"), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == ';' || line[0] == '#' {
			continue
		}
		if m := iniSection.FindStringSubmatch(line); m != nil {
			section = m[1] + "_"
			continue
		}
		name, value, found := strings.Cut(line, "=")
		if name = strings.TrimSpace(name); !found || !iniName.MatchString(name) {
			return nil, &dotenvError{i + 1, "neither [SECTION] nor NAME = value"}
		}
		value, ok := iniValue(strings.TrimSpace(value))
		if !ok {
			return nil, &dotenvError{i + 1, name + ": a missing closing quote"}
		}
		name = strings.ToUpper(strings.ReplaceAll(section+name, ".", "_"))
		entries = append(entries, dotenvEntry{name: name, value: value, line: i + 1})
	}
	return entries, nil
}

// iniValue takes the quotes or the comment off a value.
func iniValue(s string) (string, bool) {
	if s != "" && (s[0] == '"' || s[0] == '\'') {
		end := strings.IndexByte(s[1:], s[0])
		if end < 0 {
			return "", false
		}
		return s[1 : 1+end], true
	}
	if i := strings.IndexByte(s, ';'); i >= 0 {
		s = strings.TrimSpace(s[:i])
	}
	return s, true
}
