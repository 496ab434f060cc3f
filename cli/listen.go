package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/listen"
)

// listenOptions are the flags of queue:listen that queue:work doesn't have.
type listenOptions struct {
	nice int
	cpu  secondsFlag
}

// listenCommand is queue:listen.
func listenCommand(e *env) *cobra.Command {
	var o listenOptions
	cmd := &cobra.Command{
		Use:   "queue:listen [connection]",
		Short: "Work each job in a process of its own",
		Long: `Work the jobs of a connection one by one, each in a process of its own: it is killed,
with all it started, when it outlives --timeout or takes more than --memory, and a
program that was rebuilt is used from the next job on. Slower than queue:work.

SIGTERM, SIGINT and SIGQUIT let the running job end; a second one kills it.`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: e.completeConnection,
	}
	f := cmd.Flags()
	flags := workerFlags(f, "name", "queue", "tries", "timeout", "backoff", "sleep", "rest", "memory", "force", "json")
	f.IntVar(&o.nice, "nice", 0, "`PRIORITY` of the processes: up to 19 is nicer to others")
	f.Var(&o.cpu, "cpu-limit", "processor time that a job may use; 0: any")
	e.completeQueues(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		e.flags = flags.given(f)
		return e.listen(cmd.Context(), f, first(args), o)
	}
	return cmd
}

// listen runs children until a signal comes.
func (e *env) listen(ctx context.Context, f *pflag.FlagSet, connection string, o listenOptions) error {
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
	if conn.Driver().Traits().Instant {
		return usagef("connection %s runs jobs as they are pushed: there is nothing to listen for", conn.Name)
	}
	if err := conn.Ping(ctx); err != nil {
		return err
	}
	w := set.Config.Worker
	abort := make(chan struct{})
	ctx, stop := handleSignals(ctx, &parent{abort: abort})
	defer stop()
	work := listen.Work{
		Connection: connection, Queues: w.Queue, Tries: &w.Tries, Backoff: w.Backoff, Timeout: w.Timeout,
		Memory: w.Memory, Force: w.Force, Flags: e.childFlags(w.JSON),
	}
	if f.Changed("name") {
		work.Name = w.Name
	}
	res, err := listen.Run(ctx, work, &listen.Options{
		Dir: e.io.Dir, Env: e.io.Env, Stdout: e.io.Out, Stderr: e.io.Err, Sleep: w.Sleep, Rest: w.Rest,
		CPU: time.Duration(o.cpu), Nice: o.nice, Abort: abort, Logger: e.logger(),
		Wait: func(ctx context.Context) error { return waitForJob(ctx, conn, w.Queue, w.Sleep) },
	})
	e.code = res.ExitCode
	return err
}

// childFlags are the global flags that a child needs as we had them.
func (e *env) childFlags(json bool) []string {
	var flags []string
	for _, f := range [][2]string{{"--config", e.configFile}, {"--env-file", e.envFile}, {"--laravel", e.laravel}} {
		if f[1] != "" {
			flags = append(flags, f[0]+"="+f[1])
		}
	}
	if json {
		flags = append(flags, "--json")
	}
	if e.quiet {
		flags = append(flags, "--quiet")
	}
	for range e.verbose {
		flags = append(flags, "--verbose")
	}
	return flags
}

// parent is queue:listen as signals steer it. Pausing is queue:pause's.
type parent struct{ abort chan struct{} }

func (p *parent) Pause()  {}
func (p *parent) Resume() {}
func (p *parent) Abort() {
	select {
	case <-p.abort:
	default:
		close(p.abort)
	}
}

// lookEvery is how often a child looks even if nothing seems to wait: leases
// that have ended are not announced.
const lookEvery = 15 * time.Second

// waitForJob returns when one of the queues may have a job. Where the backend
// only polls, its looks are checked by a count, as a child costs much more.
func waitForJob(ctx context.Context, conn *spool.Connection, queues []string, sleep time.Duration) error {
	waiter, ok := conn.Driver().(driver.Waiter)
	if !ok {
		return sleepFor(ctx, sleep)
	}
	queues = queuesOf(conn, queues)
	for until := time.Now().Add(lookEvery); time.Now().Before(until); {
		if err := waiter.Wait(ctx, queues, min(time.Until(until), lookEvery)); err != nil {
			return err
		}
		for _, q := range queues {
			size, err := conn.Size(ctx, q)
			if errors.Is(err, errors.ErrUnsupported) || err == nil && size.Pending > 0 {
				return nil
			}
			if err != nil {
				return fmt.Errorf("looking for jobs: %w", err)
			}
		}
	}
	return ctx.Err()
}

func sleepFor(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
