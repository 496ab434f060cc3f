package cli

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// completeConnections completes the names of connections.
func (e *env) completeConnections(_ *cobra.Command, done []string, start string) ([]string, cobra.ShellCompDirective) {
	cfg, err := e.config()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	names := slices.Sorted(maps.Keys(cfg.Connections))
	names = slices.DeleteFunc(names, func(n string) bool { return !strings.HasPrefix(n, start) || slices.Contains(done, n) })
	return names, cobra.ShellCompDirectiveNoFileComp
}

// completeConnection completes the name of the one connection that a command
// takes.
func (e *env) completeConnection(cmd *cobra.Command, done []string, start string) ([]string, cobra.ShellCompDirective) {
	if len(done) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return e.completeConnections(cmd, done, start)
}

// completeQueues has a command complete the names of queues behind --queue:
// those of the settings, and those that hold jobs if the server says so at
// once.
func (e *env) completeQueues(cmd *cobra.Command) {
	err := cmd.RegisterFlagCompletionFunc("queue", func(cmd *cobra.Command, args []string, start string) ([]string, cobra.ShellCompDirective) {
		before := start[:strings.LastIndexByte(start, ',')+1]
		var out []string
		for _, q := range e.queueNames(cmd.Context(), first(args)) {
			if q = before + q; strings.HasPrefix(q, start) && printable(q) == q {
				out = append(out, q)
			}
		}
		return out, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	})
	if err != nil {
		panic(err) // the command has no such flag
	}
}

func (e *env) queueNames(ctx context.Context, connection string) []string {
	cfg, err := e.config()
	if err != nil {
		return nil
	}
	q, err := cfg.Connection(connection)
	if err != nil {
		return nil
	}
	names := append([]string{q.Queue}, cfg.Worker.Queue...)
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if conn, err := e.connection(ctx, q.Name); err == nil {
		if held, err := conn.Queues(ctx); err == nil {
			names = append(names, held...)
		}
	}
	slices.Sort(names)
	return slices.DeleteFunc(slices.Compact(names), func(n string) bool { return n == "" })
}
