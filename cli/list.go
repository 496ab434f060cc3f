package cli

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/driver"
)

// listOptions are the flags of queue:list.
type listOptions struct {
	queue         string
	states        []string
	limit         int
	json, payload bool
}

// listCommand is queue:list.
func listCommand(e *env) *cobra.Command {
	var o listOptions
	cmd := &cobra.Command{
		Use:     "queue:list [connection]",
		Aliases: []string{"list"},
		Short:   "List the jobs of a queue",
		Long: `List the jobs of a queue as they stand, without touching them, under the ids of the
backend; -v adds their uuids. What is in a payload is shown only with --payload. beanstalkd shows the next job of each state alone, and
none that is reserved.`,
		Args:              oneConnection(),
		ValidArgsFunction: e.completeConnection,
		RunE: func(cmd *cobra.Command, args []string) error {
			return e.list(cmd.Context(), first(args), o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.queue, "queue", "", "the `QUEUE` (default: the connection's own)")
	f.StringSliceVar(&o.states, "state", nil, "only jobs in these `STATES`: pending, delayed, reserved, buried")
	f.IntVar(&o.limit, "limit", 100, "list `N` jobs at most; 0: all")
	f.BoolVar(&o.json, "json", false, "print one JSON object for each job")
	f.BoolVar(&o.payload, "payload", false, "show payloads too")
	e.completeQueues(cmd)
	return cmd
}

// listPage is how many jobs are read at a time: few, as payloads come along.
const listPage = 50

func (e *env) list(ctx context.Context, name string, o listOptions) error {
	chosen, err := states(o.states)
	if err != nil {
		return err
	}
	if o.limit < 0 {
		return usagef("--limit must not be negative")
	}
	conn, err := e.connection(ctx, name)
	if err != nil {
		return err
	}
	if onlyPeeks(conn) {
		return e.peek(ctx, conn, o)
	}
	if slices.Contains(chosen, driver.Buried) {
		return cannot(errors.ErrUnsupported, conn, "bury jobs, so there are none to list")
	}
	n := 0
	for _, state := range chosen {
		more, err := e.entries(ctx, conn, o.queue, state, func(entry driver.Entry) (bool, error) {
			if o.limit > 0 && n >= o.limit {
				return false, nil
			}
			n++
			return true, e.printEntry(conn, conn.QueueOr(o.queue), entry, o)
		})
		if err != nil {
			return err
		}
		if more {
			e.note("More than %s: --limit=0 lists all.", count(int64(n), "job"))
			return nil
		}
	}
	if n == 0 && !o.json {
		e.say("No jobs found.")
	}
	return nil
}

// entries calls fn for the jobs of a queue in one state, page by page, until it
// returns false; then it returns true.
func (e *env) entries(ctx context.Context, conn *spool.Connection, queue string, state driver.State, fn func(driver.Entry) (bool, error)) (bool, error) {
	for cursor := ""; ; {
		page, next, err := conn.List(ctx, queue, state, cursor, listPage)
		if err != nil {
			return false, cannot(err, conn, "list its jobs")
		}
		for _, entry := range page {
			if more, err := fn(entry); err != nil || !more {
				return err == nil, err
			}
		}
		if next == "" {
			return false, nil
		}
		cursor = next
	}
}

// jobEntry is a stored job in JSON.
type jobEntry struct {
	Connection string     `json:"connection"`
	Queue      string     `json:"queue"`
	State      string     `json:"state"`
	ID         string     `json:"id,omitempty"`
	UUID       string     `json:"uuid,omitempty"`
	Job        string     `json:"job"`
	Attempts   int        `json:"attempts"`
	Due        *time.Time `json:"due,omitempty"`         // of a delayed job
	LeaseEnds  *time.Time `json:"lease_ends,omitempty"`  // of a reserved job
	Expired    bool       `json:"expired,omitempty"`     // its lease has ended
	Created    *time.Time `json:"created_at,omitempty"`  // if it is known
	Bytes      int        `json:"bytes"`                 // of its payload
	Payload    string     `json:"payload,omitempty"`     // with --payload
	Binary     string     `json:"payload_b64,omitempty"` // instead, if it isn't text
}

// describe reads what can be shown of a stored job.
func describe(conn *spool.Connection, queue string, entry driver.Entry) jobEntry {
	j := jobEntry{
		Connection: conn.Name, Queue: queue, State: string(entry.State), ID: entry.ID, Job: noJob,
		Attempts: entry.Attempts, Expired: entry.Expired, Bytes: len(entry.Body),
	}
	if !entry.At.IsZero() {
		if entry.State == driver.Delayed {
			j.Due = &entry.At
		} else {
			j.LeaseEnds = &entry.At
		}
	}
	if !entry.Created.IsZero() {
		j.Created = &entry.Created
	}
	if p, _ := conn.Format.Decode(entry.Body); p != nil { // also of one that only PHP can run
		j.UUID, j.Job = p.UUID, p.DisplayName
		if j.Job == "" {
			j.Job = p.Name
		}
		if j.ID == "" {
			j.ID = p.ID
		}
	}
	return j
}

// noJob is what is called so that can't be read as a job.
const noJob = "(not a job)"

func (e *env) printEntry(conn *spool.Connection, queue string, entry driver.Entry, o listOptions) error {
	j := describe(conn, queue, entry)
	if o.json {
		switch {
		case o.payload && utf8.Valid(entry.Body):
			j.Payload = string(entry.Body)
		case o.payload:
			j.Binary = base64.StdEncoding.EncodeToString(entry.Body)
		}
		return e.object(j)
	}
	name := printable(j.Job)
	text := fmt.Sprintf("%s #%d", j.State, j.Attempts)
	switch {
	case j.Expired:
		text += ", lease ended " + age(time.Since(entry.At)) + " ago"
	case !entry.At.IsZero():
		text += ", until " + entry.At.Local().Format(time.DateTime)
	}
	e.say("  %s %s %s %s", printable(j.ID), name, dots(j.ID+name, text), text)
	if e.verbose > 0 && j.UUID != "" {
		e.say("      uuid %s", printable(j.UUID))
	}
	if o.payload {
		e.say("      %s", printable(string(entry.Body)))
	}
	return nil
}
