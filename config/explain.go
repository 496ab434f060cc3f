package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"
)

// given is a value in force as its source has it.
type given struct {
	n      *node
	secret string // how it is masked: "", "true" or "url"
	typ    reflect.Type
}

// Explain lists every setting in force with where it came from, in the order
// of [Config]; secrets are masked.
func (c *Config) Explain() []Setting {
	out := make([]Setting, 0, len(c.order))
	for _, key := range c.order {
		v := c.values[key]
		out = append(out, Setting{key, show(v.n, v.secret), v.n.src})
	}
	return out
}

// Source says where a setting came from, e.g. of
// "queue.connections.redis.retry_after"; the zero Source if it isn't set.
func (c *Config) Source(key string) Source {
	if v, ok := c.values[key]; ok {
		return v.n.src
	}
	return Source{}
}

// note records where a value came from.
func (c *Config) note(key string, n *node, f *field) {
	if _, ok := c.values[key]; !ok {
		c.order = append(c.order, key)
	}
	c.values[key] = given{n, f.secret, f.typ}
}

func show(n *node, secret string) string {
	switch {
	case n.kind == scalar && n.null:
		return "null"
	case n.kind == scalar && secret == "url":
		return maskURL(n.text)
	case n.kind == scalar && secret != "" && n.text != "":
		return masked
	case n.kind == scalar:
		return n.text
	}
	var parts []string
	for _, c := range n.list {
		parts = append(parts, show(c, secret))
	}
	for _, k := range n.keys {
		parts = append(parts, k+": "+show(n.fields[k], secret))
	}
	return strings.Join(parts, ", ")
}

// Connection returns the queue connection of a name; "" is the default one. A
// name that is no connection but a database stands for the queue on that
// database with everything else as a database connection has it by default.
func (c *Config) Connection(name string) (*Connection, error) {
	if name == "" {
		name = c.Default
	}
	if q, ok := c.Connections[name]; ok {
		return q, nil
	}
	if _, ok := c.Databases[name]; ok {
		q := &Connection{Name: name, Driver: "database", Connection: name, Table: "jobs", Queue: "default"}
		d := defaultLease
		q.RetryAfter = &d
		return q, nil
	}
	known := slices.Sorted(maps.Keys(c.Connections))
	return nil, &Error{Key: "queue.connections", Err: fmt.Sprintf("there is no connection %q%s%s", name, foreignName(name), didYouMean(name, known))}
}

// references checks that every name that points somewhere points at something.
func (c *Config) references() []error {
	var errs []error
	check := func(key, name, kind string, known []string) {
		if kind == "database" && name == c.DefaultDatabase && key != "database.default" {
			return // told once
		}
		if name != "" && !slices.Contains(known, name) {
			errs = append(errs, &Error{c.Source(key), key, fmt.Sprintf("there is no %s %q%s%s", kind, name, foreignName(name), didYouMean(name, known))})
		}
	}
	conns, dbs := slices.Sorted(maps.Keys(c.Connections)), slices.Sorted(maps.Keys(c.Databases))
	reds, stores := slices.Sorted(maps.Keys(c.Redis)), slices.Sorted(maps.Keys(c.Cache.Stores))
	on := func(key, name, driver string) {
		switch driver {
		case "redis":
			check(key, name, "Redis connection", reds)
		case "database", "database-uuids":
			check(key, name, "database", dbs)
		}
	}
	if c.Default == "" {
		errs = append(errs, &Error{c.Source("queue.default"), "queue.default", "is empty: name a connection" + didYouMean("", conns)})
	} else if _, err := c.Connection(""); err != nil {
		check("queue.default", c.Default, "connection", conns)
	}
	check("database.default", c.DefaultDatabase, "database", dbs)
	if _, err := c.Connection(c.Degrade); c.Degrade != "" && err != nil {
		check("queue.degrade", c.Degrade, "connection", conns)
	}
	if _, err := c.Connection(c.PHPConnection); c.PHPConnection != "" && err != nil {
		check("queue.php_connection", c.PHPConnection, "connection", conns)
	}
	for _, name := range conns {
		on("queue.connections."+name+".connection", c.Connections[name].Connection, c.Connections[name].Driver)
		if q := c.Connections[name]; q.Overflow {
			check("queue.connections."+name+".overflow.store", q.OverflowStore, "cache store", stores)
		}
		if q := c.Connections[name]; q.Driver == "failover" {
			errs = append(errs, c.failoverErrors(q)...)
		}
	}
	on("queue.failed.database", c.Failed.Database, c.Failed.Driver)
	if c.Batching.Driver == "redis" {
		on("queue.batching.connection", first(c.Batching.Connection, "default"), "redis")
	} else {
		on("queue.batching.database", c.Batching.Database, c.Batching.Driver)
	}
	if c.Cache.Default == "" {
		errs = append(errs, &Error{c.Source("cache.default"), "cache.default", "is empty: name a store" + didYouMean("", stores)})
	}
	check("cache.default", c.Cache.Default, "cache store", stores)
	for _, name := range stores {
		s := c.Cache.Stores[name]
		on("cache.stores."+name+".connection", s.Connection, s.Driver)
		on("cache.stores."+name+".lock_connection", s.LockConnection, s.Driver)
	}
	if c.App.Maintenance.Driver == "cache" {
		check("app.maintenance.store", c.App.Maintenance.Store, "cache store", stores)
	}
	for i := range c.Jobs {
		errs = append(errs, c.jobErrors(i)...)
	}
	for i := range c.Schedule {
		errs = append(errs, c.scheduleErrors(i)...)
	}
	return errs
}

// failoverErrors checks the connections of a failover.
func (c *Config) failoverErrors(q *Connection) []error {
	key := "queue.connections." + q.Name + ".connections"
	fail := func(format string, args ...any) []error {
		return []error{&Error{c.Source(key), key, fmt.Sprintf(format, args...)}}
	}
	if len(q.Connections) == 0 {
		return fail("is empty: list the connections to try, the first one first")
	}
	for i, name := range q.Connections {
		behind, err := c.Connection(name)
		switch {
		case err != nil || name == "":
			return fail("there is no connection %q%s", name, didYouMean(name, slices.Sorted(maps.Keys(c.Connections))))
		case behind.Driver == "failover":
			return fail("%q is a failover itself: list the connections behind it", name)
		case slices.Contains(q.Connections[:i], name):
			return fail("lists %q twice", name)
		}
	}
	return nil
}

// jobErrors checks that a handler is one thing and has a name.
func (c *Config) jobErrors(i int) []error {
	j, key := &c.Jobs[i], fmt.Sprintf("jobs[%d]", i)
	var errs []error
	src := c.Source(key + ".name")
	if len(j.Names) == 0 {
		for _, k := range []string{".command", ".shell", ".url"} {
			if s := c.Source(key + k); s != (Source{}) {
				src = s
			}
		}
		errs = append(errs, &Error{src, key, "has no name: say which jobs it handles (name: App\\Jobs\\*)"})
	}
	n := 0
	for _, set := range []bool{len(j.Command) > 0, j.Shell != "", j.URL != ""} {
		if set {
			n++
		}
	}
	if n != 1 {
		errs = append(errs, &Error{src, key, "needs exactly one of command, shell and url"})
	}
	if j.URL != "" && !strings.HasPrefix(j.URL, "http://") && !strings.HasPrefix(j.URL, "https://") {
		errs = append(errs, &Error{c.Source(key + ".url"), key + ".url", "must start with http:// or https://"})
	}
	return errs
}

// scheduleErrors checks that an entry has a job and one way to be due. What its
// expression says is checked where it is read.
func (c *Config) scheduleErrors(i int) []error {
	s, key := &c.Schedule[i], fmt.Sprintf("schedule[%d]", i)
	var errs []error
	fail := func(name, format string, args ...any) {
		src := c.Source(join(key, name))
		for _, other := range []string{"job", "cron", "every", "at"} {
			if src == (Source{}) {
				src = c.Source(join(key, other))
			}
		}
		errs = append(errs, &Error{src, join(key, name), fmt.Sprintf(format, args...)})
	}
	if s.Job == "" {
		fail("job", "is empty: name the job")
	}
	n := 0
	for _, set := range []bool{s.Cron != "", s.Every != 0, s.At != ""} {
		if set {
			n++
		}
	}
	if n != 1 {
		fail("cron", "needs exactly one of cron, every and at")
	}
	if s.At != "" {
		if _, err := s.Moment(time.UTC); err != nil {
			fail("at", "%v", err)
		}
	}
	if s.Data != "" && !json.Valid([]byte(s.Data)) {
		fail("data", `is not JSON: write e.g. data: '{"to": "boss"}'`)
	}
	if s.Connection != "" {
		if _, err := c.Connection(s.Connection); err != nil {
			fail("connection", "there is no connection %q%s", s.Connection, didYouMean(s.Connection, slices.Sorted(maps.Keys(c.Connections))))
		}
	}
	for j := range i {
		if o := &c.Schedule[j]; first(o.Name, o.Job) == first(s.Name, s.Job) && s.Job != "" {
			fail("name", "%q is the name of two entries: give one of them another", first(s.Name, s.Job))
		}
	}
	return errs
}

// Errors lists the single errors that Load joined.
func Errors(err error) []*Error {
	var out []*Error
	var joined interface{ Unwrap() []error }
	var one *Error
	switch {
	case err == nil:
	case errors.As(err, &joined):
		for _, e := range joined.Unwrap() {
			out = append(out, Errors(e)...)
		}
	case errors.As(err, &one):
		out = append(out, one)
	default:
		out = append(out, &Error{Err: err.Error()})
	}
	return out
}

// Kind is what sort of place a value came from.
type Kind string

// The places a value may come from, the strongest first.
const (
	FromFlag    Kind = "flag"
	FromEnv     Kind = "env"
	FromFile    Kind = "file"
	FromApp     Kind = "application" // it said so itself, see [FromLaravel]
	FromDefault Kind = "default"
)

// Source says where a value came from.
type Source struct {
	Kind Kind
	// Name is the flag (--timeout), the variable (REDIS_HOST), the key of PHP's
	// configuration, or whose default it is (Laravel 11).
	Name string
	// File and Line are where it is written; File is empty for flags, variables
	// of the process and defaults.
	File string
	Line int
}

// String renders the source for people: "flag --timeout", "env REDIS_HOST
// (.env:12)", "spool.yaml:7", "default (Laravel 11)".
func (s Source) String() string {
	at := s.File
	if s.Line > 0 {
		at = fmt.Sprintf("%s:%d", s.File, s.Line)
	}
	switch {
	case s.Kind == FromFile && s.Name != "":
		return at + " (" + s.Name + ")"
	case s.Kind == FromFile:
		return at
	case s.Kind == FromEnv && at != "":
		return "env " + s.Name + " (" + at + ")"
	case s.Kind == FromApp:
		return "config('" + s.Name + "')"
	case s.Kind == FromDefault && s.Name != "":
		return "default (" + s.Name + ")"
	case s.Kind == FromDefault:
		return "default"
	}
	return string(s.Kind) + " " + s.Name
}

// Level is how bad a finding is.
type Level string

// The levels of a finding.
const (
	// Refuse means that a worker must not start.
	Refuse Level = "refuse"
	// Warn means that an operator should know.
	Warn Level = "warn"
)

// Finding is one thing about the settings that can hurt.
type Finding struct {
	Level   Level
	Key     string // the setting it is about; empty if it is about no single one
	Message string // what, and how to mend it; no secrets
	Source  Source // where the setting comes from; may be zero
}

// String renders the finding as one line.
func (f Finding) String() string {
	s := string(f.Level) + ": "
	if f.Key != "" {
		s += f.Key + ": "
	}
	s += f.Message
	if f.Source != (Source{}) {
		s += " [" + f.Source.String() + "]"
	}
	return s
}

// Error is one setting that is wrong. Load joins all it finds with
// [errors.Join].
type Error struct {
	Source Source
	Key    string // may be empty
	Err    string // what is wrong and how to mend it; no secrets
}

func (e *Error) Error() string {
	s := ""
	if e.Source != (Source{}) {
		s = e.Source.String() + ": "
	}
	if e.Key != "" {
		s += e.Key + ": "
	}
	return s + e.Err
}

// Setting is one value in force, as it is shown to people.
type Setting struct {
	Key    string
	Value  string // secrets masked
	Source Source
}
