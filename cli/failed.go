package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/spoolq/spool/failed"
)

// failedStore returns the store of failed jobs, or says that there is none.
func (e *env) failedStore(ctx context.Context) (failed.Store, error) {
	set, err := e.open(ctx)
	if err != nil {
		return nil, err
	}
	if f := set.Config.Failed; f.Driver != "null" && f.Driver != "file" {
		if err := set.Absent(f.Database); err != nil { // to look must not make a file
			return nil, fmt.Errorf("failed jobs: %w", err)
		}
	}
	store, err := set.Failed(ctx)
	if err == nil && store == nil {
		return nil, errors.New("failed jobs are not recorded: queue.failed.driver is null; set it to database-uuids, database or file")
	}
	return store, err
}

// failedCommand is queue:failed.
func failedCommand(e *env) *cobra.Command {
	var asJSON bool
	var queue string
	cmd := &cobra.Command{
		Use:   "queue:failed",
		Short: "List the failed jobs, newest first",
		Long: `List the failed jobs, newest first. -v adds the number of the row, which retry
--range chooses by, and the first line of the exception. Payloads are not shown.`,
		Args: arguments(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			store, err := e.failedStore(cmd.Context())
			if err != nil {
				return err
			}
			return e.listFailed(cmd.Context(), store, failed.Filter{Queue: queue}, asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object for each job")
	cmd.Flags().StringVar(&queue, "queue", "", "only those of this `QUEUE`")
	return cmd
}

// failedLine is a failed job in --json; the payload is not shown.
type failedLine struct {
	ID         string    `json:"id"`
	Row        int64     `json:"row,omitempty"` // what retry --range chooses by
	UUID       string    `json:"uuid,omitempty"`
	Connection string    `json:"connection"`
	Queue      string    `json:"queue"`
	Class      string    `json:"class"`
	Exception  string    `json:"exception"`
	FailedAt   time.Time `json:"failed_at"`
}

// listFailed prints page by page, so that any number costs the same memory.
func (e *env) listFailed(ctx context.Context, store failed.Store, f failed.Filter, asJSON bool) error {
	none := true
	for cursor := ""; ; {
		recs, next, err := store.List(ctx, f, cursor, listPage)
		if err != nil {
			return err
		}
		for _, r := range recs {
			none = false
			if err := e.printFailed(r, asJSON); err != nil {
				return err
			}
		}
		if next == "" {
			break
		}
		cursor = next
	}
	if none && !asJSON {
		e.say("No failed jobs found.")
	}
	return nil
}

func (e *env) printFailed(r failed.Record, asJSON bool) error {
	class := e.className(r)
	if asJSON {
		return e.object(failedLine{
			r.ID, r.Row, r.UUID, r.Connection, r.Queue, class, firstLine(r.Exception), r.FailedAt,
		})
	}
	id, where := printable(r.ID), printable(r.Connection+"@"+r.Queue+" "+class)
	e.say("  %s %s %s %s", r.FailedAt.Format(time.DateTime), id, dots(id, where), where)
	if e.verbose > 0 {
		row := ""
		if r.Row > 0 {
			row = fmt.Sprintf("row %d: ", r.Row)
		}
		e.say("      %s%s", row, printable(firstLine(r.Exception)))
	}
	return nil
}

// className is what a failed job is called.
func (e *env) className(r failed.Record) string {
	var p struct {
		DisplayName string `json:"displayName"`
		Job         string `json:"job"`
	}
	switch err := json.Unmarshal(r.Payload, &p); {
	case err != nil || p.DisplayName == "" && p.Job == "":
		return noJob
	case p.DisplayName != "":
		return p.DisplayName
	}
	return p.Job
}

// forgetCommand is queue:forget.
func forgetCommand(e *env) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "queue:forget ID...",
		Short: "Delete failed jobs",
		Args:  arguments(1, -1, "the ids of failed jobs, which queue:failed lists"),
		RunE: func(cmd *cobra.Command, ids []string) error {
			store, err := e.failedStore(cmd.Context())
			if err != nil {
				return err
			}
			for _, id := range ids {
				n, err := store.Forget(cmd.Context(), id)
				if err != nil {
					return err
				}
				if n == 0 {
					e.code = exitError
				}
				switch {
				case asJSON:
					err = e.object(forgotten{id, n > 0})
				case n == 0:
					e.complain(fmt.Errorf("no failed job has the id %q; queue:failed lists them", id))
				default:
					e.say("Failed job %s deleted.", printable(id))
				}
				if err != nil {
					return err
				}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object for each job")
	return cmd
}

// forgotten is a line of forget --json.
type forgotten struct {
	ID      string `json:"id"`
	Deleted bool   `json:"deleted"`
}

// flushCommand is queue:flush.
func flushCommand(e *env) *cobra.Command {
	var hours int
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "queue:flush",
		Short: "Delete all failed jobs",
		Args:  arguments(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return e.flush(cmd, hours, asJSON, "Failed jobs deleted: %d.")
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON object")
	cmd.Flags().IntVar(&hours, "hours", 0, "only those that failed so many `HOURS` ago, or earlier")
	return cmd
}

// pruneFailedCommand is queue:prune-failed.
func pruneFailedCommand(e *env) *cobra.Command {
	var hours int
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "queue:prune-failed",
		Short: "Delete old failed jobs",
		Args:  arguments(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if hours < 1 {
				return usagef("--hours must be 1 or more; queue:flush deletes all")
			}
			return e.flush(cmd, hours, asJSON, "%d entries deleted.")
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON object")
	cmd.Flags().IntVar(&hours, "hours", 24, "those that failed so many `HOURS` ago, or earlier")
	return cmd
}

func (e *env) flush(cmd *cobra.Command, hours int, asJSON bool, report string) error {
	if hours < 0 {
		return usagef("--hours must not be negative")
	}
	store, err := e.failedStore(cmd.Context())
	if err != nil {
		return err
	}
	var until time.Time
	if hours > 0 {
		until = time.Now().Add(-time.Duration(hours) * time.Hour)
	}
	n, err := store.Flush(cmd.Context(), until)
	if err != nil {
		return fmt.Errorf("after %d were deleted: %w", n, err)
	}
	if asJSON {
		return e.object(struct {
			Deleted int64 `json:"deleted"`
		}{n})
	}
	e.say(report, n)
	return nil
}
