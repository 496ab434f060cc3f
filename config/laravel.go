package config

import (
	"bytes"
	"context"
	"crypto/rand"
	_ "embed" // the script that asks the application
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// LaravelOptions say how FromLaravel asks.
type LaravelOptions struct {
	// Bootstrap is the file that returns the application, relative to its
	// folder; default: bootstrap/app.php.
	Bootstrap string
	// PHP is the program to run; default: php. "-" runs none.
	PHP string
	// Timeout is how long the application may take to answer; default: 30 s.
	Timeout time.Duration
	// Environ is the environment of the process, for PHP too.
	Environ []string
	// EnvFile is the .env file that is read if the application doesn't answer;
	// default: .env in its folder.
	EnvFile string
	// Stderr is shown what PHP complains about; default: nobody.
	Stderr io.Writer
	// HasKeys says whether the server of cfg's queue connection holds keys of
	// queues under a prefix. It is asked where two prefixes are possible;
	// default: nobody is asked, and the stock one is assumed.
	HasKeys func(cfg *Config, prefix string) bool
}

// Laravel is what FromLaravel found.
type Laravel struct {
	// Config is the configuration of the application.
	Config *Config
	// YAML is a spool.yaml for it, without secrets: it names the variables that
	// hold them.
	YAML []byte
	// Asked says that the application itself answered.
	Asked bool
	// Notes say what was assumed, left out or still needs doing, for people.
	Notes []string
}

// FromLaravel finds out the settings of the Laravel application in dir. It runs
// PHP to ask the application for its resolved configuration, with a time limit
// and nothing secret on the command line; where that fails it reads .env and
// composer.lock. It fails only if neither gives a configuration.
func FromLaravel(ctx context.Context, dir string, o *LaravelOptions) (*Laravel, error) {
	opts := LaravelOptions{}
	if o != nil {
		opts = *o
	}
	opts.Bootstrap = first(opts.Bootstrap, "bootstrap/app.php")
	opts.PHP = first(opts.PHP, "php")
	if opts.Timeout == 0 {
		opts.Timeout = 30 * time.Second
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	out := &Laravel{}
	load := &Options{Dir: dir, EnvFile: opts.EnvFile, Environ: opts.Environ}
	l := &loader{opts: load, dirs: map[string]string{}}
	if err := l.locate(); err != nil {
		return nil, err
	}
	l.file = "" // what is there already has no say
	l.env = environ{}
	envErr := l.read()
	for name, v := range l.env {
		saysVersion := name == "SPOOL_LARAVEL" || name == "SPOOL_THINKPHP"
		if strings.HasPrefix(name, ownPrefix) && v.src.File == "" && !saysVersion {
			delete(l.env, name) // of who calls us, not of the application
		}
	}

	answer, err := askLaravel(ctx, dir, &opts)
	switch {
	case err == nil:
		out.Asked = true
		out.Config, err = l.fromAnswer(answer, out)
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case envErr != nil:
		return nil, errors.Join(err, envErr)
	case l.envFile == "":
		return nil, fmt.Errorf("no Laravel application in %s: %w, and there is no .env file", dir, err)
	default:
		out.note("The application was not asked (%v); what follows is from %s and the defaults of its version.", err, l.shown(l.envFile))
		out.Config, err = l.fromEnv(&opts, out)
	}
	if err != nil {
		return nil, err
	}
	out.render(l)
	return out, nil
}

// ownPrefix begins the names of Spool's own variables, which no application
// gives another meaning.
const ownPrefix = "SPOOL_"

func (l *Laravel) note(format string, args ...any) {
	l.Notes = append(l.Notes, fmt.Sprintf(format, args...))
}

// fromEnv builds the configuration from .env and composer.lock.
func (l *loader) fromEnv(opts *LaravelOptions, out *Laravel) (*Config, error) {
	cfg, err := l.build()
	if err != nil {
		return nil, err
	}
	if cfg.Laravel == (Version{}) {
		return nil, fmt.Errorf("%s is no .env file of Laravel, and there is no composer.lock beside it", l.shown(l.envFile))
	}
	const key = "database.redis.options.prefix"
	mine := cfg.RedisOptions.Prefix
	other, two := otherRedisPrefix(cfg.Laravel, cfg.App.Name)
	switch {
	case !two || cfg.Source(key).Kind != FromDefault:
	case opts.HasKeys == nil:
		out.note("The Redis prefix is %q or %q, by the age of the application's config files; the first is assumed.", mine, other)
	case opts.HasKeys(cfg, mine):
		out.note("The Redis prefix is %q: keys of queues were found under it.", mine)
	case opts.HasKeys(cfg, other):
		out.note("The Redis prefix is %q: keys of queues were found under it, and none under the stock %q.", other, mine)
		l.flags.setKey(key, text(other, Source{Kind: FromFlag, Name: "keys found in Redis"}))
		l.warnings = nil
		if cfg, err = l.build(); err != nil {
			return nil, err
		}
	default:
		out.note("The Redis prefix is %q or %q; neither has keys of queues yet, the first is assumed.", mine, other)
	}
	for _, f := range cfg.Warnings {
		out.note("%s", strings.TrimPrefix(f.String(), "warn: "))
	}
	return cfg, nil
}

// render makes the spool.yaml, and makes sure that reading it gives the same
// settings.
func (l *Laravel) render(from *loader) {
	unset := environ{}
	stock := from.stockQueues(l.Config)
	opts := &RenderOptions{
		Keep: func(key string) bool {
			return keepForLaravel(l.Config, key, l.Asked) && !slices.ContainsFunc(stock, func(prefix string) bool { return strings.HasPrefix(key, prefix) })
		},
		Variable: func(key, secret string) (string, bool) {
			name, set := from.env.holding(key, secret)
			if !set {
				unset[name] = variable{secret, Source{Kind: FromEnv, Name: name}}
			}
			return name, set
		},
	}
	yaml := l.Config.Render(opts)
	for _, name := range unset.names() {
		l.note("Set the variable %s: a secret that was in no variable, and is not copied into the file.", name)
	}
	if changed := from.reread(l.Config, yaml, unset); len(changed) > 0 {
		l.note("Some of Laravel's variables mean something else to this application than to a stock one (%s), so stock_env is off: the environment counts only where the file says ${NAME}.", strings.Join(changed, ", "))
		l.Config.StockEnv = false
		l.Config.values["stock_env"] = given{text("false", Source{Kind: FromApp, Name: "env"}), "", keyType([]string{"stock_env"})}
	}
	head := "Settings of the Laravel application " + l.Config.App.Name + ", for Spool. Secrets stay in the environment."
	for _, n := range l.Notes {
		head += "\n- " + n
	}
	opts.Header = head
	l.YAML = l.Config.Render(opts)
}

// stockQueues returns the prefixes of the keys of those queue connections that
// the application merely has because all applications of its version have them,
// like that. A file that named them would say that somebody uses them.
func (l *loader) stockQueues(cfg *Config) []string {
	src := Source{Kind: FromDefault}
	tree := &node{}
	tree.setKey("laravel", text(cfg.Laravel.String(), src))
	tree.setKey("stock_env", text("false", src))
	base, err := (&loader{opts: l.opts, dir: l.dir, root: l.root, dirs: l.dirs, env: environ{}, yaml: tree, flags: &node{}}).build()
	if err != nil {
		return nil // then all are written
	}
	used := []string{cfg.Default}
	for _, c := range cfg.Connections {
		used = append(used, c.Connections...)
	}
	var prefixes []string
	for name := range cfg.Connections {
		prefix := "queue.connections." + name + "."
		differs := func(key string) bool {
			a, b := cfg.values[key], base.values[key]
			return strings.HasPrefix(key, prefix) && (b.n == nil || show(a.n, "") != show(b.n, ""))
		}
		if !slices.Contains(used, name) && !slices.ContainsFunc(cfg.order, differs) {
			prefixes = append(prefixes, prefix)
		}
	}
	return prefixes
}

// reread loads a rendered file with the application's environment, and with
// the variables that are still to be set, and returns the variables that make
// it come out otherwise than cfg.
func (l *loader) reread(cfg *Config, content []byte, unset environ) []string {
	env := maps.Clone(l.env)
	maps.Copy(env, unset)
	tree, err := readYAML("spool.yaml", content, env)
	if err != nil {
		return []string{err.Error()}
	}
	again := &loader{opts: l.opts, dir: l.dir, root: l.root, dirs: l.dirs, env: env, yaml: tree.prune(nil), flags: &node{}}
	got, err := again.build()
	if err != nil {
		return []string{err.Error()}
	}
	var changed []string
	for _, key := range cfg.order {
		a, b := cfg.values[key], got.values[key]
		if b.n != nil && show(a.n, "") != show(b.n, "") && b.n.src.Kind == FromEnv && !strings.HasPrefix(b.n.src.Name, ownPrefix) {
			changed = append(changed, b.n.src.Name)
		}
	}
	return slices.Compact(slices.Sorted(slices.Values(changed)))
}

// keepForLaravel says which settings a spool.yaml made for an application
// holds: what it said itself; else what isn't a default, and the defaults that
// depend on the version.
func keepForLaravel(c *Config, key string, asked bool) bool {
	if key == "laravel" || key == "stock_env" && !c.StockEnv {
		return true
	}
	src := c.Source(key)
	if asked {
		return src.Kind == FromApp
	}
	if src.Kind != FromDefault {
		return true
	}
	used := "queue.connections." + c.Default + "."
	return strings.HasPrefix(key, used) || slices.Contains([]string{"queue.default", "queue.failed.driver", "database.default", "database.redis.options.prefix", "cache.default", "cache.prefix"}, key)
}

// holding finds the variable that holds a secret: the stock one of its key, else
// any with that very value, else a name that is free.
func (env environ) holding(key, secret string) (name string, set bool) {
	name = variableFor(key)
	if env.word(name) == secret {
		return name, true
	} else if env.has(name) {
		name = plainVariable(key)
	}
	if len(secret) >= 6 {
		for _, n := range env.names() {
			if env.word(n) == secret {
				return n, true
			}
		}
	}
	return name, false
}

//go:embed laravel.php
var laravelScript []byte

// maxAnswer is the largest answer that is read.
const maxAnswer = 8 << 20

// askLaravel runs PHP. The script comes on its standard input.
func askLaravel(ctx context.Context, dir string, o *LaravelOptions) (*laravelAnswer, error) {
	if o.PHP == "-" {
		return nil, errors.New("PHP is not to be run")
	}
	php, err := exec.LookPath(o.PHP)
	if err != nil {
		return nil, fmt.Errorf("there is no program %s", o.PHP)
	}
	bootstrap := o.Bootstrap
	if !filepath.IsAbs(bootstrap) {
		bootstrap = filepath.Join(dir, bootstrap)
	}
	if !isFile(bootstrap) {
		return nil, fmt.Errorf("there is no file %s", bootstrap)
	}
	mark := "\n-- spool " + rand.Text() + " --\n"
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, php, "-d", "display_errors=stderr", "-d", "log_errors=0", "--", bootstrap, mark)
	cmd.Dir, cmd.Env, cmd.Stdin, cmd.WaitDelay = dir, o.Environ, bytes.NewReader(laravelScript), 2*time.Second
	var stdout limited
	cmd.Stdout = &stdout
	cmd.Stderr = o.Stderr
	if cmd.Env == nil {
		cmd.Env = []string{} // not this process's own
	}
	err = cmd.Run()
	parts := strings.Split(stdout.String(), mark)
	switch {
	case ctx.Err() == context.DeadlineExceeded:
		return nil, fmt.Errorf("the application did not answer within %s", seconds(o.Timeout))
	case len(parts) < 3 && err != nil:
		return nil, fmt.Errorf("the application did not boot: %w", err)
	case len(parts) < 3:
		return nil, errors.New("the application ended without an answer")
	}
	a := &laravelAnswer{}
	if err := json.Unmarshal([]byte(parts[1]), a); err != nil {
		return nil, errors.New("the application's answer is no JSON")
	}
	return a, nil
}

// limited is a buffer that drops what is over maxAnswer.
type limited struct{ bytes.Buffer }

func (l *limited) Write(p []byte) (int, error) {
	if room := maxAnswer - l.Len(); room > 0 {
		l.Buffer.Write(p[:min(len(p), room)])
	}
	return len(p), nil
}
