package cli

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/spoolq/spool"
)

// restartCommand is queue:restart.
func restartCommand(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "queue:restart",
		Short: "Have all workers stop after their current jobs",
		Long: `Have all workers of this application stop after their current jobs, PHP's too.
Something must start them again: a supervisor, systemd, a container's restart policy.`,
		Args: arguments(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			signals, err := e.signals(cmd.Context())
			if err != nil {
				return err
			}
			for _, key := range e.set.Restarts() {
				if err := signals.Put(cmd.Context(), key, time.Now().Unix(), 0); err != nil {
					return err
				}
			}
			e.say("Broadcasting queue restart signal.")
			return nil
		},
	}
}

// pauseCommand is queue:pause.
func pauseCommand(e *env) *cobra.Command {
	var all bool
	var wait secondsFlag
	cmd := &cobra.Command{
		Use:   "queue:pause [connection:]queue",
		Short: "Have workers leave a queue alone",
		Args:  arguments(0, 1, "one queue"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return e.pause(cmd, args, all, true, time.Duration(wait))
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "all queues")
	cmd.Flags().Var(&wait, "for", "resume by itself after so long, in seconds or e.g. 10m")
	return cmd
}

// resumeCommand is queue:resume.
func resumeCommand(e *env) *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:   "queue:resume [connection:]queue",
		Short: "End queue:pause",
		Long: `End queue:pause. --all ends what --all began: a queue that was paused by its name, too, stays
paused. What is not paused is no error.`,
		Aliases: []string{"queue:continue", "continue"},
		Args:    arguments(0, 1, "one queue"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return e.pause(cmd, args, all, false, 0)
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "all queues")
	return cmd
}

// pause sets or removes the key that says that a queue is paused.
func (e *env) pause(cmd *cobra.Command, args []string, all, on bool, wait time.Duration) error {
	if all == (len(args) == 1) {
		return usagef("name a queue, or give --all")
	}
	ctx := cmd.Context()
	keys := spool.LaravelKeys()
	key, what := keys.PausedAll, "All queues"
	if !all {
		connection, queue, err := e.target(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		key, what = keys.Paused(connection, queue), "Queue "+printable(connection+":"+queue)
	}
	signals, err := e.signals(ctx)
	if err != nil {
		return err
	}
	if on {
		if err := signals.Put(ctx, key, true, wait); err != nil {
			return err
		}
		e.say("%s paused.", what)
		return nil
	}
	return e.resume(ctx, signals, key, what)
}

// resume removes the key that says that what is paused. Where it isn't there,
// what was wanted is so already: that is told, and no error.
func (e *env) resume(ctx context.Context, signals spool.Signals, key, what string) error {
	every := spool.LaravelKeys().PausedAll
	values, err := signals.Many(ctx, key, every)
	if err != nil {
		return err
	}
	_, was := values[key]
	_, all := values[every]
	switch {
	case was:
		if err := signals.Forget(ctx, key); err != nil {
			return err
		}
		e.say("%s resumed.", what)
	case key == every:
		e.say("No pause of all queues is in force: nothing to resume.")
	default:
		e.say("%s was not paused by its name: nothing to resume.", what)
	}
	if all && key != every {
		e.note("%s: warn: all queues are paused, this one too, until queue:resume --all", e.name())
	}
	return nil
}

// target splits "connection:queue"; without a colon it is a queue of the
// default connection. The name of a queue may hold further colons.
func (e *env) target(ctx context.Context, s string) (connection, queue string, err error) {
	set, err := e.open(ctx)
	if err != nil {
		return "", "", err
	}
	connection, queue, named := strings.Cut(s, ":")
	if !named {
		connection, queue = set.Config.Default, s
	}
	if err := e.known(connection); err != nil {
		return "", "", usagef("%q: %w", s, err)
	}
	if queue == "" {
		return "", "", usagef("%q: the name of a queue is empty", s)
	}
	return connection, queue, nil
}
