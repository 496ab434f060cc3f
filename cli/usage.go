package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// showUsage prints how a command is called. Commands stand in the order of
// importance that listed has, with their short names.
func showUsage(c *cobra.Command, listed []*cobra.Command) error {
	var b strings.Builder
	b.WriteString("Usage:\n")
	if c.HasParent() {
		fmt.Fprintf(&b, "  %s\n", c.UseLine())
		if len(c.Aliases) > 0 {
			fmt.Fprintf(&b, "\nOther names:\n  %s\n", c.NameAndAliases())
		}
	} else {
		fmt.Fprintf(&b, "  %s COMMAND [flags]\n", c.CommandPath())
	}
	if c.HasExample() {
		fmt.Fprintf(&b, "\nExamples:\n%s\n", c.Example)
	}
	if c.HasAvailableSubCommands() {
		if c.HasParent() {
			listed = c.Commands()
		}
		listCommands(&b, c.Groups(), listed)
	}
	for _, f := range []struct {
		title string
		flags *pflag.FlagSet
	}{{"Flags", c.LocalFlags()}, {"Global flags", c.InheritedFlags()}} {
		if f.flags.HasAvailableFlags() {
			fmt.Fprintf(&b, "\n%s:\n%s\n", f.title, strings.TrimRight(f.flags.FlagUsages(), "\n "))
		}
	}
	_, err := c.OutOrStderr().Write([]byte(b.String()))
	return err
}

// listCommands lists commands by group; a command of a command has none.
func listCommands(b *strings.Builder, groups []*cobra.Group, listed []*cobra.Command) {
	if len(groups) == 0 {
		groups = []*cobra.Group{{Title: "Commands:"}}
	}
	for _, g := range groups {
		fmt.Fprintf(b, "\n%s\n", g.Title)
		for _, c := range listed {
			if c.GroupID == g.ID && c.IsAvailableCommand() {
				fmt.Fprintf(b, "  %-46s %s\n", c.NameAndAliases(), c.Short)
			}
		}
	}
}

// arguments checks how many arguments a command gets: most is 0 for none and
// negative for any number. what says what they are.
func arguments(least, most int, what string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		path := c.CommandPath()
		switch {
		case len(args) < least:
			return usagef("%s needs %s; see %s --help", path, what, path)
		case most == 0 && len(args) > 0:
			return usagef("%s takes no arguments, and was given %q; see %s --help", path, args[0], path)
		case most > 0 && len(args) > most:
			return usagef("%s takes %s, and was given %q besides; see %s --help", path, what, args[most], path)
		}
		return nil
	}
}

// oneConnection are the arguments of most commands.
func oneConnection() cobra.PositionalArgs { return arguments(0, 1, "the name of one connection") }
