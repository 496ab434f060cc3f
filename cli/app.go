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
// Results go to standard output, everything else to standard error. Exit
// codes: 0 done, 1 it failed, 2 the command line or the configuration is
// wrong, 12 a worker has reached its memory limit.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/connect"
)

// Exit codes besides those of a worker.
const (
	exitOK    = 0
	exitError = 1
	exitUsage = 2
)

// App is a command line over the jobs of an application.
type App struct {
	// Mux holds the handlers. nil means none but those of spool.yaml, which are
	// asked for names that the Mux doesn't have.
	Mux *spool.Mux
	// Setup is called once the connections are configured and before a command
	// uses them; listeners are added here.
	Setup func(ctx context.Context, s *connect.Set) error
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
	app := &App{Mux: mux}
	os.Exit(app.Run(context.Background(), os.Args[1:], IO{In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Env: os.Environ()}))
}

// Run runs one command and returns its exit code. It handles the process's
// signals only in commands that say so (work, listen).
func (a *App) Run(ctx context.Context, args []string, stdio IO) int {
	e := &env{app: a, io: stdio}
	root := rootCommand(e)
	root.SetArgs(args)
	root.SetIn(stdio.In)
	root.SetOut(stdio.Out)
	root.SetErr(stdio.Err)
	err := root.ExecuteContext(ctx)
	if cerr := e.close(); err == nil {
		err = cerr
	}
	if err == nil {
		return e.code
	}
	if code, ok := errors.AsType[exitCode](err); ok {
		return int(code)
	}
	fmt.Fprintf(stdio.Err, "spool: %v\n", err)
	if _, ok := errors.AsType[*usageError](err); ok {
		return exitUsage
	}
	return exitError
}

// exitCode ends a command that has said all there is to say.
type exitCode int

func (c exitCode) Error() string { return fmt.Sprintf("exit code %d", int(c)) }

// usageError is a wrong command line or configuration.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// usagef returns a usageError.
func usagef(format string, args ...any) error {
	return &usageError{fmt.Errorf(format, args...)}
}
