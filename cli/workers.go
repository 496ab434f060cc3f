package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/presence"
)

// workersCommand is queue:workers, which Laravel has not.
func workersCommand(e *env) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "queue:workers [connection...]",
		Short: "List who works the queues",
		Long: `List the workers of the named connections (default: the default one and those that the
settings name): all that share their queues, of whatever application and host. What is
told of one is up to 15 seconds old. One that died is listed for a minute more. Workers of PHP keep no record, so they can't be seen;
nor can any on beanstalkd and SQS, which have no place for records.`,
		ValidArgsFunction: e.completeConnections,
		RunE: func(cmd *cobra.Command, names []string) error {
			return e.workers(cmd.Context(), names, asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object for each worker")
	return cmd
}

func (e *env) workers(ctx context.Context, names []string, asJSON bool) error {
	set, err := e.open(ctx)
	if err != nil {
		return err
	}
	named := len(names) > 0
	if !named {
		names = set.Used()
	}
	seen := map[string]bool{} // several connections may lead to one place
	listed, asked := 0, 0
	for _, name := range names {
		conn, err := e.connection(ctx, name)
		if err != nil {
			return err
		}
		if conn.Driver().Traits().Instant && !named {
			continue
		}
		workers, err := presence.List(ctx, conn)
		switch _, can := conn.Driver().(driver.Registrar); {
		case errors.Is(err, errors.ErrUnsupported) && !can && !named:
			e.note("%s: connection %s: the driver %s keeps no records of workers", e.name(), conn.Name, conn.Driver().Traits().Driver)
			continue
		case errors.Is(err, errors.ErrUnsupported) && !can:
			return cannot(err, conn, "list workers")
		case err != nil:
			return err
		}
		asked++
		for i := range workers {
			if seen[workers[i].ID] {
				continue
			}
			seen[workers[i].ID] = true
			listed++
			if err := e.printWorker(&workers[i], asJSON); err != nil {
				return err
			}
		}
	}
	if listed == 0 && asked > 0 && !asJSON {
		e.say("No workers found.")
	}
	e.note("Workers of PHP keep no record: they can't be seen here.")
	return nil
}

// late is the age from which a record is worth a word: it should have been
// renewed.
const late = 30 * time.Second

func (e *env) printWorker(w *presence.Record, asJSON bool) error {
	if asJSON {
		return e.object(w)
	}
	who := printable(strings.Join(slices.DeleteFunc([]string{
		fmt.Sprintf("%s:%d", w.Host, w.PID), w.User, w.App, w.Env,
	}, func(s string) bool { return s == "" }), " "))
	what := fmt.Sprintf("%s, %d of %d busy, %s, %d failed", w.State, w.Running, w.Concurrency, count(w.Processed, "job"), w.Failed)
	if !w.Started.IsZero() {
		what += ", up " + age(time.Since(w.Started))
	}
	if d := time.Since(w.Seen); d > late && !w.Seen.IsZero() {
		what += ", last seen " + age(d) + " ago"
	}
	what = printable(w.Connection + ":" + strings.Join(w.Queues, ",") + " " + what)
	e.say("  %s %s %s", who, dots(who, what), what)
	return nil
}

// present registers queue:listen beside its queues until the function it
// returns is called. Its children keep no records.
func (e *env) present(ctx context.Context, conn *spool.Connection, queues []string) (leave func(), err error) {
	id := e.set.Identity()
	p, err := presence.Join(ctx, conn, presence.Record{
		Name: e.set.Config.Worker.Name, App: id.App, Env: id.Env, Exclusive: id.Exclusive, Queues: queues, Concurrency: 1,
	}, e.logger())
	if err != nil {
		return nil, err
	}
	keeping, stop := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.Keep(keeping, nil)
	}()
	return func() {
		stop()
		<-done
		p.Leave()
	}, nil
}
