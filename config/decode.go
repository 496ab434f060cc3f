package config

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// decoder gives the merged tree the types of Config. The structs' tags are the
// schema: key is the name (dotted at the top level), for lists the drivers a
// field belongs to, enum its allowed values, secret and path mark fields.
type decoder struct {
	cfg  *Config
	own  []string // drivers of the program's own
	errs []error
}

// otherDriver stands for drivers of the program's own in the tags of fields.
const otherDriver = "other"

func (d *decoder) fail(n *node, key, format string, args ...any) {
	src := Source{}
	if n != nil {
		src = n.src
	}
	d.errs = append(d.errs, &Error{Source: src, Key: key, Err: fmt.Sprintf(format, args...)})
}

var (
	durationType  = reflect.TypeFor[time.Duration]()
	versionType   = reflect.TypeFor[Version]()
	stringsType   = reflect.TypeFor[[]string]()
	durationsType = reflect.TypeFor[[]time.Duration]()
	textMapType   = reflect.TypeFor[map[string]string]()
)

// field is one field of a struct with its tags.
type field struct {
	index  int
	path   []string // of its key
	typ    reflect.Type
	tag    reflect.StructTag
	secret string
}

// fieldsOf lists the fields of a struct that are settings.
func fieldsOf(t reflect.Type) []field {
	var out []field
	for i := range t.NumField() {
		f := t.Field(i)
		if key := f.Tag.Get("key"); f.IsExported() && key != "-" {
			out = append(out, field{i, strings.Split(key, "."), f.Type, f.Tag, f.Tag.Get("secret")})
		}
	}
	return out
}

// appliesTo says whether the field is one of a driver; driver "" has them all.
func (f *field) appliesTo(driver string) bool {
	drivers := f.tag.Get("for")
	return drivers == "" || driver == "" || slices.Contains(strings.Split(drivers, ","), driver)
}

// join appends a name to a key.
func join(key string, names ...string) string {
	for _, n := range names {
		if key != "" {
			key += "."
		}
		key += n
	}
	return key
}

// object decodes a mapping into a struct.
func (d *decoder) object(v reflect.Value, n *node, key string) {
	if n.kind == scalar && n.null {
		n = &node{src: n.src}
	}
	if n.kind != mapping {
		d.fail(n, key, "must be a mapping (key: value), not %s", n.kind)
		return
	}
	fields := fieldsOf(v.Type())
	driver := n.value("driver")
	if slices.Contains(d.own, driver) {
		driver = otherDriver
	}
	d.unknown(n, key, fields, nil, driver)
	for i := range fields {
		f := &fields[i]
		c := n.at(f.path...)
		if c == nil {
			continue
		}
		if !f.appliesTo(driver) {
			// Variables and defaults set what they can for any driver; what
			// somebody wrote for this one must fit it.
			if c.src.Kind == FromFile || c.src.Kind == FromFlag {
				d.fail(c, join(key, f.path...), "is no setting of the driver %s, only of %s", n.value("driver"), strings.NewReplacer(",", ", ", otherDriver, "drivers of the program's own").Replace(f.tag.Get("for")))
			}
			continue
		}
		d.value(v.Field(f.index), c, join(key, f.path...), f, reservedBelow(f, fields))
	}
}

// reservedBelow lists the names inside a map field that belong to other fields:
// options inside database.redis.
func reservedBelow(f *field, fields []field) []string {
	var names []string
	for _, o := range fields {
		if len(o.path) == len(f.path)+1 && slices.Equal(o.path[:len(f.path)], f.path) {
			names = append(names, o.path[len(f.path)])
		}
	}
	return names
}

// unknown reports the keys of n that no field has, going down the dotted ones.
func (d *decoder) unknown(n *node, key string, fields []field, prefix []string, driver string) {
	var known, fitting []string // fitting the driver
	for i := range fields {
		f := &fields[i]
		if len(f.path) > len(prefix) && slices.Equal(f.path[:len(prefix)], prefix) {
			if k := f.path[len(prefix)]; !slices.Contains(known, k) {
				known = append(known, k)
				if f.appliesTo(driver) {
					fitting = append(fitting, k)
				}
			}
		}
	}
	for _, k := range n.keys {
		c := n.fields[k]
		if !slices.Contains(known, k) {
			d.fail(c, key, "unknown key %q%s", k, didYouMean(k, fitting))
			continue
		}
		sub := append(slices.Clone(prefix), k)
		whole := slices.ContainsFunc(fields, func(f field) bool { return slices.Equal(f.path, sub) })
		switch {
		case whole:
		case c.kind == mapping:
			d.unknown(c, join(key, k), fields, sub, driver)
		case !c.null:
			d.fail(c, join(key, k), "must be a mapping (key: value), not %s", c.kind)
		}
	}
}

// value decodes n into v, of any type that Config has.
func (d *decoder) value(v reflect.Value, n *node, key string, f *field, reserved []string) {
	t := v.Type()
	switch {
	case t.Kind() == reflect.Struct && t != versionType:
		d.object(v, n, key)
	case t.Kind() == reflect.Map && t != textMapType:
		d.named(v, n, key, reserved)
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct:
		d.sequence(v, n, key)
	default:
		if d.leaf(v, n, key, f) {
			d.cfg.note(key, n, f)
		}
	}
}

// named decodes a mapping of names to structs.
func (d *decoder) named(v reflect.Value, n *node, key string, reserved []string) {
	if n.kind != mapping {
		if !n.null {
			d.fail(n, key, "must be a mapping (name: settings), not %s", n.kind)
		}
		return
	}
	v.Set(reflect.MakeMap(v.Type()))
	for _, name := range slices.Sorted(maps.Keys(n.fields)) {
		if slices.Contains(reserved, name) {
			continue
		}
		c := n.fields[name]
		if name == "" || strings.ContainsAny(name, ".[] \t\n") {
			d.fail(c, key, "%.40q is no good name: leave out dots, brackets and spaces", name)
			continue
		}
		item := reflect.New(v.Type().Elem().Elem())
		item.Elem().FieldByName("Name").SetString(name)
		d.object(item.Elem(), c, join(key, name))
		v.SetMapIndex(reflect.ValueOf(name), item)
	}
}

// sequence decodes a list of structs.
func (d *decoder) sequence(v reflect.Value, n *node, key string) {
	if n.kind != sequence {
		if !n.null {
			d.fail(n, key, "must be a list (- …), not %s", n.kind)
		}
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(n.list), len(n.list)))
	for i, c := range n.list {
		d.object(v.Index(i), c, fmt.Sprintf("%s[%d]", key, i))
	}
}

// leaf decodes a value without keys of its own. It reports whether it set v.
func (d *decoder) leaf(v reflect.Value, n *node, key string, f *field) bool {
	t := v.Type()
	switch {
	case n.kind == scalar && n.null:
		return true // the zero value: nil where null means something
	case t == stringsType, t == durationsType:
		return d.listLeaf(v, n, key, f)
	case t == textMapType:
		return d.textMap(v, n, key)
	case n.kind != scalar:
		d.fail(n, key, "must be a single value, not %s", n.kind)
		return false
	case t.Kind() == reflect.Pointer:
		p := reflect.New(t.Elem())
		if !d.leaf(p.Elem(), n, key, f) {
			return false
		}
		v.Set(p)
		return true
	}
	if wrong := setScalar(v, n.text); wrong != "" {
		if f.secret == "" {
			wrong = fmt.Sprintf("%.60q %s", n.text, wrong)
		}
		d.fail(n, key, "%s", wrong)
		return false
	}
	if strings.HasSuffix(key, ".port") && !isPort(n.text) {
		d.fail(n, key, "%.60q is no port: 1 to 65535", n.text)
		return false
	}
	if enum := f.tag.Get("enum"); enum != "" && n.text != "" {
		known, last := strings.Split(enum, ","), f.path[len(f.path)-1]
		switch lower := strings.ToLower(n.text); {
		case slices.Contains(known, n.text):
		case d.ownDriver(key, n.text):
		case f.tag.Get("for") == "sqlite" && slices.Contains(known, lower):
			v.SetString(lower) // pragmas are written WAL as often as wal
		default:
			d.fail(n, key, "unknown %s %q%s%s", last, n.text, cmp.Or(unsafeMode(last, lower), foreignName(n.text)), didYouMean(n.text, append(known, d.own...)))
			return false
		}
	}
	return true
}

// ownDriver says whether a key names a driver of the program's own.
func (d *decoder) ownDriver(key, name string) bool {
	return strings.HasPrefix(key, "queue.connections.") && strings.HasSuffix(key, ".driver") && slices.Contains(d.own, name)
}

// unsafeMode says why a mode of SQLite is none here.
func unsafeMode(key, mode string) string {
	if key == "journal_mode" && (mode == "memory" || mode == "off") {
		return " (a process that dies in the middle of a write would damage the file, jobs included)"
	}
	return ""
}

// listLeaf decodes a list, or a scalar split at commas.
func (d *decoder) listLeaf(v reflect.Value, n *node, key string, f *field) bool {
	items := n.list
	switch {
	case n.kind == mapping:
		d.fail(n, key, "must be a list, not a mapping")
		return false
	case n.kind == scalar && f.tag.Get("split") == "no":
		d.fail(n, key, "must be a list, one item for each argument")
		return false
	case n.kind == scalar:
		items = nil
		for _, part := range strings.Split(n.text, ",") {
			if part = strings.TrimSpace(part); part != "" {
				items = append(items, text(part, n.src))
			}
		}
	}
	out := reflect.MakeSlice(v.Type(), len(items), len(items))
	for i, item := range items {
		at := fmt.Sprintf("%s[%d]", key, i)
		if item.kind != scalar || item.null {
			d.fail(item, at, "must be a single value (in quotes if it holds a colon)")
			return false
		}
		if !d.leaf(out.Index(i), item, at, f) {
			return false
		}
	}
	v.Set(out)
	return true
}

func (d *decoder) textMap(v reflect.Value, n *node, key string) bool {
	if n.kind != mapping {
		d.fail(n, key, "must be a mapping (name: value), not %s", n.kind)
		return false
	}
	out := map[string]string{}
	for _, k := range n.keys {
		c := n.fields[k]
		if c.kind != scalar {
			d.fail(c, join(key, k), "must be a single value, not %s", c.kind)
			return false
		}
		out[k] = c.text
	}
	v.Set(reflect.ValueOf(out))
	return true
}

// setScalar parses s into v; what is wrong with it comes back, without s.
func setScalar(v reflect.Value, s string) string {
	switch {
	case v.Type() == durationType:
		dur, ok := parseSeconds(s)
		if !ok {
			return "is no time: write seconds (90) or a duration (1m30s)"
		}
		v.SetInt(int64(dur))
	case v.Type() == versionType:
		ver, err := ParseVersion(s)
		if err != nil {
			return "is no version of Laravel from 5.6 on: write e.g. 11, 5.8 or none"
		}
		v.Set(reflect.ValueOf(ver))
	case v.Kind() == reflect.String:
		v.SetString(s)
	case v.Kind() == reflect.Bool:
		switch strings.ToLower(s) {
		case "true", "1", "yes", "on":
			v.SetBool(true)
		case "false", "0", "no", "off", "":
			v.SetBool(false)
		default:
			return "is neither true nor false"
		}
	case v.Kind() == reflect.Int:
		i, err := strconv.ParseInt(s, 10, 32)
		if err != nil {
			return "is no whole number"
		}
		v.SetInt(i)
	default:
		panic("config: no rule for " + v.Type().String())
	}
	return ""
}

// parseSeconds reads seconds, fractions allowed, or a Go duration. Negative
// times are refused.
func parseSeconds(s string) (time.Duration, bool) {
	if f, err := strconv.ParseFloat(s, 64); err == nil {
		if !(f >= 0 && f <= 100*365*24*3600) {
			return 0, false
		}
		return time.Duration(math.Round(f * float64(time.Second))), true
	}
	d, err := time.ParseDuration(s)
	return d, err == nil && d >= 0
}
