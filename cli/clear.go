package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// clearCommand is queue:clear.
func clearCommand(e *env) *cobra.Command {
	var queues []string
	var force, asJSON bool
	cmd := &cobra.Command{
		Use:   "queue:clear [connection]",
		Short: "Delete all jobs of a queue",
		Long: `Delete all jobs of a queue, reserved ones too. It asks first on a terminal, and
where app.env is production; without a terminal it then needs --force.`,
		Args:              oneConnection(),
		ValidArgsFunction: e.completeConnection,
		RunE: func(cmd *cobra.Command, args []string) error {
			return e.clear(cmd.Context(), first(args), queues, force, asJSON)
		},
	}
	cmd.Flags().StringSliceVar(&queues, "queue", nil, "the `QUEUES` (default: the connection's own)")
	cmd.Flags().BoolVar(&force, "force", false, "don't ask")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object for each queue")
	e.completeQueues(cmd)
	return cmd
}

// cleared is a line of clear --json.
type cleared struct {
	Connection string `json:"connection"`
	Queue      string `json:"queue"`
	Deleted    int64  `json:"deleted"`
}

func (e *env) clear(ctx context.Context, name string, queues []string, force, asJSON bool) error {
	conn, err := e.connection(ctx, name)
	if err != nil {
		return err
	}
	if len(queues) == 0 {
		queues = []string{conn.Queue}
	}
	if slices.Contains(queues, "") {
		return usagef("--queue holds an empty name")
	}
	if !force {
		what := fmt.Sprintf("delete all jobs of %s on %s", strings.Join(queues, ", "), conn.Name)
		if err := e.confirm(ctx, what); err != nil {
			return err
		}
	}
	for _, q := range queues {
		n, err := conn.Clear(ctx, q)
		if err != nil {
			return cannot(err, conn, "be cleared")
		}
		if asJSON {
			if err := e.object(cleared{conn.Name, q, n}); err != nil {
				return err
			}
			continue
		}
		e.say("Cleared %s from the [%s] queue", count(n, "job"), printable(q))
	}
	return nil
}

// confirm asks on a terminal. Without one it refuses in production.
func (e *env) confirm(ctx context.Context, what string) error {
	cfg, err := e.config()
	if err != nil {
		return err
	}
	if !isTerminal(e.io.In) || !isTerminal(e.io.Err) {
		if env := strings.ToLower(cfg.App.Env); env == "production" || env == "prod" {
			return fmt.Errorf("app.env is %s, and there is no terminal to ask on: give --force to %s", cfg.App.Env, what)
		}
		return nil
	}
	_, _ = fmt.Fprintf(e.io.Err, "Really %s? [y/N] ", printable(what))
	line, err := bufio.NewReader(e.io.In).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if answer := strings.ToLower(strings.TrimSpace(line)); answer != "y" && answer != "yes" {
		return errors.New("not done")
	}
	return ctx.Err()
}
