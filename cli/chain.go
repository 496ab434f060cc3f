package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/spoolq/spool/chain"
	"github.com/spoolq/spool/driver"
)

// chainStatusCommand is chain:status.
func chainStatusCommand(e *env) *cobra.Command {
	var asJSON bool
	var limit int
	cmd := &cobra.Command{
		Use:   "chain:status ID",
		Short: "Show how far a chain has come",
		Long: `Show the link at which a chain stands: queued, running or failed, and what is to come.
ID is the chain's (which its dispatch returns), or that link's uuid. A failed chain
goes on when its link is retried.

A chain is nowhere but in its link, so all queues of the connections in use are
searched, and the failed jobs; what is found nowhere has come to its end.`,
		Args: arguments(1, 1, "the id of one chain"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if limit < 0 {
				return usagef("--limit must not be negative")
			}
			return e.chainStatus(cmd.Context(), args[0], limit, asJSON)
		},
	}
	f := cmd.Flags()
	f.IntVar(&limit, "limit", 10_000, "look at `N` jobs at most of each queue and state, and as many failed ones; 0: all")
	f.BoolVar(&asJSON, "json", false, "print a JSON object")
	return cmd
}

// chainJSON is chain:status --json.
type chainJSON struct {
	ID       string     `json:"id"`
	Links    []linkJSON `json:"links"`
	Looked   int        `json:"looked"`             // how many jobs were looked at
	Unlisted []string   `json:"unlisted,omitempty"` // queues that can't be looked at
	Cut      bool       `json:"cut,omitempty"`      // there were more than --limit
}

type linkJSON struct {
	Connection string     `json:"connection"`
	Queue      string     `json:"queue"`
	State      string     `json:"state"`
	UUID       string     `json:"uuid"`
	Job        string     `json:"job"`
	Attempts   int        `json:"attempts,omitempty"`
	Due        *time.Time `json:"due,omitempty"`
	LeaseEnds  *time.Time `json:"lease_ends,omitempty"`
	Expired    bool       `json:"expired,omitempty"`
	FailedAt   *time.Time `json:"failed_at,omitempty"`
	Chain      string     `json:"chain"`
	Before     int        `json:"before"` // links that went before
	Next       []string   `json:"next"`
	Catch      []string   `json:"catch,omitempty"`
}

func (e *env) chainStatus(ctx context.Context, id string, limit int, asJSON bool) error {
	set, err := e.open(ctx)
	if err != nil {
		return err
	}
	store, err := set.Failed(ctx)
	if err != nil {
		return err
	}
	o := &chain.Options{Connections: set.Used(), Most: limit}
	if limit == 0 {
		o.Most = -1
	}
	s, err := chain.Find(ctx, set.Manager, store, id, o)
	if err != nil {
		return err
	}
	if asJSON {
		return e.object(chainAsJSON(s))
	}
	for _, l := range s.Links {
		e.printLink(l)
	}
	if len(s.Links) == 0 {
		e.say("No link of this chain was found: it has come to its end, if the id is right.")
	}
	if len(s.Unlisted) > 0 {
		e.note("These queues can't be looked at: %s.", printable(strings.Join(s.Unlisted, ", ")))
	}
	if s.Cut {
		e.note("There are more jobs than %d: --limit=0 looks at all.", limit)
	}
	return nil
}

func (e *env) printLink(l chain.Link) {
	text := string(l.State)
	switch {
	case l.State == driver.Reserved && l.Expired:
		text = "its worker is gone"
	case l.State == driver.Reserved:
		text = fmt.Sprintf("running #%d", l.Attempts)
	case !l.At.IsZero():
		text += map[bool]string{true: " ", false: " until "}[l.State == chain.Failed] + l.At.Local().Format(time.DateTime)
	}
	name := printable(l.Name)
	e.say("  %s %s %s", name, dots(name, text), text)
	e.say("  link %d of %d, %s, on %s:%s", l.Chain.At+1, l.Chain.At+1+len(l.Chain.Next), printable(l.UUID), printable(l.Connection), printable(l.Queue))
	if n := len(l.Chain.Next); n > 0 {
		e.say("  next: %s", printable(strings.Join(shortened(l.Chain.Next), ", ")))
	}
	if len(l.Chain.Catch) > 0 {
		e.say("  if it fails: %s", printable(strings.Join(shortened(l.Chain.Catch), ", ")))
	}
}

// shortened returns the first few of many names.
func shortened(names []string) []string {
	const most = 10
	if len(names) <= most {
		return names
	}
	return append(names[:most:most], fmt.Sprintf("and %d more", len(names)-most))
}

func chainAsJSON(s *chain.Status) chainJSON {
	out := chainJSON{ID: s.ID, Links: []linkJSON{}, Looked: s.Looked, Unlisted: s.Unlisted, Cut: s.Cut}
	for _, l := range s.Links {
		j := linkJSON{
			Connection: l.Connection, Queue: l.Queue, State: string(l.State), UUID: l.UUID, Job: l.Name, Attempts: l.Attempts,
			Expired: l.Expired, Chain: l.Chain.ID, Before: l.Chain.At, Next: append([]string{}, l.Chain.Next...), Catch: l.Chain.Catch,
		}
		if at := &l.At; !at.IsZero() {
			switch l.State {
			case driver.Delayed:
				j.Due = at
			case driver.Reserved:
				j.LeaseEnds = at
			case chain.Failed:
				j.FailedAt = at
			}
		}
		out.Links = append(out.Links, j)
	}
	return out
}
