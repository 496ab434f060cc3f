package config

import (
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// laravelAnswer is what laravel.php prints. PHP's arrays come as objects, lists
// too, with "0", "1", … as keys.
type laravelAnswer struct {
	Version  string
	Storage  string
	App      phpArray
	Queue    phpArray
	Database phpArray
	Cache    phpArray
}

type phpArray map[string]any

// sub returns an array inside an array.
func (a phpArray) sub(path ...string) phpArray {
	for _, k := range path {
		m, _ := a[k].(map[string]any)
		a = m
	}
	return a
}

func (a phpArray) text(key string) string {
	s, _ := a[key].(string)
	return s
}

// answering turns an answer into a tree of settings.
type answering struct {
	out  *Laravel
	tree *node
}

// fromAnswer builds the configuration from what the application said.
func (l *loader) fromAnswer(a *laravelAnswer, out *Laravel) (*Config, error) {
	v, err := ParseVersion(strings.TrimSpace(a.Version))
	if err != nil {
		return nil, err
	}
	l.version = v
	b := &answering{out, &node{}}
	b.take(a.App, "app")
	b.set("app.maintenance.file", filepath.Join(a.Storage, "framework", "down"))
	b.queue(a)
	b.databases(a.Database)
	b.redis(a.Database.sub("redis"))
	b.cache(a)
	stock := stockTree(v, l.root, "")
	// Connections that the application doesn't have don't exist.
	for _, key := range [][2]string{{"queue", "connections"}, {"database", "connections"}, {"database", "redis"}, {"cache", "stores"}} {
		stock.at(key[0]).remove(key[1])
	}
	for _, key := range []string{"default", "prefix"} {
		stock.at("cache").remove(key)
	}
	l.yaml = &node{}
	l.yaml.setKey("laravel", text(v.String(), Source{Kind: FromApp, Name: "app()->version()"}))
	return l.finish(stock, b.tree.prune(nil))
}

func (b *answering) set(key, value string) {
	b.tree.setKey(key, text(value, Source{Kind: FromApp, Name: key}))
}

// take copies the settings of an array that Spool has too. Others are PHP's
// business.
func (b *answering) take(a phpArray, key string) {
	path := strings.Split(key, ".")
	for _, k := range slices.Sorted(maps.Keys(a)) {
		p := append(slices.Clone(path), k)
		t := keyType(p)
		if strings.ContainsAny(k, ".[] ") || t == nil {
			continue
		}
		src := Source{Kind: FromApp, Name: join(key, k)}
		if m, ok := a[k].(map[string]any); ok {
			switch {
			case t == stringsType || t.Kind() == reflect.String:
				b.tree.set(phpList(m, src), p...)
			case t.Kind() == reflect.Struct:
				b.take(m, join(key, k))
			}
			continue
		}
		if v := phpScalar(a[k], src); v.null || v.text != "" { // PHP's way to leave it out
			b.tree.set(v, p...)
		}
	}
}

// phpList is a list, "a,b" where the setting is one text.
func phpList(m phpArray, src Source) *node {
	var parts []string
	for i := range len(m) {
		if v := phpScalar(m[strconv.Itoa(i)], src); !v.null {
			parts = append(parts, v.text)
		}
	}
	return text(strings.Join(parts, ","), src)
}

func phpScalar(v any, src Source) *node {
	switch v := v.(type) {
	case string:
		return text(v, src)
	case bool:
		return text(strconv.FormatBool(v), src)
	case float64:
		return text(strconv.FormatFloat(v, 'f', -1, 64), src)
	case json.Number:
		return text(v.String(), src)
	}
	return null(src)
}

// drivers lists the values that a driver may have below a key.
func drivers(key string) []string {
	for _, k := range Keys() {
		if k.Key == key {
			return k.Values
		}
	}
	panic("config: no setting " + key)
}

func (b *answering) leave(key, driver string) {
	b.out.note("%s is left out: %s", key, strings.TrimSpace(fmt.Sprintf("its driver %q is not one of Spool's%s", driver, foreignName(driver))))
}

// leased are the drivers whose connections have a retry_after.
var leased = []string{"database", "redis", "beanstalkd", "memory"}

func (b *answering) queue(a *laravelAnswer) {
	known := drivers("queue.connections.*.driver")
	for _, name := range slices.Sorted(maps.Keys(a.Queue.sub("connections"))) {
		c, key := a.Queue.sub("connections", name), "queue.connections."+name
		driver := c.text("driver")
		if !slices.Contains(known, driver) {
			b.leave(key, driver)
			continue
		}
		b.take(c, key)
		if lease, ok := c["retry_after"]; !ok && slices.Contains(leased, driver) {
			b.set(key+".retry_after", "60") // the framework's own fallback
		} else if ok && lease == nil {
			b.tree.setKey(key+".retry_after", null(Source{Kind: FromApp, Name: key + ".retry_after"}))
		}
	}
	for _, c := range eachChild(b.tree.at("queue", "connections")) {
		b.failover(c)
	}
	// The framework has this one without it being configured.
	if b.tree.at("queue", "connections", "null") == nil {
		b.tree.set(text("null", Source{Kind: FromDefault}), "queue", "connections", "null", "driver")
	}
	b.defaultQueue(a.Queue)
	batching := a.Queue.sub("batching")
	b.take(batching, "queue.batching")
	if d, ok := batching["driver"].(string); ok && !slices.Contains(drivers("queue.batching.driver"), d) {
		b.set("queue.batching.driver", "database")
		b.out.note("queue.batching.driver is database: the application's %q is not one of Spool's, so its batches are not seen.", d)
	}
	f := a.Queue.sub("failed")
	b.take(f, "queue.failed")
	if d, ok := f["driver"].(string); ok && !slices.Contains(drivers("queue.failed.driver"), d) {
		b.set("queue.failed.driver", "file")
		b.out.note("queue.failed.driver is file: the application's %q is not one of Spool's.", d)
	} else if !ok && f.text("table") != "" {
		b.set("queue.failed.driver", "database") // what a missing driver means
	}
	b.set("queue.failed.path", first(f.text("path"), filepath.Join(a.Storage, "framework", "cache", "failed-jobs.json")))
}

// failover takes the connections that Spool hasn't out of a failover.
func (b *answering) failover(c *node) {
	if c.value("driver") != "failover" {
		return
	}
	all := b.tree.at("queue", "connections")
	n := c.child("connections")
	var have []string
	for _, name := range strings.Split(n.text, ",") {
		if all.child(name) != nil {
			have = append(have, name)
		} else {
			b.out.note("%s is left out of a failover: it is not one of Spool's connections.", name)
		}
	}
	if len(have) > 0 {
		c.put("connections", text(strings.Join(have, ","), n.src))
		return
	}
	for _, name := range slices.Clone(all.keys) {
		if all.fields[name] == c {
			all.remove(name)
		}
	}
}

// defaultQueue names the default connection; where Spool can't have it, the
// first one that it can.
func (b *answering) defaultQueue(q phpArray) {
	name := first(q.text("default"), "null")
	choices := []string{name, "redis", "database", "beanstalkd", "sqs"}
	if c := q.sub("connections", name); c.text("driver") == "failover" {
		choices = append(strings.Split(phpList(c.sub("connections"), Source{}).text, ","), choices...)
	}
	for _, c := range choices {
		if b.tree.at("queue", "connections", c) == nil {
			continue
		}
		if c != name {
			b.out.note("queue.default is %s: the application's default %q is not one of Spool's connections.", c, name)
		}
		b.set("queue.default", c)
		return
	}
	b.set("queue.default", "null")
	b.out.note("queue.default is null: the application has no connection that Spool can work.")
}

func (b *answering) databases(d phpArray) {
	if s := d.text("default"); s != "" {
		b.set("database.default", s)
	}
	known := drivers("database.connections.*.driver")
	for _, name := range slices.Sorted(maps.Keys(d.sub("connections"))) {
		c, key := d.sub("connections", name), "database.connections."+name
		if driver := c.text("driver"); !slices.Contains(known, driver) {
			b.leave(key, driver)
			continue
		}
		c = maps.Clone(c)
		if s, ok := c["schema"]; ok && c["search_path"] == nil { // its name up to Laravel 8
			c["search_path"] = s
		}
		if w := c.sub("write"); w != nil { // a queue writes
			maps.Copy(c, w)
			b.out.note("%s is the server that is written to.", key)
		}
		if h := c.sub("host"); h != nil { // PHP picks one at random
			c["host"] = h.text("0")
		}
		b.take(c, key)
	}
}

func (b *answering) redis(r phpArray) {
	const key = "database.redis"
	options := r.sub("options")
	b.set(key+".options.prefix", options.text("prefix"))
	if s := options.text("cluster"); s != "" {
		b.set(key+".options.cluster", s)
	}
	for _, name := range slices.Sorted(maps.Keys(r)) {
		if c := r.sub(name); c != nil && !slices.Contains([]string{"options", "clusters", "client"}, name) {
			if c.text("prefix") == "" {
				c = maps.Clone(c)
				delete(c, "prefix")
			}
			b.take(c, key+"."+name)
		}
	}
	clusters := r.sub("clusters")
	for _, name := range slices.Sorted(maps.Keys(clusters)) {
		if name == "options" || r.sub(name) != nil {
			continue
		}
		var nodes []string
		c := clusters.sub(name)
		for _, k := range slices.Sorted(maps.Keys(c)) {
			n := c.sub(k)
			if h := n.text("host"); h != "" {
				nodes = append(nodes, h+":"+phpScalar(n["port"], Source{}).text)
				for _, k := range []string{"username", "password"} {
					if s := n.text(k); s != "" {
						b.set(join(key, name, k), s)
					}
				}
			}
		}
		if len(nodes) > 0 {
			b.set(key+"."+name+".nodes", strings.Join(nodes, ","))
			b.set(key+"."+name+".cluster", "true")
		}
	}
}

func (b *answering) cache(a *laravelAnswer) {
	known := drivers("cache.stores.*.driver")
	for _, name := range slices.Sorted(maps.Keys(a.Cache.sub("stores"))) {
		c, key := a.Cache.sub("stores", name), "cache.stores."+name
		if driver := c.text("driver"); !slices.Contains(known, driver) {
			continue // stores are many; only the one in use matters
		}
		b.take(c, key)
		if n := b.tree.at("cache", "stores", name, "prefix"); n != nil && n.null {
			b.tree.at("cache", "stores", name).remove("prefix")
		}
	}
	if b.tree.at("cache", "stores", "null") == nil {
		b.tree.set(text("null", Source{Kind: FromDefault}), "cache", "stores", "null", "driver")
	}
	b.set("cache.prefix", a.Cache.text("prefix"))
	name := first(a.Cache.text("default"), "null")
	for _, c := range []string{name, "redis", "database", "file", "null"} {
		if b.tree.at("cache", "stores", c) == nil {
			continue
		}
		if c != name {
			b.out.note("cache.default is %s: Spool cannot read the application's store %q. queue:restart of PHP reaches Spool only if PHP uses the same store.", c, name)
		}
		b.set("cache.default", c)
		return
	}
}
