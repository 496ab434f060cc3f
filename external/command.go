package external

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/internal/procgroup"
)

// The exit codes of a command that don't mean an exception, besides 0.
const (
	ExitRelease = 75  // put the job back
	ExitFail    = 100 // fail it for good
)

// tailSize is how much of a command's output an error keeps.
const tailSize = 4 << 10

// CommandOptions are the settings of [Command] and [Shell].
type CommandOptions struct {
	// Dir is the folder the command starts in; empty is the worker's.
	Dir string
	// Env is added to the worker's environment, as NAME=value; the last of a
	// name wins.
	Env []string
	// Grace is how long the command has to end after SIGTERM before it is
	// killed; 3 s. It should be below the worker's own CancelGrace. Negative
	// kills at once.
	Grace time.Duration
	// ReleaseAfter is the delay of a release that names none; 5 s.
	ReleaseAfter time.Duration
	// Memory is how many bytes the command and all it started may hold, and CPU
	// how much processor time they may use; over it they are killed, which is an
	// exception. 0 is any. They are measured a few times a second; memory is
	// resident memory, and committed memory on Windows.
	Memory int64
	CPU    time.Duration
	// Nice is the niceness of the command, 0 the worker's own.
	Nice int
	// Stdout and Stderr receive the command's output too; nil drops all but its
	// end. They must be safe for concurrent use, as jobs run side by side.
	Stdout, Stderr io.Writer
	// Output returns further writers for what the command of one job prints on
	// its two outputs; nil, for either too, is none. They are closed when the
	// command has ended, and used by one goroutine each.
	Output func(job *spool.Job) (stdout, stderr io.WriteCloser)
}

// ExitError is a command that ended otherwise than with code 0.
type ExitError struct {
	Command string // the program's name, without its arguments
	Code    int    // -1 if a signal ended it
	Signal  string // the signal that ended it, if any
	Over    string // the limit it was killed for, "memory" or "cpu", if any
	Output  string // the end of its standard error, or else of its output
}

func (e *ExitError) Error() string {
	s := e.Command + ": " + procgroup.Exit{Code: e.Code, Signal: e.Signal, Over: e.Over}.String()
	if e.Output != "" {
		s += ": " + e.Output
	}
	return s
}

// Command returns a handler that runs a program with arguments, without a
// shell. The program is looked up when a job runs, so that it may be installed
// or replaced later. It returns an error if argv is empty. The contract with
// the program is in the package's documentation.
func Command(argv []string, o *CommandOptions) (spool.HandlerFunc, error) {
	if len(argv) == 0 || argv[0] == "" {
		return nil, errors.New("the command is empty: name a program")
	}
	return command(argv[0], argv, o), nil
}

// Shell is [Command] for a line that is run by sh -c, or by cmd /C on Windows.
// The job's data reaches it only through its input and its environment, never
// as part of the line.
func Shell(line string, o *CommandOptions) (spool.HandlerFunc, error) {
	if strings.TrimSpace(line) == "" {
		return nil, errors.New("the shell command is empty: write a line")
	}
	argv := []string{"sh", "-c", line}
	if runtime.GOOS == "windows" {
		argv = []string{"cmd", "/C", line}
	}
	return command("shell command", argv, o), nil
}

func command(name string, argv []string, opts *CommandOptions) spool.HandlerFunc {
	var o CommandOptions
	if opts != nil {
		o = *opts
	}
	if o.ReleaseAfter == 0 {
		o.ReleaseAfter = 5 * time.Second
	}
	return func(ctx context.Context, job *spool.Job) error {
		env, cleanup, err := environment(job, o.Env)
		if err != nil {
			return err
		}
		defer cleanup()
		stdout, stderr := procgroup.NewTail(tailSize), procgroup.NewTail(tailSize)
		out, errs, end := o.shown(job)
		defer end()
		exit, err := procgroup.Run(ctx, &procgroup.Spec{
			Path:   argv[0],
			Args:   argv[1:],
			Dir:    o.Dir,
			Env:    env,
			Stdin:  bytes.NewReader(job.Body),
			Stdout: both(stdout, out),
			Stderr: both(stderr, errs),
			Limits: procgroup.Limits{Memory: o.Memory, CPU: o.CPU, Nice: o.Nice},
			Grace:  o.Grace,
		})
		switch {
		case err != nil && ctx.Err() != nil:
			return err
		case err != nil:
			return fmt.Errorf("can't run the command of job %s: %w; check its program and folder", job.Name, err)
		}
		return o.judge(ctx, name, exit, stdout, stderr)
	}
}

// shown returns who else receives the output of a job's command, and what to
// call when it has ended.
func (o *CommandOptions) shown(job *spool.Job) (stdout, stderr io.Writer, end func()) {
	stdout, stderr, end = o.Stdout, o.Stderr, func() {}
	if o.Output == nil {
		return stdout, stderr, end
	}
	out, errs := o.Output(job)
	if out != nil {
		stdout = also(out, o.Stdout)
	}
	if errs != nil {
		stderr = also(errs, o.Stderr)
	}
	return stdout, stderr, func() {
		for _, w := range []io.WriteCloser{out, errs} {
			if w != nil {
				_ = w.Close() // like their other errors, nothing to the command
			}
		}
	}
}

// also returns a writer to w and, if there is one, to other.
func also(w, other io.Writer) io.Writer {
	if other == nil {
		return w
	}
	return io.MultiWriter(w, other)
}

// judge turns the end of a command into the outcome of its job.
func (o *CommandOptions) judge(ctx context.Context, name string, exit procgroup.Exit, stdout, stderr *procgroup.Tail) error {
	e := &ExitError{Command: name, Code: exit.Code, Signal: exit.Signal, Over: exit.Over, Output: stderr.Text()}
	if e.Output == "" {
		e.Output = stdout.Text()
	}
	switch {
	case exit.Over != "":
		return e
	case exit.Code == ExitRelease:
		return spool.Release(releaseDelay(stdout.Bytes(), o.ReleaseAfter))
	case exit.Code == ExitFail:
		return spool.Fail(e)
	case exit.Asked && ctx.Err() != nil:
		return fmt.Errorf("%w: %w", context.Cause(ctx), e)
	case exit.OK():
		return nil
	}
	return e
}

// releaseDelay reads "spool: release D" from the last line of a command's
// output.
func releaseDelay(out []byte, def time.Duration) time.Duration {
	out = bytes.TrimSpace(out)
	line := out[bytes.LastIndexByte(out, '\n')+1:]
	text, ok := strings.CutPrefix(string(line), "spool: release ")
	if !ok {
		return def
	}
	text = strings.TrimSpace(text)
	if n, err := strconv.ParseUint(text, 10, 31); err == nil {
		return time.Duration(n) * time.Second
	}
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		return d
	}
	return def
}

// both returns a writer to one or two others.
func both(tail *procgroup.Tail, w io.Writer) io.Writer {
	if w == nil {
		return tail
	}
	return &tee{tail, w}
}

// tee writes to a tail and to another writer, whose errors don't matter to
// the command.
type tee struct {
	tail *procgroup.Tail
	w    io.Writer
}

func (t *tee) Write(b []byte) (int, error) {
	_, _ = t.w.Write(b)
	return t.tail.Write(b)
}
