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
func (e *env) completeConnections(cmd *cobra.Command, done []string, start string) ([]string, cobra.ShellCompDirective) {
	e.quiet = true
	cfg, err := e.config()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	names := slices.Sorted(maps.Keys(cfg.Connections))
	if set, err := e.open(cmd.Context()); err == nil {
		for _, name := range set.Manager.Names() {
			if !e.configured(name) {
				names = append(names, name) // Setup's
			}
		}
	}
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
	e.quiet = true
	cfg, err := e.config()
	if err != nil {
		return nil
	}
	names := slices.Clone(cfg.Worker.Queue)
	if q, err := cfg.Connection(connection); err == nil {
		names = append(names, q.Queue)
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if conn, err := e.connection(ctx, connection); err == nil {
		names = append(names, conn.Queue)
		if held, err := conn.Queues(ctx); err == nil {
			names = append(names, held...)
		}
	}
	slices.Sort(names)
	return slices.DeleteFunc(slices.Compact(names), func(n string) bool { return n == "" })
}
