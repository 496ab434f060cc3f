// Command testrun runs the tests against private servers that it starts once
// for all packages and stops at the end.
//
//	testrun [-install] -- ARGUMENTS OF go test…
//	testrun [-install] -exec -- COMMAND…
//
// It exists because `go test` runs one process per package, and five servers
// per process would take longer than the tests. It also reads their results:
// skipped tests are listed with their reasons, and are failures when CI=true,
// unless their name has an element "capability", which declares that a backend
// can't do something, or the run is a -short one.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/spoolq/spool/internal/procgroup"
	"github.com/spoolq/spool/internal/testserver"
)

func main() {
	install := flag.Bool("install", false, "install missing servers first (Debian, as root)")
	command := flag.Bool("exec", false, "run the arguments as a command, with the servers in its environment")
	flag.Usage = func() {
		fmt.Fprintln(os.Stderr, "usage: testrun [-install] -- ARGUMENTS OF go test…\n       testrun [-install] -exec -- COMMAND…")
		flag.PrintDefaults()
	}
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code, err := run(ctx, *install, *command, flag.Args())
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "testrun:", err)
		code = 1
	}
	os.Exit(code)
}

// run returns the exit code.
func run(ctx context.Context, install, command bool, args []string) (code int, err error) {
	if install {
		if err := installMissing(ctx); err != nil {
			fmt.Fprintln(os.Stderr, "testrun: installing the servers:", err)
		}
	}
	remove, err := temporaryFolder()
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, remove()) }()
	began := time.Now()
	env, stop, errs := testserver.StartShared()
	defer stop()
	for _, err := range errs {
		fmt.Fprintln(os.Stderr, "testrun:", err)
	}
	fmt.Fprintf(os.Stderr, "testrun: %d servers run after %.1fs\n", len(env), time.Since(began).Seconds())
	if command {
		return execute(ctx, env, os.Stdout, args...)
	}
	return test(ctx, env, args)
}

// temporaryFolder makes one folder for everything that the tests leave behind
// when they are killed. Servers that run under another account pass through it.
func temporaryFolder() (remove func() error, err error) {
	dir, err := os.MkdirTemp("", "spool-test-")
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		return nil, err
	}
	for _, name := range []string{"TMPDIR", "TMP", "TEMP"} { // Unix, Windows
		if err := os.Setenv(name, dir); err != nil {
			return nil, err
		}
	}
	return func() error { return os.RemoveAll(dir) }, nil
}

// test runs go test and reports.
func test(ctx context.Context, env, args []string) (int, error) {
	r := newReport(os.Stdout)
	events, w := io.Pipe()
	read := make(chan error, 1)
	go func() { // ends when w is closed, below
		err := r.read(events)
		_, _ = io.Copy(io.Discard, events) // go test must not block on us
		read <- err
	}()
	code, err := execute(ctx, env, w, append([]string{"go", "test", "-json"}, args...)...)
	_ = w.Close() // of a pipe: never fails
	if err := errors.Join(err, <-read, ctx.Err()); err != nil {
		return 1, err
	}
	// A shortened run leaves tests out on purpose; it isn't the only one in CI.
	if !r.finish(os.Getenv("CI") == "true" && !slices.Contains(args, "-short")) {
		return max(code, 1), nil
	}
	return code, nil
}

// execute runs a command with the servers in its environment and returns its
// exit code. When ctx ends, so does the command with all that it has started.
func execute(ctx context.Context, env []string, stdout io.Writer, args ...string) (int, error) {
	if len(args) == 0 {
		return 1, errors.New("no command")
	}
	exit, err := procgroup.Run(ctx, &procgroup.Spec{
		Path: args[0], Args: args[1:], Env: append(os.Environ(), env...),
		Stdout: stdout, Stderr: os.Stderr, Grace: 10 * time.Second,
	})
	if err != nil || exit.OK() {
		return 0, err
	}
	return max(exit.Code, 1), nil
}
