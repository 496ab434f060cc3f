package cli

import (
	"github.com/spf13/cobra"
)

// downCommand is down.
func downCommand(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "down",
		Short: "Begin maintenance mode: workers reserve no jobs",
		Long: `Begin maintenance mode: workers finish the jobs they have and reserve no more until
` + e.name() + ` up, except with --force. In a Laravel application it is the application's own
mode: its pages answer 503 too.`,
		Args: arguments(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error { return e.maintain(cmd, true) },
	}
}

// upCommand is up.
func upCommand(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "up",
		Short: "End maintenance mode",
		Args:  arguments(0, 0, ""),
		RunE:  func(cmd *cobra.Command, _ []string) error { return e.maintain(cmd, false) },
	}
}

func (e *env) maintain(cmd *cobra.Command, down bool) error {
	set, err := e.open(cmd.Context())
	if err != nil {
		return err
	}
	where, err := set.SetMaintenance(cmd.Context(), down)
	if err != nil {
		return err
	}
	e.say("Application is now %s (%s).", map[bool]string{true: "in maintenance mode", false: "live"}[down], printable(where))
	return nil
}
