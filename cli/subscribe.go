package cli

import (
	"github.com/spf13/cobra"
)

// subscribeCommand is queue:subscribe of think-queue 1 and 2, which no version
// of it could carry out. It is there to say what to do instead.
func subscribeCommand(_ *env) *cobra.Command {
	return &cobra.Command{
		Use:                "queue:subscribe",
		Short:              "Not supported: have a URL called for each job instead",
		Hidden:             true,
		DisableFlagParsing: true,
		RunE: func(*cobra.Command, []string) error {
			return usagef("queue:subscribe is not supported, nor is the connector Topthink: no version of think-queue that had them worked. Have Spool call a URL for each job: jobs: [{name: …, url: …}] in spool.yaml")
		},
	}
}
