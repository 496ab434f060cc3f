package config

import (
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
)

// completer turns what the user set into a whole configuration: defaults by
// driver, URLs taken apart, names that follow from others, absolute paths.
type completer struct {
	*loader
	stock, user *node
	src         Source // of defaults
	errs        []error
}

func (c *completer) fail(n *node, key, format string, args ...any) {
	c.errs = append(c.errs, &Error{n.src, key, fmt.Sprintf(format, args...)})
}

func (c *completer) complete() (*node, []error) {
	tree := c.stock.merge(c.user)
	c.section(tree, "database", "connections", c.database)
	c.section(tree, "database", "redis", c.redis)
	c.section(tree, "queue", "connections", func(name string, user *node) *node {
		return c.byDriver("queue.connections."+name, c.stock.at("queue", "connections", name), user, driverDefaults)
	})
	c.section(tree, "cache", "stores", func(name string, user *node) *node {
		folder := (&stock{v: c.version, root: c.root}).pathOf("storage/framework/cache/data", ".spool/cache")
		if c.think != nil {
			folder = filepath.Join(c.root, filepath.FromSlash(thinkFolder))
		}
		return c.byDriver("cache.stores."+name, c.stock.at("cache", "stores", name), user, func(d string, src Source) *node { return storeDefaults(d, folder, src) })
	})
	c.inherit(tree)
	c.paths(tree, valueOf(&Config{}).Type(), nil)
	return tree, c.errs
}

// section completes the named settings below two keys, one by one.
func (c *completer) section(tree *node, a, b string, complete func(name string, user *node) *node) {
	all := tree.at(a, b)
	if all == nil || all.kind != mapping {
		return
	}
	for _, name := range slices.Clone(all.keys) {
		if a == "database" && b == "redis" && name == "options" {
			continue
		}
		user := c.user.at(a, b, name)
		if user != nil && user.kind != mapping {
			continue // decoding says what is wrong
		}
		if user == nil {
			user = &node{}
		}
		tree.set(complete(name, user), a, b, name)
	}
}

// byDriver lays the user's settings on the stock ones if they are of the same
// driver, and these on the driver's defaults.
func (c *completer) byDriver(key string, stock, user *node, defaults func(string, Source) *node) *node {
	driver := user.value("driver")
	if driver == "" || driver == stock.value("driver") {
		driver = stock.value("driver")
		user = stock.merge(user)
	}
	out := defaults(driver, c.src).merge(user)
	if driver == "" {
		c.errs = append(c.errs, &Error{user.src, key, "has no driver: say driver: …"})
	}
	return out
}

// database completes a database connection.
func (c *completer) database(name string, user *node) *node {
	stock := c.stock.at("database", "connections", name)
	failed := len(c.errs)
	parts := c.url(stock.merge(user), "database", "connections", name)
	if parts != nil {
		user = user.merge(parts)
	}
	if len(c.errs) > failed && user.value("driver") == "" {
		return stock.merge(user) // the driver was in the URL
	}
	out := c.byDriver("database.connections."+name, stock, user, databaseDefaults)
	if c := out.child("collation"); c != nil && c.src.Kind == FromDefault && !strings.HasPrefix(c.text, out.value("charset")+"_") {
		out.put("collation", text("", c.src)) // that of the charset
	}
	if out.value("driver") == "sqlite" {
		c.sqliteFile(out)
	}
	return out
}

// url takes the URL of a connection apart; its parts go before settings of
// their own, as in Laravel.
func (c *completer) url(n *node, path ...string) *node {
	key := join("", path...) + ".url"
	u := n.child("url")
	if u == nil || u.kind != scalar || u.null || blank(u.text) {
		return nil
	}
	parts, wrong := urlParts(u.text)
	if wrong != "" {
		c.fail(u, key, "%s", wrong)
		return nil
	}
	if p, ok := parts["port"]; ok && !isPort(p) {
		c.fail(u, key, "has a bad port")
		return nil
	}
	out := &node{src: u.src}
	for k, v := range parts {
		// Parameters of the query that Spool has no setting for are for PHP's
		// driver.
		if k == "driver" || keyType(append(slices.Clone(path), k)) != nil {
			out.put(k, &node{kind: scalar, text: v, derived: true, src: u.src})
		}
	}
	return out
}

// sqliteFile makes the file's path absolute.
func (c *completer) sqliteFile(n *node) {
	db := n.child("database")
	if db == nil || db.kind != scalar || db.text == "" || db.text == ":memory:" || strings.HasPrefix(db.text, "file:") {
		return
	}
	n.put("database", &node{kind: scalar, text: c.abs(db), derived: db.derived, src: db.src})
}

// abs resolves a path relative to the file it was written in.
func (c *completer) abs(n *node) string {
	if filepath.IsAbs(n.text) {
		return n.text
	}
	dir, ok := c.dirs[n.src.File]
	if !ok {
		dir = c.dir
	}
	return filepath.Join(dir, filepath.FromSlash(n.text))
}

// redis completes a Redis connection.
func (c *completer) redis(name string, user *node) *node {
	n := c.stock.at("database", "redis", name).merge(user)
	if n == nil {
		n = &node{}
	}
	if parts := c.url(n, "database", "redis", name); parts != nil {
		if d := parts.child("driver"); d != nil {
			parts.remove("driver")
			switch d.text {
			case "tcp", "tls", "unix":
				parts.put("scheme", d)
			default:
				c.fail(n.child("url"), "database.redis."+name+".url", "has the scheme %q: write redis://, rediss:// or unix://", d.text)
			}
		}
		for _, k := range []string{"username", "password"} {
			if parts.value(k) == "null" { // Laravel's word for none
				parts.remove(k)
			}
		}
		n = n.merge(parts)
	}
	n = redisDefaults(c.src).merge(n)
	if h := n.child("host"); h != nil && h.kind == scalar {
		splitHost(n, h)
	}
	if nodes := n.child("nodes"); nodes != nil && (len(nodes.list) > 0 || nodes.text != "") && n.child("cluster") == nil {
		n.put("cluster", text("true", nodes.src).derive())
	}
	if n.child("prefix") == nil {
		if p := c.stock.merge(c.user).at("database", "redis", "options", "prefix"); p != nil {
			n.put("prefix", p.derive())
		}
	}
	return n
}

// splitHost understands the forms of REDIS_HOST that PHP's clients take:
// tls://host, unix:///path and /path.
func splitHost(n, h *node) {
	scheme, rest, ok := strings.Cut(h.text, "://")
	switch {
	case strings.HasPrefix(h.text, "/"):
		scheme, rest = "unix", h.text
	case !ok:
		if n.value("unix_socket") != "" {
			n.put("scheme", text("unix", n.child("unix_socket").src))
		}
		return
	case scheme == "rediss":
		scheme = "tls"
	case scheme == "redis":
		scheme = "tcp"
	}
	n.put("scheme", text(scheme, h.src))
	if scheme == "unix" {
		n.put("unix_socket", text(rest, h.src))
		n.remove("host")
		return
	}
	n.put("host", text(rest, h.src))
}

// inherit fills in the names that follow from others.
func (c *completer) inherit(tree *node) {
	def := tree.at("database", "default")
	follow := func(n *node, keys ...string) {
		for _, key := range keys {
			if n != nil && n.kind == mapping && n.value(key) == "" {
				n.put(key, def.derive())
			}
		}
	}
	for _, q := range eachChild(tree.at("queue", "connections")) {
		if q.value("driver") == "database" {
			follow(q, "connection")
		}
	}
	if d := tree.value("queue", "failed", "driver"); d == "database" || d == "database-uuids" || d == "think" {
		follow(tree.at("queue", "failed"), "database")
	}
	if tree.value("queue", "batching", "driver") == "database" {
		follow(tree.at("queue", "batching"), "database")
	}
	prefix := tree.at("cache", "prefix")
	for _, s := range eachChild(tree.at("cache", "stores")) {
		switch s.value("driver") {
		case "database":
			follow(s, "connection")
		case "redis":
		default:
			continue
		}
		if s.child("lock_connection") == nil || s.value("lock_connection") == "" {
			s.put("lock_connection", s.child("connection").derive())
		}
		if s.child("prefix") == nil && prefix != nil {
			p := prefix.derive()
			if s.value("driver") == "redis" && p.text != "" && c.version.Before(11, 0) {
				p.text += ":"
			}
			s.put("prefix", p)
		}
	}
	if m := tree.at("app", "maintenance"); m.value("driver") == "cache" && m.value("store") == "" {
		m.put("store", tree.at("cache", "default").derive())
	}
}

func eachChild(n *node) []*node {
	if n == nil {
		return nil
	}
	var out []*node
	for _, k := range n.keys {
		if c := n.fields[k]; c.kind == mapping {
			out = append(out, c)
		}
	}
	return out
}

// paths makes the values of path fields absolute.
func (c *completer) paths(n *node, t reflect.Type, at []string) {
	if n == nil || t == nil {
		return
	}
	switch {
	case t.Kind() == reflect.Struct && t != versionType:
		for _, f := range fieldsOf(t) {
			child := n.at(f.path...)
			if f.tag.Get("path") != "" && child != nil && child.kind == scalar && child.text != "" {
				n.set(&node{kind: scalar, text: c.abs(child), derived: child.derived, src: child.src}, f.path...)
				continue
			}
			c.paths(child, f.typ, append(at, f.path...))
		}
	case t.Kind() == reflect.Map && t != textMapType:
		for _, child := range eachChild(n) {
			c.paths(child, t.Elem().Elem(), at)
		}
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct:
		for _, child := range n.list {
			c.paths(child, t.Elem(), at)
		}
	}
}

func valueOf(cfg *Config) reflect.Value { return reflect.ValueOf(cfg).Elem() }
