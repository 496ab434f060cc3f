package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// configCommand is config.
func configCommand(e *env) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "config [key...]",
		Short: "Print the settings in force, and where each came from",
		Long: `Print the settings in force, and where each came from: a flag, the environment, a
file, or a default. Keys are Laravel's; one stands for all below it. Secrets are masked.`,
		RunE: func(_ *cobra.Command, keys []string) error { return e.printConfig(keys, asJSON) },
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object for each setting")
	return cmd
}

// setting is a line of config --json.
type setting struct {
	Key    string `json:"key"`
	Value  string `json:"value"`
	Source string `json:"source"`
}

func (e *env) printConfig(keys []string, asJSON bool) error {
	cfg, err := e.config()
	if err != nil {
		return err
	}
	met := make([]bool, len(keys))
	for _, s := range cfg.Explain() {
		show := len(keys) == 0
		for i, k := range keys {
			if s.Key == k || strings.HasPrefix(s.Key, k+".") || strings.HasPrefix(s.Key, k+"[") {
				show, met[i] = true, true
			}
		}
		switch {
		case !show:
		case asJSON:
			if err := e.object(setting{s.Key, s.Value, s.Source.String()}); err != nil {
				return err
			}
		default:
			e.say("%s", printable(fmt.Sprintf("%-46s %-32s %s", s.Key, s.Value, s.Source)))
		}
	}
	for i, k := range keys {
		if !met[i] {
			return usagef("no setting is called %q; %s config lists all", k, e.name())
		}
	}
	e.warn()
	return nil
}
