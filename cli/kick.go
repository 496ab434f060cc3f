package cli

import (
	"context"

	"github.com/spf13/cobra"
)

// kickCommand is queue:kick, which Laravel has not.
func kickCommand(e *env) *cobra.Command {
	var queue string
	var most int
	cmd := &cobra.Command{
		Use:   "queue:kick [connection]",
		Short: "Make buried jobs available again",
		Long: `Make jobs available again that were buried: by bury() in PHP, or by beanstalkd when it
was out of memory. No worker gets them until then. They keep their attempts: give the
worker --tries if they were attempted.`,
		Args:              oneConnection(),
		ValidArgsFunction: e.completeConnection,
		RunE: func(cmd *cobra.Command, args []string) error {
			return e.kick(cmd.Context(), first(args), queue, most)
		},
	}
	cmd.Flags().StringVar(&queue, "queue", "", "the `QUEUE` (default: the connection's own)")
	cmd.Flags().IntVar(&most, "max", 1000, "kick `N` jobs at most")
	e.completeQueues(cmd)
	return cmd
}

func (e *env) kick(ctx context.Context, name, queue string, most int) error {
	if most < 1 {
		return usagef("--max must be 1 or more")
	}
	conn, err := e.connection(ctx, name)
	if err != nil {
		return err
	}
	n, err := conn.Kick(ctx, queue, most)
	if err != nil {
		return cannot(err, conn, "bury jobs, so there is nothing to kick")
	}
	e.say("Kicked %s of the [%s] queue.", count(int64(n), "job"), printable(conn.QueueOr(queue)))
	return nil
}
