package cli

import (
	"context"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"

	"github.com/spf13/cobra"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/listen"
	"github.com/spoolq/spool/worker"
)

// workCommand is queue:work.
func workCommand(e *env) *cobra.Command {
	var once bool
	cmd := &cobra.Command{
		Use:   "queue:work [connection]",
		Short: "Work the jobs of a connection, as a daemon",
		Long: `Work the jobs of a connection (default: the default one) until stopped.

SIGTERM, SIGINT and SIGQUIT let running jobs end (up to --grace), then hand the
rest back and exit; a second one exits at once. SIGUSR2 pauses, SIGCONT resumes.`,
		Args:              oneConnection(),
		ValidArgsFunction: e.completeConnection,
	}
	f := cmd.Flags()
	flags := workerFlags(f)
	e.completeQueues(cmd)
	f.BoolVar(&once, "once", false, "work one job, then exit")
	f.Bool("daemon", false, "no effect: this is the default")
	_ = f.MarkHidden("daemon")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		e.flags = flags.given(f)
		if !once && !f.Changed("daemon") {
			e.keepsRunning(first(args))
		}
		return e.work(cmd.Context(), first(args), once)
	}
	return cmd
}

// keepsRunning tells those who come from think-queue 1 or 2, whose queue:work
// stops after one job.
func (e *env) keepsRunning(connection string) {
	cfg, err := e.config()
	if err != nil || e.variable(listen.EnvChild) != "" {
		return // work says what is wrong
	}
	if c, err := cfg.Connection(connection); err == nil && c.Profile == "tq1" {
		e.note("%s: this worker keeps running: think-queue 1 and 2 stop after one job without --daemon, as --once does", e.name())
	}
}

// first returns the first argument, or "".
func first(args []string) string {
	if len(args) > 0 {
		return args[0]
	}
	return ""
}

// work runs a worker until it stops.
func (e *env) work(ctx context.Context, connection string, once bool) error {
	set, err := e.open(ctx)
	if err != nil {
		return err
	}
	if err := e.bootChecks(ctx, connection); err != nil {
		return err
	}
	conn, err := e.connection(ctx, connection)
	if err != nil {
		return err
	}
	opts, err := set.WorkerOptions(ctx)
	if err != nil {
		return err
	}
	child := e.variable(listen.EnvChild) != ""
	opts.Once, opts.Identity.Unlisted = once, child // listed is the parent
	w := worker.New(conn, set.Mux, opts)
	e.lines = e.newJobLines(set.Config.Worker.JSON)
	e.lines.listen(set.Manager.Events())
	var popped atomic.Int64
	spool.Listen(set.Manager.Events(), func(context.Context, spool.JobPopped) { popped.Add(1) })
	if !once && !child {
		spool.Listen(set.Manager.Events(), func(context.Context, spool.WorkerStarting) { e.begin(conn, opts.Queues, opts.FailUnknown) })
	}
	ctx, stop := handleSignals(ctx, w)
	defer stop()
	res, err := w.Run(ctx)
	if e.code = res.ExitCode; err == nil && e.code == worker.ExitOK && popped.Load()+res.Processed == 0 && child {
		e.code = listen.ExitEmpty
	}
	return err
}

// begin says what a worker is about to do, and warns of one that can do
// nothing.
func (e *env) begin(conn *spool.Connection, queues []string, fail bool) {
	w := e.set.Config.Worker
	if !w.JSON && !e.quiet {
		e.say("  Processing jobs from the [%s] %s.", printable(strings.Join(queuesOf(conn, queues), ",")),
			map[bool]string{true: "queues", false: "queue"}[len(queues) > 1])
	}
	if !e.set.Mux.Empty() {
		return
	}
	what := "put back, for another worker"
	if fail {
		what = "failed"
	}
	e.note("%[1]s: warn: no job has a handler here: every one that comes will be %[2]s. Name commands or URLs under jobs: in spool.yaml (%[1]s init writes one), or start the worker of the application that knows the jobs", e.name(), what)
}

// queuesOf is what a worker works.
func queuesOf(conn *spool.Connection, queues []string) []string {
	if len(queues) == 0 {
		return []string{conn.Queue}
	}
	all := make([]string, len(queues))
	for i, q := range queues {
		all[i] = conn.QueueOr(q)
	}
	return all
}

// steered is what signals act on.
type steered interface {
	Pause()
	Resume()
	Abort()
}

// handleSignals has the process's signals steer a worker until stop is called.
// The first that ends it ends the context, the second aborts.
func handleSignals(ctx context.Context, w steered) (_ context.Context, stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, stopSignals...)
	notifyPause(signals)
	done := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-done:
				return
			case s := <-signals:
				switch {
				case isPause(s):
					w.Pause()
				case isResume(s):
					w.Resume()
				case ctx.Err() == nil:
					cancel()
				default:
					w.Abort()
				}
			}
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(done)
		<-ended
		cancel()
	}
}
