package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/mattn/go-isatty"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/config"
	"github.com/spoolq/spool/connect"
	"github.com/spoolq/spool/listen"
)

// env is what the commands of one run share. Configuration and connections
// are made when a command first asks for them, so that help and version need
// neither.
type env struct {
	app      *App
	io       IO
	args     []string
	terminal bool // Out is one
	began    bool // the command line was understood

	// global flags
	configFile string
	envFile    string
	laravel    string
	verbose    int
	quiet      bool
	flags      []config.Flag // settings given as flags of the command

	lines  *jobLines // of a worker, once it begins
	warned bool      // what Load found odd was told
	cfg    *config.Config
	set    *connect.Set
	code   int // the exit code of a command that ended well
}

// config returns the settings in force.
func (e *env) config() (*config.Config, error) {
	if e.cfg != nil {
		return e.cfg, nil
	}
	flags := e.flags
	if e.laravel != "" {
		flags = append(flags, config.Flag{Name: "--laravel", Key: "laravel", Value: e.laravel})
	}
	cfg, err := config.Load(&config.Options{
		Dir: e.io.Dir, Environ: e.io.Env, File: e.configFile, EnvFile: e.envFile, Flags: flags,
		Drivers: slices.Sorted(maps.Keys(e.app.Drivers)),
	})
	if err != nil {
		return nil, &usageError{err}
	}
	e.cfg = cfg
	return cfg, nil
}

// open returns the configured connections. None is opened yet.
func (e *env) open(ctx context.Context) (*connect.Set, error) {
	if e.set != nil {
		return e.set, nil
	}
	cfg, err := e.config()
	if err != nil {
		return nil, err
	}
	set, err := connect.New(cfg, &connect.Options{Mux: e.mux(), Logger: e.logger(), Output: e.output, Drivers: e.app.Drivers})
	if err != nil {
		return nil, &usageError{err}
	}
	e.set = set
	e.warn()
	if e.app.Setup != nil {
		if err := e.app.Setup(ctx, set); err != nil {
			return nil, err
		}
	}
	return set, nil
}

// connection returns an open connection; "" means the default one.
func (e *env) connection(ctx context.Context, name string) (*spool.Connection, error) {
	set, err := e.open(ctx)
	if err != nil {
		return nil, err
	}
	if err := e.known(name); err != nil {
		return nil, orQueue(err, name)
	}
	if c, err := set.Config.Connection(name); err == nil && c.Driver == "database" {
		if err := set.Absent(c.Connection); err != nil { // to look must not make a file
			return nil, fmt.Errorf("connection %s: %w", c.Name, err)
		}
	}
	return set.Manager.Connection(ctx, name)
}

// orQueue adds to the error of a connection that isn't known what else its name
// may have been meant for, where a flag says the queue.
func orQueue(err error, name string) error {
	return usagef("%w; a queue is named by --queue=%s", err, name)
}

// known returns an error for the name of a connection that is neither in the
// settings nor added by Setup. The Set must be open.
func (e *env) known(name string) error {
	if name != "" && slices.Contains(e.set.Manager.Names(), name) {
		return nil
	}
	if _, err := e.set.Config.Connection(name); err != nil {
		return &usageError{err}
	}
	return nil
}

// configured says whether a connection is in the settings.
func (e *env) configured(name string) bool {
	_, err := e.set.Config.Connection(name)
	return err == nil
}

// warn tells once what is odd about the settings: a variable that nobody
// knows, and the like.
func (e *env) warn() {
	if e.warned || e.variable(listen.EnvChild) != "" {
		return
	}
	e.warned = true
	for _, w := range e.cfg.Warnings {
		e.note("%s: %s", e.name(), w)
	}
}

// name is what the program is called.
func (e *env) name() string { return cmp.Or(e.app.Name, "spool") }

// signals returns the cache in which workers are told to restart or pause.
func (e *env) signals(ctx context.Context) (connect.Cache, error) {
	set, err := e.open(ctx)
	if err != nil {
		return nil, err
	}
	s := set.Config.Cache.Stores[set.Config.Cache.Default]
	switch {
	case s == nil:
	case s.Driver == "array" || s.Driver == "null":
		return nil, fmt.Errorf("workers can't be told: the cache store %s reaches no other process; set cache.default to a store with driver database, redis or file", s.Name)
	case s.Driver == "database":
		if err := set.Absent(s.Connection); err != nil { // to look must not make a file
			return nil, fmt.Errorf("cache store %s: %w", s.Name, err)
		}
	}
	return set.Cache(ctx)
}

// mux returns the application's handlers.
func (e *env) mux() *spool.Mux {
	if e.app.Mux == nil {
		e.app.Mux = spool.NewMux()
	}
	return e.app.Mux
}

// logger writes to standard error: warnings and errors, or more with -v.
func (e *env) logger() *slog.Logger {
	level := slog.LevelWarn
	switch {
	case e.quiet:
		level = slog.LevelError
	case e.verbose > 1:
		level = slog.LevelDebug
	case e.verbose > 0:
		level = slog.LevelInfo
	}
	return slog.New(slog.NewTextHandler(e.io.Err, &slog.HandlerOptions{Level: level}))
}

// variable returns a variable of the environment.
func (e *env) variable(name string) string {
	value := ""
	for _, kv := range e.io.Env {
		if v, ok := strings.CutPrefix(kv, name+"="); ok {
			value = v
		}
	}
	return value
}

func (e *env) close() error {
	if e.set == nil {
		return nil
	}
	return e.set.Close()
}

// explain adds to an error how to mend it, where that is known.
func (e *env) explain(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("interrupted: %w", err)
	case e.set != nil:
		return e.set.Explain(err)
	}
	return err
}

// say prints a line of result. Foreign text in it must be printable.
func (e *env) say(format string, args ...any) {
	_, _ = fmt.Fprintf(e.io.Out, format+"\n", args...) // the first error is told at the end
}

// object prints a value as one line of JSON.
func (e *env) object(v any) error {
	text, err := jsonText(v)
	if err != nil {
		return err
	}
	_, err = e.io.Out.Write(append(text, '\n'))
	return err
}

// note prints a line that is not the result.
func (e *env) note(format string, args ...any) {
	if !e.quiet {
		_, _ = fmt.Fprintln(e.io.Err, printable(fmt.Sprintf(format, args...)))
	}
}

// complain prints an error, which may be several, a line each.
func (e *env) complain(err error) {
	for line := range strings.Lines(err.Error()) {
		if line = strings.TrimSpace(line); line != "" {
			// Packages that know nothing of a command line call it spool.
			line = strings.ReplaceAll(line, "`spool ", "`"+e.name()+" ")
			_, _ = fmt.Fprintln(e.io.Err, e.name()+": "+printable(line))
		}
	}
}

// isTerminal says whether a stream of the command line is one.
func isTerminal(stream any) bool {
	if c, ok := stream.(*checkedWriter); ok {
		stream = c.w
	}
	f, ok := stream.(*os.File)
	return ok && isatty.IsTerminal(f.Fd())
}
