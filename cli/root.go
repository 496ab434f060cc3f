package cli

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// rootCommand returns the tree of commands. Every command is made by a
// function in the file named after it.
func rootCommand(e *env) *cobra.Command {
	root := &cobra.Command{
		Use:           e.name(),
		Short:         "Job queues that speak Laravel",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs,
		PersistentPreRun: func(*cobra.Command, []string) {
			e.began = true
		},
	}
	root.RunE = func(_ *cobra.Command, args []string) error {
		if len(args) == 0 {
			return root.Help()
		}
		return unknownCommand(root, args[0])
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		for _, a := range e.args {
			if cmd == root && !strings.HasPrefix(a, "-") {
				return unknownCommand(root, a) // its flags are unknown for that reason
			}
		}
		if no, ok := errors.AsType[*pflag.NotExistError](err); ok {
			err = fmt.Errorf("%w%s", err, didYouMean("--", no.GetSpecifiedName(), flagNames(cmd)))
		}
		return usagef("%w; see %s --help", err, cmd.CommandPath())
	})
	f := root.PersistentFlags()
	f.Var(&textFlag{to: &e.configFile, kind: "FILE"}, "config", "read settings from this file (default: spool.yaml, if there is one)")
	f.Var(&textFlag{to: &e.envFile, kind: "FILE"}, "env-file", "read Laravel's variables from this .env file (default: .env, if there is one)")
	f.Var(&textFlag{to: &e.laravel, kind: "VERSION"}, "laravel", "take the defaults of this version of Laravel, e.g. 11")
	f.CountVarP(&e.verbose, "verbose", "v", "say more; twice: say everything")
	f.BoolVarP(&e.quiet, "quiet", "q", false, "say only results and errors")
	root.AddGroup(
		&cobra.Group{ID: groupWork, Title: "Working jobs:"},
		&cobra.Group{ID: groupQueue, Title: "Queues and jobs:"},
		&cobra.Group{ID: groupFailed, Title: "Failed jobs:"},
		&cobra.Group{ID: groupBatches, Title: "Batches:"},
		&cobra.Group{ID: groupSchedule, Title: "Jobs at set times:"},
		&cobra.Group{ID: groupSetup, Title: "Setting up:"},
	)
	listed := commands(e)
	root.AddCommand(listed...)
	root.SetHelpCommandGroupID(groupSetup)
	root.SetCompletionCommandGroupID(groupSetup)
	root.SetUsageFunc(func(c *cobra.Command) error {
		all := slices.Clone(listed)
		for _, c := range root.Commands() { // help and completion are the library's
			if !slices.Contains(all, c) {
				all = append(all, c)
			}
		}
		return showUsage(c, all)
	})
	return root
}

// The groups of the help text.
const (
	groupWork     = "work"
	groupQueue    = "queue"
	groupFailed   = "failed"
	groupBatches  = "batches"
	groupSchedule = "schedule"
	groupSetup    = "setup"
)

// command gives a command its group and its short name.
func command(group, alias string, c *cobra.Command) *cobra.Command {
	c.GroupID = group
	if alias != "" {
		c.Aliases = append([]string{alias}, c.Aliases...)
	}
	return c
}

// commands lists every command, the more important first.
func commands(e *env) []*cobra.Command {
	list := []*cobra.Command{
		command(groupWork, "work", workCommand(e)),
		command(groupWork, "listen", listenCommand(e)),
		command(groupWork, "workers", workersCommand(e)),
		command(groupWork, "restart", restartCommand(e)),
		command(groupWork, "", subscribeCommand(e)),
		command(groupWork, "pause", pauseCommand(e)),
		command(groupWork, "resume", resumeCommand(e)),
		command(groupWork, "", downCommand(e)),
		command(groupWork, "", upCommand(e)),
		command(groupQueue, "push", pushCommand(e)),
		command(groupQueue, "size", sizeCommand(e)),
		command(groupQueue, "jobs", listCommand(e)),
		command(groupQueue, "monitor", monitorCommand(e)),
		command(groupQueue, "reserved", reservedCommand(e)),
		command(groupQueue, "kick", kickCommand(e)),
		command(groupQueue, "clear", clearCommand(e)),
		command(groupQueue, "locks", lockListCommand(e)),
		command(groupQueue, "", lockReleaseCommand(e)),
		command(groupQueue, "", chainStatusCommand(e)),
		command(groupFailed, "failed", failedCommand(e)),
		command(groupFailed, "retry", retryCommand(e)),
		command(groupFailed, "forget", forgetCommand(e)),
		command(groupFailed, "flush", flushCommand(e)),
		command(groupFailed, "prune-failed", pruneFailedCommand(e)),
		command(groupBatches, "batches", batchesCommand(e)),
		command(groupBatches, "retry-batch", retryBatchCommand(e)),
		command(groupBatches, "cancel-batch", cancelBatchCommand(e)),
		command(groupBatches, "prune-batches", pruneBatchesCommand(e)),
		command(groupSchedule, "", scheduleListCommand(e)),
		command(groupSchedule, "", scheduleRunCommand(e)),
		command(groupSchedule, "", scheduleWorkCommand(e)),
		command(groupSchedule, "", schedulePauseCommand(e)),
		command(groupSchedule, "", scheduleResumeCommand(e)),
		command(groupSetup, "", demoCommand(e)),
		command(groupSetup, "", initCommand(e)),
		command(groupSetup, "", migrateCommand(e)),
		command(groupSetup, "", checkCommand(e)),
		command(groupSetup, "", configCommand(e)),
		command(groupSetup, "", makeJobCommand(e)),
		command(groupSetup, "", makeStubCommand(e)),
	}
	for _, k := range tableKinds() {
		list = append(list, command(groupSetup, "", tableCommand(e, k)))
	}
	return append(list, command(groupSetup, "", versionCommand(e)))
}

// unknownCommand says so, and what may have been meant.
func unknownCommand(root *cobra.Command, name string) error {
	var known []string
	for _, c := range root.Commands() {
		known = append(append(known, c.Name()), c.Aliases...)
	}
	return usagef("unknown command %q%s; see %s --help", name, didYouMean("", name, known), root.Name())
}

func flagNames(cmd *cobra.Command) []string {
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			names = append(names, f.Name)
		}
	})
	return names
}

// didYouMean suggests known names near to one that isn't, by the measure of
// the command line's library.
func didYouMean(dash, name string, known []string) string {
	measure := &cobra.Command{SuggestionsMinimumDistance: 2}
	for _, k := range known {
		measure.AddCommand(&cobra.Command{Use: k, Run: func(*cobra.Command, []string) {}})
	}
	near := measure.SuggestionsFor(name)
	if len(near) == 0 {
		return ""
	}
	return "; did you mean " + dash + strings.Join(near[:min(len(near), 3)], " or "+dash) + "?"
}
