package cli

import (
	"github.com/spf13/cobra"
)

// rootCommand returns the tree of commands. Every command is made by a
// function in the file named after it.
func rootCommand(e *env) *cobra.Command {
	root := &cobra.Command{
		Use:               "spool",
		Short:             "Job queues that speak Laravel",
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: false},
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usagef("%v; see %s --help", err, cmd.CommandPath())
	})
	f := root.PersistentFlags()
	f.StringVar(&e.configFile, "config", "", "settings file (default: spool.yaml, if there is one)")
	f.StringVar(&e.envFile, "env-file", "", ".env file of a Laravel application")
	f.StringVar(&e.laravel, "laravel", "", "Laravel version whose defaults apply, e.g. 11")
	f.CountVarP(&e.verbose, "verbose", "v", "say more; twice: say everything")
	f.BoolVarP(&e.quiet, "quiet", "q", false, "say only errors")
	root.AddGroup(
		&cobra.Group{ID: groupWork, Title: "Working jobs:"},
		&cobra.Group{ID: groupQueue, Title: "Queues and jobs:"},
		&cobra.Group{ID: groupFailed, Title: "Failed jobs:"},
		&cobra.Group{ID: groupSetup, Title: "Setting up:"},
	)
	for _, c := range commands(e) {
		root.AddCommand(c)
	}
	root.SetHelpCommandGroupID(groupSetup)
	root.SetCompletionCommandGroupID(groupSetup)
	return root
}

// The groups of the help text.
const (
	groupWork   = "work"
	groupQueue  = "queue"
	groupFailed = "failed"
	groupSetup  = "setup"
)

// command gives a command its group and its short name.
func command(group, alias string, c *cobra.Command) *cobra.Command {
	c.GroupID = group
	if alias != "" {
		c.Aliases = append(c.Aliases, alias)
	}
	return c
}

// commands lists every command.
func commands(e *env) []*cobra.Command {
	return []*cobra.Command{
		command(groupWork, "work", workCommand(e)),
		command(groupSetup, "", versionCommand(e)),
	}
}
