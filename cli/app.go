// Package cli is Spool's command line. An application embeds it and gets
// every command with its own jobs:
//
//	func main() {
//		mux := spool.NewMux()
//		spool.Handle(mux, sendReminder)
//		cli.Main(mux)
//	}
//
// Commands are named as in Laravel (queue:work) and have short names (work).
// Results go to standard output, everything else to standard error.
//
// # Exit codes
//
//	0   done
//	1   it failed; some of several things could not be done; queue:monitor found
//	    a queue at its limit; check found something that is refused
//	2   the command line or the settings are wrong, and nothing was done
//	12  a worker has reached its memory limit, as in Laravel
//
// A command that a signal ends has the exit code of that signal; queue:work
// and queue:listen drain and end with 0.
package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/connect"
)

// Exit codes besides those of a worker.
const (
	exitError = 1
	exitUsage = 2
)

// App is a command line over the jobs of an application.
type App struct {
	// Name is the program's name in help texts; "" means "spool".
	Name string
	// Mux holds the handlers. nil means none but those of spool.yaml, which are
	// asked for names that the Mux doesn't have.
	Mux *spool.Mux
	// Setup is called once the connections are configured and before a command
	// uses them; listeners, and entries of s.Schedule, are added here.
	Setup func(ctx context.Context, s *connect.Set) error
	// Drivers are drivers of the application's own, by name: there is a
	// connection of each name, and spool.yaml may configure others with it.
	Drivers map[string]connect.OpenDriver
	// Version is printed by the command version; "" means that of the build.
	Version string
}

// IO is what a command line talks to.
type IO struct {
	In       io.Reader
	Out, Err io.Writer
	// Env is the environment, "NAME=value".
	Env []string
	// Dir is the working directory, "" for that of the process.
	Dir string
}

// Main runs the command line of the process with the handlers of mux (nil:
// none of its own) and exits.
func Main(mux *spool.Mux) {
	(&App{Mux: mux}).Main()
}

// Main runs the command line of the process and exits. Without a Name the program
// is called what its file is.
func (a *App) Main() {
	app := *a
	app.Name = cmp.Or(app.Name, strings.TrimSuffix(filepath.Base(os.Args[0]), ".exe"))
	os.Exit(app.Run(context.Background(), os.Args[1:], IO{In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Env: os.Environ()}))
}

// Run runs one command and returns its exit code. queue:work and queue:listen
// handle the process's signals; all others leave them alone.
func (a *App) Run(ctx context.Context, args []string, stdio IO) int {
	out := &checkedWriter{w: stdio.Out}
	e := &env{app: a, io: stdio, args: args, terminal: isTerminal(stdio.Out)}
	e.io.Out = out
	root := rootCommand(e)
	root.SetArgs(args)
	root.SetIn(stdio.In)
	root.SetOut(out)
	root.SetErr(stdio.Err)
	err := e.explain(root.ExecuteContext(ctx))
	if cerr := e.close(); err == nil {
		err = cerr
	}
	if err == nil && out.err != nil {
		err = fmt.Errorf("standard output: %w", out.err)
	}
	if err == nil {
		return e.code
	}
	e.complain(err)
	if _, wrong := errors.AsType[*usageError](err); wrong || !e.began {
		return exitUsage
	}
	return max(e.code, exitError)
}

// usageError is a wrong command line or configuration.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// usagef returns a usageError.
func usagef(format string, args ...any) error {
	return &usageError{fmt.Errorf(format, args...)}
}

// checkedWriter remembers the first error, so that a full disk behind a pipe
// is not taken for success.
type checkedWriter struct {
	mu  sync.Mutex
	w   io.Writer
	err error
}

func (c *checkedWriter) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, err := c.w.Write(b)
	if err != nil && c.err == nil {
		c.err = err
	}
	return n, err
}
