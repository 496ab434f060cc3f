package cli

import (
	"io"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/spoolq/spool/internal/doctest"
)

// TestCommandsInTheDocs holds every call of spool that a document shows to the
// command line: its command, its flags, the number of its arguments.
func TestCommandsInTheDocs(t *testing.T) {
	shown, err := doctest.Commands("..")
	if err != nil {
		t.Fatal(err)
	}
	if len(shown) == 0 {
		t.Fatal("the documents show no command")
	}
	for _, c := range shown {
		args := words(c.Text)[1:]
		if len(args) == 0 {
			continue
		}
		e := &env{app: &App{}, io: IO{Out: io.Discard, Err: io.Discard}, args: args}
		root := rootCommand(e)
		root.InitDefaultHelpCmd()
		root.InitDefaultCompletionCmd(args...)
		cmd, rest, err := root.Find(args)
		switch {
		case err != nil:
		case cmd == root && strings.HasPrefix(args[0], "-"):
			continue
		case cmd == root:
			err = unknownCommand(root, args[0])
		default:
			err = parses(cmd, rest)
		}
		if err != nil {
			t.Errorf("%s:%d: %s: %v", c.File, c.Line, c.Text, err)
		}
	}
}

func parses(cmd *cobra.Command, args []string) error {
	cmd.InitDefaultHelpFlag()
	if err := cmd.ParseFlags(args); err != nil {
		return err
	}
	if err := cmd.ValidateFlagGroups(); err != nil {
		return err
	}
	return cmd.ValidateArgs(cmd.Flags().Args())
}

// words splits a line as a shell does, as far as documents go: blanks, quotes,
// and an end at what a shell takes for itself.
func words(line string) []string {
	var out []string
	var word strings.Builder
	quote, inWord := rune(0), false
	end := func() {
		if inWord {
			out = append(out, word.String())
		}
		word.Reset()
		inWord = false
	}
	for _, r := range line {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(r)
		case r == '\'' || r == '"':
			quote, inWord = r, true
		case r == ' ':
			end()
		case strings.ContainsRune("|&;<>", r):
			end()
			return out
		default:
			word.WriteRune(r)
			inWord = true
		}
	}
	end()
	return out
}
