package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
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
with all it started, when it outlives --timeout or takes --memory, and a
program that was rebuilt is used from the next job on. Slower than queue:work.

SIGTERM, SIGINT and SIGQUIT let the running job end; a second one kills it.`,
		Args:              oneConnection(),
		ValidArgsFunction: e.completeConnection,
	}
	f := cmd.Flags()
	flags := workerFlags(f, "name", "queue", "tries", "timeout", "backoff", "sleep", "rest", "memory", "force", "exclusive-env", "json")
	f.Lookup("memory").Usage = "kill a job whose processes take so many megabytes, and exit with code 12 when it holds them itself; 0: never"
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
	leave, err := e.present(ctx, conn, w.Queue)
	if err != nil {
		return err
	}
	defer leave()
	e.begin(conn, w.Queue, w.FailUnknown)
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
		Wait: (&watch{conn, queuesOf(conn, w.Queue), w.Sleep, e.returns(conn.Name)}).wait,
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

const (
	// lookEvery is how often a child looks even if nothing seems to wait: not
	// every backend can tell of leases that have ended.
	lookEvery = 15 * time.Second
	// shortestLull and longestLull bound the pauses between looks that found
	// nothing. The parent reserves nothing, so that a backend's wake-up, meant
	// for one who does, may come again and again.
	shortestLull = 5 * time.Millisecond
	longestLull  = 250 * time.Millisecond
)

// watch tells when a child would have something to do.
type watch struct {
	conn    *spool.Connection
	queues  []string
	sleep   time.Duration
	expired bool // reservations that have ended are taken again
}

// returns says whether workers of a connection take expired reservations.
func (e *env) returns(connection string) bool {
	c, err := e.set.Config.Connection(connection)
	return err != nil || c.RetryAfter != nil
}

// wait returns when one of the queues seems to have a job. Every wake-up is
// checked by a look, as a child costs much more.
func (w *watch) wait(ctx context.Context) error {
	waiter, ok := w.conn.Driver().(driver.Waiter)
	if !ok || w.conn.Driver().Traits().WaitTakes { // a job that we take is none for the child
		return sleepFor(ctx, w.sleep)
	}
	lull := shortestLull
	for until := time.Now().Add(lookEvery); time.Now().Before(until); lull = min(2*lull, longestLull) {
		if err := waiter.Wait(ctx, w.queues, time.Until(until)); err != nil {
			return err
		}
		for _, q := range w.queues {
			if ready, err := w.ready(ctx, q); ready || err != nil {
				return err
			}
		}
		if err := sleepFor(ctx, lull); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// reservedLook is how many reservations are looked at for one that has ended.
const reservedLook = 10

// ready says whether a child would find a job, or that it can't be told. A
// delayed job that is due, and one whose lease has ended, join the others only
// when somebody reserves.
func (w *watch) ready(ctx context.Context, queue string) (bool, error) {
	size, err := w.conn.Size(ctx, queue)
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		return true, nil
	case err != nil:
		return false, fmt.Errorf("looking for jobs: %w", err)
	case size.Pending > 0 || size.Approximate:
		return true, nil
	}
	if size.Delayed > 0 {
		ready, err := w.any(ctx, queue, driver.Delayed, 1, func(e driver.Entry) bool { return !e.At.After(time.Now()) })
		if ready || err != nil {
			return ready, err
		}
	}
	if size.Reserved == 0 || !w.expired {
		return false, nil
	}
	return w.any(ctx, queue, driver.Reserved, reservedLook, func(e driver.Entry) bool { return e.Expired })
}

// any says whether one of the first jobs in a state is as asked for. It is
// false where jobs can't be listed.
func (w *watch) any(ctx context.Context, queue string, state driver.State, most int, is func(driver.Entry) bool) (bool, error) {
	entries, _, err := w.conn.List(ctx, queue, state, "", most)
	if err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return false, fmt.Errorf("looking for jobs: %w", err)
	}
	return slices.ContainsFunc(entries, is), nil
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
