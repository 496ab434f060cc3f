package cli

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/config"
	"github.com/spoolq/spool/connect"
)

// env is what the commands of one run share. Configuration and connections
// are made when a command first asks for them, so that help and version need
// neither.
type env struct {
	app *App
	io  IO

	// global flags
	configFile string
	envFile    string
	laravel    string
	verbose    int
	quiet      bool
	flags      []config.Flag // settings given as flags of the command

	cfg  *config.Config
	set  *connect.Set
	code int // the exit code of a command that ended well
}

// config returns the settings in force, and prints what was odd about them.
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
	set, err := connect.New(cfg, &connect.Options{Mux: e.mux(), Logger: e.logger()})
	if err != nil {
		return nil, &usageError{err}
	}
	e.set = set
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
	return set.Manager.Connection(ctx, name)
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

func (e *env) close() error {
	if e.set == nil {
		return nil
	}
	return e.set.Close()
}

// say prints a line of result.
func (e *env) say(format string, args ...any) { fmt.Fprintf(e.io.Out, format+"\n", args...) }

// note prints a line that is not the result.
func (e *env) note(format string, args ...any) {
	if !e.quiet {
		fmt.Fprintf(e.io.Err, format+"\n", args...)
	}
}
