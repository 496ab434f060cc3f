package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/driver"
)

// reservedCommand is queue:reserved.
func reservedCommand(e *env) *cobra.Command {
	var o listOptions
	var back bool
	cmd := &cobra.Command{
		Use:   "queue:reserved [connection]",
		Short: "List jobs whose worker is gone, and return them by hand",
		Long: `List reserved jobs whose lease has ended: their worker died, or is cut off. Workers
take them again by themselves, but not on a connection whose retry_after is null:
there --return puts them back on their queue, attempts kept.`,
		Args:              oneConnection(),
		ValidArgsFunction: e.completeConnection,
		RunE: func(cmd *cobra.Command, args []string) error {
			if back && o.json {
				return usagef("--json lists jobs, so it can't be given with --return")
			}
			conn, err := e.connection(cmd.Context(), first(args))
			if err != nil {
				return err
			}
			if back {
				return e.rescue(cmd.Context(), conn, o.queue)
			}
			return e.expired(cmd.Context(), conn, o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.queue, "queue", "", "the `QUEUE` (default: the connection's own)")
	f.BoolVar(&back, "return", false, "put them back on their queue")
	f.BoolVar(&o.json, "json", false, "print one JSON object for each job")
	e.completeQueues(cmd)
	return cmd
}

// expired lists the reservations that have ended.
func (e *env) expired(ctx context.Context, conn *spool.Connection, o listOptions) error {
	n := 0
	_, err := e.entries(ctx, conn, o.queue, driver.Reserved, func(entry driver.Entry) (bool, error) {
		if !entry.Expired {
			return true, nil
		}
		n++
		return true, e.printEntry(conn, conn.QueueOr(o.queue), entry, o)
	})
	if err == nil && n == 0 && !o.json {
		e.say("No expired reservations found.")
	}
	return err
}

// rescueBatch is how many jobs are put back at a time.
const rescueBatch = 1000

// rescue puts all expired reservations back.
func (e *env) rescue(ctx context.Context, conn *spool.Connection, queue string) error {
	var total int64
	for {
		n, err := conn.Rescue(ctx, queue, rescueBatch)
		total += int64(n)
		if err != nil {
			if total > 0 {
				e.say("Returned %s before an error.", count(total, "job"))
			}
			return cannot(err, conn, "return jobs by hand")
		}
		if n < rescueBatch {
			break
		}
	}
	e.say("Returned %s to the [%s] queue.", count(total, "job"), printable(conn.QueueOr(queue)))
	return nil
}
