package listen

import (
	"cmp"
	"context"
	"io"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spoolq/spool"
)

// Work is what a child is told: the flags of queue:work.
type Work struct {
	// Connection is the queue connection; empty is the default one.
	Connection string
	// Name is the worker's name; empty leaves it to the child.
	Name string
	// Queues are tried in this order; empty is the connection's own.
	Queues []string
	// Tries is how many attempts a job has that doesn't say itself; nil leaves
	// it to the child, 0 is any number.
	Tries *int
	// Backoff is the wait before the next attempts; nil leaves it to the child.
	Backoff []time.Duration
	// Timeout is how long a job may run, and also the most that a child may
	// take whatever its job says, see the package's documentation. 0 is any time.
	Timeout time.Duration
	// Memory is how many megabytes a child, with all it started, may hold before
	// it is killed, and the parent before it stops. 0 is any.
	Memory int
	// Force works in maintenance mode too.
	Force bool
	// Flags are passed as they stand, e.g. --env-file=/srv/app/.env.
	Flags []string
}

// Args returns the arguments that start a child.
func (w *Work) Args() []string {
	args := []string{"queue:work"}
	if w.Connection != "" {
		args = append(args, w.Connection)
	}
	// The parent does the sleeping: an idle child would only run into its timeout.
	args = append(args, "--once", "--sleep=0")
	add := func(name, value string) { args = append(args, "--"+name+"="+value) }
	if w.Name != "" {
		add("name", w.Name)
	}
	if len(w.Queues) > 0 {
		add("queue", strings.Join(w.Queues, ","))
	}
	if w.Tries != nil {
		add("tries", strconv.Itoa(*w.Tries))
	}
	if w.Backoff != nil {
		add("backoff", spool.BackoffText(w.Backoff))
	}
	add("timeout", seconds(w.Timeout))
	add("memory", strconv.Itoa(w.Memory))
	if w.Force {
		args = append(args, "--force")
	}
	return append(args, w.Flags...)
}

func seconds(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', -1, 64) }

// Options are the settings of the parent.
type Options struct {
	// Executable is the program of the children, a path or a name that is looked
	// up in PATH, anew for each; [Executable]().
	Executable string
	// Dir is the folder children start in; the one that was current when Run
	// began.
	Dir string
	// Env is their environment; ours. [EnvChild] is added to it.
	Env []string
	// Stdout and Stderr receive what children print; os.Stdout and os.Stderr.
	Stdout, Stderr io.Writer
	// Wait is called when a child has found no job, and returns when there may
	// be one, or when it is time to look by a child again; an error other than
	// ctx's is logged, and waited for Sleep. As looking costs a process, it
	// should not return for nothing; if it does, it is slowed down to Sleep. nil
	// means to sleep for Sleep.
	Wait func(ctx context.Context) error
	// Sleep is the wait after a child that has found no job; 3 s.
	Sleep time.Duration
	// Rest is a pause after each child that had a job; none.
	Rest time.Duration
	// CancelGrace is how long a child's handler has to return after its timeout.
	// The child has it from its own settings, which must agree; 5 s, the
	// worker's default.
	CancelGrace time.Duration
	// Slack is how much longer than its job's timeout and CancelGrace a child
	// may live: the time to start, to reserve and to settle; 5 s.
	Slack time.Duration
	// CPU is how much processor time a child, with all it started, may use
	// before it is killed; 0 is any.
	CPU time.Duration
	// Nice is the niceness of the children; 0 is ours.
	Nice int
	// Abort, when closed, kills the child that Run waits for after the end of its
	// context; nil never does.
	Abort <-chan struct{}
	// Logger is for what an operator should know; slog.Default().
	Logger *slog.Logger
}

// withDefaults returns a copy with every default filled in.
func (o *Options) withDefaults() (Options, error) {
	var c Options
	if o != nil {
		c = *o
	}
	var err error
	if c.Executable, err = locate(cmp.Or(c.Executable, Executable())); err != nil {
		return c, err
	}
	if c.Dir == "" {
		if c.Dir, err = os.Getwd(); err != nil {
			return c, err
		}
	}
	if c.Env == nil {
		c.Env = os.Environ()
	}
	c.Env = append(c.Env[:len(c.Env):len(c.Env)], EnvChild+"=1")
	if c.Stdout == nil {
		c.Stdout = os.Stdout
	}
	if c.Stderr == nil {
		c.Stderr = os.Stderr
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	c.Sleep = cmp.Or(c.Sleep, 3*time.Second)
	c.CancelGrace = cmp.Or(c.CancelGrace, 5*time.Second)
	c.Slack = cmp.Or(c.Slack, 5*time.Second)
	return c, nil
}
