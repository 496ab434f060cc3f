package config

import (
	"reflect"
	"slices"
	"strings"
)

// keyType returns the type of the setting at a path, nil if there is none. Any
// name stands for the names in a map.
func keyType(path []string) reflect.Type { return typeBelow(reflect.TypeFor[Config](), path) }

func typeBelow(t reflect.Type, path []string) reflect.Type {
	if len(path) == 0 {
		return t
	}
	if t.Kind() == reflect.Map && t != textMapType {
		return typeBelow(t.Elem().Elem(), path[1:])
	}
	if t.Kind() != reflect.Struct || t == versionType {
		return nil
	}
	// The longest key that fits: database.redis.options before database.redis.
	var best *field
	fields := fieldsOf(t)
	for i := range fields {
		f := &fields[i]
		if len(f.path) <= len(path) && slices.Equal(f.path, path[:len(f.path)]) && (best == nil || len(f.path) > len(best.path)) {
			best = f
		}
	}
	if best == nil {
		return nil
	}
	return typeBelow(best.typ, path[len(best.path):])
}

// prune drops what leaves a setting open: blank values of anything but text,
// and null where null means nothing. A null driver or default name is the word
// "null", which Laravel means by it.
func (n *node) prune(path []string) *node {
	if n.kind != mapping {
		return n
	}
	out := &node{src: n.src}
	for _, k := range n.keys {
		c, p := n.fields[k], append(slices.Clone(path), k)
		if c.kind == mapping {
			out.put(k, c.prune(p))
			continue
		}
		t := keyType(p)
		switch {
		case c.kind != scalar || t == nil:
		case c.null && t.Kind() == reflect.Struct && len(p) > 1 && isNamed(p):
			c = &node{src: c.src} // "name:" with nothing behind it
		case c.null && (k == "driver" || k == "default" && len(p) == 2):
			c = text("null", c.src)
		case c.null && t.Kind() != reflect.Pointer && t.Kind() != reflect.String && t.Kind() != reflect.Slice,
			!c.null && t.Kind() != reflect.String && t.Kind() != reflect.Slice && t != versionType && blank(c.text):
			continue
		}
		out.put(k, c)
	}
	return out
}

// isNamed says whether a path ends in a name that the user chose.
func isNamed(path []string) bool {
	t := keyType(path[:len(path)-1])
	return t != nil && t.Kind() == reflect.Map
}

// KeyInfo describes one setting, for documentation.
type KeyInfo struct {
	Key     string   // with * for the names in a map, [] for the items of a list
	Type    string   // text, number, yes/no, seconds, list, …
	Drivers []string // the drivers it belongs to; nil is all
	Values  []string // the allowed values; nil is any
	Null    bool     // null means something of its own
	Secret  bool
	Env     []string // the variables that set it
	Field   string   // of the Go struct, e.g. Connection.RetryAfter
}

// Keys lists every setting there is, in the order of [Config].
func Keys() []KeyInfo {
	vars := map[string][]string{}
	for _, b := range append(bindings(), binding{below("database.connections", "url", "sqlite", "mysql", "mariadb", "pgsql"), databaseURLs()}) {
		for _, key := range b.keys {
			for _, e := range b.names {
				star := starred(key)
				if !slices.Contains(vars[star], e.name) {
					vars[star] = append(vars[star], e.name)
				}
			}
		}
	}
	return keysOf(reflect.TypeFor[Config](), "", vars)
}

func keysOf(t reflect.Type, prefix string, vars map[string][]string) []KeyInfo {
	var out []KeyInfo
	for _, f := range fieldsOf(t) {
		key := join(prefix, f.path...)
		switch ft := f.typ; {
		case ft.Kind() == reflect.Struct && ft != versionType:
			out = append(out, keysOf(ft, key, vars)...)
		case ft.Kind() == reflect.Map && ft != textMapType:
			out = append(out, keysOf(ft.Elem().Elem(), join(key, "*"), vars)...)
		case ft.Kind() == reflect.Slice && ft.Elem().Kind() == reflect.Struct:
			out = append(out, keysOf(ft.Elem(), key+"[]", vars)...)
		default:
			k := KeyInfo{Key: key, Type: typeName(ft), Secret: f.secret != "", Env: vars[key], Null: ft.Kind() == reflect.Pointer,
				Field: t.Name() + "." + t.Field(f.index).Name}
			if s := f.tag.Get("for"); s != "" {
				k.Drivers = strings.Split(s, ",")
			}
			if s := f.tag.Get("enum"); s != "" {
				k.Values = strings.Split(s, ",")
			}
			out = append(out, k)
		}
	}
	return out
}

// starred replaces the names in a key that are the user's by *.
func starred(key string) string {
	p := strings.Split(key, ".")
	switch {
	case len(p) >= 4 && p[2] != "options" && slices.Contains([]string{"queue.connections", "database.connections", "database.redis", "cache.stores"}, p[0]+"."+p[1]):
		p[2] = "*"
	}
	return strings.Join(p, ".")
}

func typeName(t reflect.Type) string {
	switch {
	case t.Kind() == reflect.Pointer:
		return typeName(t.Elem())
	case t == durationType:
		return "seconds"
	case t == versionType:
		return "version"
	case t == textMapType:
		return "mapping"
	case t == durationsType:
		return "list of seconds"
	case t == stringsType:
		return "list"
	}
	return map[reflect.Kind]string{reflect.String: "text", reflect.Int: "number", reflect.Bool: "yes/no"}[t.Kind()]
}

// nearest returns the known names that s may have meant, the best first, at
// most three.
func nearest(s string, known []string) []string {
	type match struct {
		name string
		d    int
	}
	var found []match
	low := strings.ToLower(s)
	for _, k := range known {
		lk := strings.ToLower(k)
		d := distance(low, lk)
		switch {
		case d <= 1+min(len(s), len(k))/4:
		case sameWords(low, lk):
			d = 4
		default:
			continue
		}
		found = append(found, match{k, d})
	}
	slices.SortStableFunc(found, func(a, b match) int { return a.d - b.d })
	var names []string
	for _, m := range found {
		names = append(names, m.name)
	}
	return names[:min(len(names), 3)]
}

// sameWords says whether the words of one name, split at _, are all words of
// the other: QUEUE_REDIS_RETRY_AFTER and REDIS_QUEUE_RETRY_AFTER.
func sameWords(a, b string) bool {
	wa, wb := strings.Split(a, "_"), strings.Split(b, "_")
	if len(wa) > len(wb) {
		wa, wb = wb, wa
	}
	for _, w := range wa {
		if !slices.Contains(wb, w) {
			return false
		}
	}
	return len(wa) > 1
}

// distance is the number of letters to add, drop, change or swap with their
// neighbour.
func distance(a, b string) int {
	x, y := []rune(a), []rune(b)
	if len(x) > 64 || len(y) > 64 {
		return max(len(x), len(y))
	}
	var older []int
	prev := make([]int, len(y)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(x); i++ {
		row := make([]int, len(y)+1)
		row[0] = i
		for j := 1; j <= len(y); j++ {
			cost := 1
			if x[i-1] == y[j-1] {
				cost = 0
			}
			row[j] = min(prev[j]+1, row[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] {
				row[j] = min(row[j], older[j-2]+1)
			}
		}
		older, prev = prev, row
	}
	return prev[len(y)]
}

// didYouMean renders a hint for an unknown name: the nearest known ones and,
// where they are few, all known ones.
func didYouMean(s string, known []string) string {
	var b strings.Builder
	if n := nearest(s, known); len(n) > 0 {
		b.WriteString("; did you mean " + strings.Join(n, " or ") + "?")
	}
	if len(known) > 0 {
		b.WriteString(" (known: " + strings.Join(known, ", ") + ")")
	}
	return b.String()
}
