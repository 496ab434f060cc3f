package config

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
)

// Options say where Load looks. The zero value looks in the current folder and
// in no environment.
type Options struct {
	// Dir is where files without a folder are looked for; default: the current
	// folder.
	Dir string
	// File is the path of spool.yaml; default: spool.yaml or spool.yml in Dir if
	// there is one. A file named here must exist.
	File string
	// EnvFile is the path of a .env file; default: .env beside File, else in
	// Dir, if there is one. A file named here must exist.
	EnvFile string
	// NoEnvFile reads no .env file.
	NoEnvFile bool
	// Environ is the environment of the process, as [os.Environ] gives it.
	Environ []string
	// Flags are settings from the command line, the strongest source.
	Flags []Flag
	// Drivers are the names of the drivers that the program adds to the built-in
	// ones. There is a connection of each name, and others may use them; see
	// [Connection.Options].
	Drivers []string
}

// Flag is one setting from the command line.
type Flag struct {
	Name  string // as typed, e.g. --timeout
	Key   string // what it sets, e.g. worker.timeout
	Value string
}

// Load reads the settings. With nothing configured at all they are the embedded
// default: the connection database on the SQLite file spool.db in Dir, failed
// jobs and the cache in the same file.
//
// The error joins everything that is wrong, each an *[Error]; no message holds
// a secret. What is merely odd is in Config.Warnings.
func Load(o *Options) (*Config, error) {
	if o == nil {
		o = &Options{}
	}
	l := &loader{opts: o, dirs: map[string]string{}}
	if err := l.locate(); err != nil {
		return nil, err
	}
	if err := l.read(); err != nil {
		return nil, err
	}
	return l.build()
}

// loader is one run of Load.
type loader struct {
	opts     *Options
	dir      string // absolute
	root     string // of the application, absolute
	file     string // spool.yaml, "" if there is none
	envFile  string // "" if there is none
	dirs     map[string]string
	env      environ
	yaml     *node
	flags    *node
	version  Version
	think    *node     // ThinkPHP's version; nil without ThinkPHP
	lock     thinkLock // of composer.lock
	words    *node     // of the cache: where it is described as ThinkPHP does
	sections bool      // the .env file is ThinkPHP's
	warnings []Finding
	errs     []error
}

func (l *loader) warn(key string, src Source, format string, args ...any) {
	l.warnings = append(l.warnings, Finding{Warn, key, fmt.Sprintf(format, args...), src})
}

// locate finds the files.
func (l *loader) locate() error {
	dir, err := filepath.Abs(l.opts.Dir)
	if err != nil {
		return err
	}
	l.dir = dir
	if l.file = l.inDir(l.opts.File); l.file == "" {
		l.file = l.first("spool.yaml", "spool.yml")
	}
	base := dir
	if l.opts.File != "" {
		base = filepath.Dir(l.file)
	}
	l.envFile = l.inDir(l.opts.EnvFile)
	if l.envFile == "" && !l.opts.NoEnvFile && isFile(filepath.Join(base, ".env")) {
		l.envFile = filepath.Join(base, ".env")
	}
	l.root = base
	if l.envFile != "" {
		l.root = filepath.Dir(l.envFile)
	}
	return nil
}

func (l *loader) inDir(path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(l.dir, path)
}

func (l *loader) first(names ...string) string {
	for _, n := range names {
		if p := filepath.Join(l.dir, n); isFile(p) {
			return p
		}
	}
	return ""
}

// shown is how a file is called in messages; its folder is remembered.
func (l *loader) shown(path string) string {
	s := shorten(path, l.dir)
	l.dirs[s] = filepath.Dir(path)
	return s
}

// read reads the files and the flags.
func (l *loader) read() error {
	l.env = processEnviron(l.opts.Environ)
	var errs []error
	lock := filepath.Join(l.root, "composer.lock")
	l.lock = readThinkLock(lock, l.shown(lock))
	if l.envFile != "" {
		sections, err := l.env.addFile(l.envFile, l.shown(l.envFile))
		if l.sections = sections; err != nil {
			errs = append(errs, missing(err, "--env-file"))
		}
	}
	l.yaml = &node{}
	if l.file != "" {
		content, err := readSmall(l.file)
		if err != nil {
			errs = append(errs, missing(err, "the configuration file"))
		} else if tree, err := readYAML(l.shown(l.file), content, l.env); tree == nil {
			errs = append(errs, err)
		} else {
			// What is wrong with single values is told together with whatever
			// else is wrong.
			l.errs = append(l.errs, flatten(err)...)
			l.fromThink(tree)
			l.yaml = tree.prune(nil)
		}
	}
	l.flags = &node{}
	for _, f := range l.opts.Flags {
		src := Source{Kind: FromFlag, Name: f.Name}
		path := strings.Split(f.Key, ".")
		if keyType(path) == nil {
			errs = append(errs, &Error{src, "", fmt.Sprintf("sets the unknown key %q", f.Key)})
			continue
		}
		l.flags.set(text(f.Value, src), path...)
	}
	return errors.Join(errs...)
}

// missing says which file isn't there.
func missing(err error, what string) error {
	var pe *fs.PathError
	if errors.As(err, &pe) && errors.Is(err, os.ErrNotExist) {
		return &Error{Err: fmt.Sprintf("%s %s does not exist", what, pe.Path)}
	}
	return err
}

// build merges the layers and gives them their types.
func (l *loader) build() (*Config, error) {
	if l.findThink(); l.think == nil {
		if err := l.findVersion(); err != nil {
			l.errs = append(l.errs, err)
		}
	}
	written := l.yaml.merge(l.flags)
	env := l.env
	if s := written.value("stock_env"); s != "" && slices.Contains([]string{"false", "no", "off", "0"}, strings.ToLower(s)) {
		env = env.only("SPOOL_")
	}
	stock := stockTree(l.version, l.root, l.appName(env, written))
	for _, name := range l.opts.Drivers {
		if builtIn(name) || name == "" || name == otherDriver || strings.ContainsAny(name, ".[] \t\n") {
			return nil, fmt.Errorf("config: a driver of the program's own can't be called %q", name)
		}
		stock.setKey("queue.connections."+name+".driver", text(name, Source{Kind: FromDefault}))
	}
	names := bindings()
	if l.think != nil {
		stock = thinkStock(stock, l.think.text, l.root)
		names = append(thinkBindings(), ownBindings()...)
	}
	over, found := env.overlay(names, l.version, stock.merge(written))
	l.warnings = append(append(l.warnings, found...), l.env.unknownVars(names)...)
	if l.think == nil {
		l.addQueueRedis(over, stock)
	}
	user := l.yaml.merge(over).merge(l.flags)
	if l.think != nil {
		if user.at("thinkphp") != nil {
			user.setKey("thinkphp", l.think) // without its patch release
		}
		stock.setKey("thinkphp", l.think)
	} else {
		l.addDatabaseURL(env, user, stock)
	}
	return l.finish(stock, user)
}

// appName is the name that prefixes are made from: env('APP_NAME', 'laravel'),
// where an empty name is a name.
func (l *loader) appName(env environ, written *node) string {
	n := l.flags.at("app", "name")
	if n == nil {
		if _, ok := env["APP_NAME"]; ok {
			return env.word("APP_NAME")
		}
		n = written.at("app", "name")
	}
	if n == nil || n.kind != scalar {
		return "laravel"
	}
	return n.text
}

// finish completes the settings that the user gave upon the stock ones.
func (l *loader) finish(stock, user *node) (*Config, error) {
	c := &completer{loader: l, stock: stock, user: user, src: defaultSource(l.version)}
	tree, errs := c.complete()
	tree.setKey("laravel", text(l.version.String(), l.versionSource()))
	cfg := &Config{values: map[string]given{}}
	d := &decoder{cfg: cfg, own: l.opts.Drivers, errs: append(l.errs, errs...)}
	d.object(valueOf(cfg), tree, "")
	if len(d.errs) == 0 {
		d.errs = append(d.errs, cfg.references()...)
	}
	if len(d.errs) > 0 {
		slices.SortStableFunc(d.errs, bySource)
		return nil, errors.Join(d.errs...)
	}
	l.slugWarning(cfg)
	cfg.Warnings = l.warnings
	return cfg, nil
}

// builtIn says whether a driver is one of Spool's.
func builtIn(name string) bool {
	f, _ := reflect.TypeFor[Connection]().FieldByName("Driver")
	return slices.Contains(strings.Split(f.Tag.Get("enum"), ","), name)
}

// flatten takes joined errors apart.
func flatten(err error) []error {
	if j, ok := err.(interface{ Unwrap() []error }); ok {
		return j.Unwrap()
	}
	if err == nil {
		return nil
	}
	return []error{err}
}

// bySource sorts errors by file and line.
func bySource(a, b error) int {
	var x, y *Error
	if !errors.As(a, &x) || !errors.As(b, &y) {
		return 0
	}
	if c := strings.Compare(x.Source.File, y.Source.File); c != 0 {
		return c
	}
	return x.Source.Line - y.Source.Line
}

// addQueueRedis completes the Redis connection that REDIS_QUEUE_HOST and its
// like describe, and lets the queue connection redis use it.
func (l *loader) addQueueRedis(over, stock *node) {
	q := over.at("database", "redis", queueRedis)
	if q == nil {
		return
	}
	src := q.fields[q.keys[0]].src
	for _, key := range []string{"host", "port", "password", "username", "scheme"} {
		if d := over.at("database", "redis", "default", key); q.child(key) == nil && d != nil {
			q.put(key, d)
		}
	}
	if q.child("database") == nil && q.child("url") == nil {
		q.put("database", text("3", Source{Kind: FromDefault, Name: "REDIS_QUEUE_DB"}))
	}
	stock.set(text(queueRedis, src), "queue", "connections", "redis", "connection")
	l.warn("database.redis."+queueRedis, src, "%s is not read by a stock Laravel: it is taken to describe a Redis connection of its own, %s, which the queue connection redis uses unless REDIS_QUEUE_CONNECTION names another; its database is 3 unless REDIS_QUEUE_DB says otherwise", src.Name, queueRedis)
}

// addDatabaseURL gives the URL in the environment to the default database.
func (l *loader) addDatabaseURL(env environ, user, stock *node) {
	key := []string{"database", "default"}
	b := binding{[]string{"database.connections.*.url"}, databaseURLs()}
	got, f := b.pick(env, l.version)
	if f != nil {
		l.warnings = append(l.warnings, *f)
	}
	value, isNull := envWord(got.value)
	if isNull || blank(value) {
		return
	}
	name := first(user.value(key...), stock.value(key...))
	if user.at(key...) == nil && l.version == (Version{}) {
		scheme, _, _ := strings.Cut(value, ":")
		if name = urlDriver(scheme); stock.at("database", "connections", name) == nil {
			name = stock.value(key...)
		}
		stock.set(text(name, got.src), key...)
	}
	user.set(text(value, got.src), "database", "connections", name, "url")
}

// only keeps the variables whose names start with prefix.
func (env environ) only(prefix string) environ {
	out := maps.Clone(env)
	maps.DeleteFunc(out, func(name string, _ variable) bool { return !strings.HasPrefix(name, prefix) })
	return out
}

// word is a variable by env()'s rules, "" if it is unset or null.
func (env environ) word(name string) string {
	s, _ := envWord(env[name].value)
	return s
}

// first returns the first text that is not empty.
func first(ss ...string) string {
	for _, s := range ss {
		if s != "" {
			return s
		}
	}
	return ""
}
