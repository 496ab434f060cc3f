package cli

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/spoolq/spool"
)

// monitorCommand is queue:monitor.
func monitorCommand(e *env) *cobra.Command {
	var most int64
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "queue:monitor [connection:]queue,...",
		Short: "Look whether queues have grown too long",
		Long: `Count the jobs of queues. One that holds --max or more is an ALERT: the event
QueueBusy is raised, and the exit code is 1.`,
		Args: arguments(1, 1, "one list of queues, as in default,redis:mails"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return e.monitor(cmd.Context(), strings.Split(args[0], ","), most, asJSON)
		},
	}
	cmd.Flags().Int64Var(&most, "max", 1000, "alert at `N` jobs")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON array, as Laravel does")
	return cmd
}

func (e *env) monitor(ctx context.Context, names []string, most int64, asJSON bool) error {
	if most < 1 {
		return usagef("--max must be 1 or more")
	}
	all := make([]queueSize, 0, len(names))
	for _, name := range names {
		connection, queue, err := e.target(ctx, strings.TrimSpace(name))
		if err != nil {
			return err
		}
		conn, err := e.connection(ctx, connection)
		if err != nil {
			return err
		}
		q, err := e.size(ctx, conn, queue)
		if err != nil {
			return err
		}
		q.Status = "OK"
		if q.Size >= most {
			q.Status, e.code = "ALERT", exitError
			spool.Emit(ctx, e.set.Manager.Events(), spool.QueueBusy{Connection: q.Connection, Queue: q.Queue, Size: q.Size})
		}
		all = append(all, q)
	}
	e.markPaused(ctx, all)
	if asJSON {
		return e.object(all)
	}
	for _, q := range all {
		e.say("  %s", q.line(" "+q.Status))
	}
	return nil
}
