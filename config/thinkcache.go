package config

import (
	"path"
	"slices"
	"strconv"
	"strings"
)

// ThinkPHP's config/cache.php is understood like its config/queue.php: that is
// where queue:restart of PHP leaves its signal.

// thinkFolder is where ThinkPHP's file cache is.
const thinkFolder = "runtime/cache"

// flatCacheKeys are those of ThinkPHP 5's config/cache.php with one store.
var flatCacheKeys = []string{
	"type", "path", "prefix", "expire", "host", "port", "password", "select", "timeout", "persistent", "serialize",
	"tag_prefix", "cache_subdir", "hash_type", "data_compress",
}

// fromThinkCache rewrites ThinkPHP's words about the cache.
func (l *loader) fromThinkCache(tree *node) {
	c := tree.at("cache")
	if c == nil || c.kind != mapping {
		return
	}
	if t := c.child("type"); t != nil && t.kind == scalar {
		l.unflattenCache(c, t)
	}
	all := c.child("stores")
	if all == nil || all.kind != mapping {
		return
	}
	for _, name := range slices.Clone(all.keys) {
		s := all.fields[name]
		if s.kind == mapping && s.child("type") != nil && s.child("driver") == nil {
			l.words = s.child("type")
			if !l.thinkStore(tree, name, s) {
				if c.value("default") == name {
					l.errs = append(l.errs, &Error{l.words.src, "cache.stores." + name,
						"is a store that only PHP reads (" + l.words.text + "): Spool reads file and redis; without one of them name another cache.default, and know that queue:restart of PHP isn't heard"})
				}
				all.remove(name)
			}
		}
	}
}

// unflattenCache makes named stores of ThinkPHP 5's settings: of one store, or
// of several under the type complex.
func (l *loader) unflattenCache(c, kind *node) {
	if strings.EqualFold(kind.text, "complex") {
		c.remove("type")
		for _, name := range slices.Clone(c.keys) {
			if s := c.fields[name]; s.kind == mapping && name != "stores" {
				c.remove(name)
				c.set(s, "stores", name)
			}
		}
		c.put("default", text("default", kind.src))
		return
	}
	name := strings.ToLower(kind.text)
	s := &node{src: kind.src}
	for _, key := range flatCacheKeys {
		if v := c.child(key); v != nil {
			s.put(key, v)
			c.remove(key)
		}
	}
	c.set(s, "stores", name)
	c.put("default", text(name, kind.src))
}

// thinkStore rewrites one store; false means that Spool has none like it.
func (l *loader) thinkStore(tree *node, name string, s *node) bool {
	kind := s.child("type")
	s.remove("type")
	driver := strings.ToLower(kind.text)
	s.put("driver", text(driver, kind.src))
	for _, key := range []string{"expire", "serialize", "tag_prefix", "persistent"} {
		s.remove(key) // Spool's values say themselves how long they last
	}
	switch driver {
	case "redis":
		l.ownRedis(tree, "cache_"+name, s)
		if s.child("prefix") == nil {
			s.put("prefix", text("", thinkDefault))
		}
		return true
	case "file":
		l.thinkFiles("cache.stores."+name, s)
		return true
	}
	return false
}

// thinkFiles rewrites a store of files.
func (l *loader) thinkFiles(key string, s *node) {
	for word, want := range map[string]string{"hash_type": "md5", "data_compress": "false"} {
		v := s.child(word)
		if s.remove(word); v == nil || v.null || v.text == want || v.text == "0" {
			continue
		}
		l.errs = append(l.errs, &Error{v.src, key + "." + word, "is not understood but as " + want + ": keep the cache in Redis, or leave the setting out in ThinkPHP, else neither side's queue:restart reaches the other"})
	}
	if v := s.child("cache_subdir"); v != nil {
		s.remove("cache_subdir")
		if v.text == "false" || v.text == "0" {
			s.put("flat", text("true", v.src))
		}
	}
	folder := s.child("path")
	if folder == nil || folder.null || folder.text == "" {
		folder = text(thinkFolder, thinkDefault)
	}
	if p := s.child("prefix"); p != nil {
		s.remove("prefix")
		if p.text != "" { // a folder of its own
			folder = text(path.Join(folder.text, p.text), folder.src)
		}
	}
	s.put("path", folder)
}

// thinkVersion returns the name of a version of ThinkPHP in [Config.ThinkPHP]:
// "6.1.2" is "6". What is no version stays.
func thinkVersion(v string) string {
	parts := strings.Split(strings.TrimPrefix(v, "v"), ".")
	switch {
	case len(parts) < 2 || len(parts) > 3:
		return v
	case parts[0] == "6" || parts[0] == "8":
		return parts[0]
	case parts[0] != "5" || len(parts) == 2:
		return v
	case parts[1] == "0":
		if n, err := strconv.Atoi(parts[2]); err == nil && n <= 10 {
			return "5.0.10"
		}
	}
	return parts[0] + "." + parts[1]
}
