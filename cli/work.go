package cli

import (
	"context"
	"os"
	"os/signal"

	"github.com/spf13/cobra"

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
		Args: cobra.MaximumNArgs(1),
	}
	f := cmd.Flags()
	flags := workerFlags(f)
	f.BoolVar(&once, "once", false, "work one job, then exit")
	f.Bool("daemon", false, "no effect: this is the default")
	_ = f.MarkHidden("daemon")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		e.flags = flags.given(f)
		return e.work(cmd.Context(), arg(args, 0), once)
	}
	return cmd
}

// arg returns the i-th argument, or "".
func arg(args []string, i int) string {
	if i < len(args) {
		return args[i]
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
	conn, err := set.Manager.Connection(ctx, connection)
	if err != nil {
		return err
	}
	opts, err := set.WorkerOptions(ctx)
	if err != nil {
		return err
	}
	opts.Once = once
	w := worker.New(conn, set.Mux, opts)
	e.newJobLines(set.Config.Worker.JSON).listen(set.Manager.Events())
	ctx, stop := handleSignals(ctx, w)
	defer stop()
	res, err := w.Run(ctx)
	e.code = res.ExitCode
	return err
}

// handleSignals has the process's signals steer a worker until stop is called.
func handleSignals(ctx context.Context, w *worker.Worker) (_ context.Context, stop func()) {
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
