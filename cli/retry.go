package cli

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/spoolq/spool/failed"
	"github.com/spoolq/spool/retry"
)

// retryCommand is queue:retry.
func retryCommand(e *env) *cobra.Command {
	var all, asJSON bool
	var queue string
	var ranges []string
	cmd := &cobra.Command{
		Use:   "queue:retry [ID... | all]",
		Short: "Put failed jobs back on their queues",
		Long: `Put failed jobs back on the queue they came from, attempts reset. Each is pushed
first and forgotten after, so that nothing can be lost in between.`,
	}
	f := cmd.Flags()
	f.BoolVar(&all, "all", false, "every failed job")
	f.StringVar(&queue, "queue", "", "every failed job of this `QUEUE`")
	f.StringSliceVar(&ranges, "range", nil, "every failed job whose row is in this `RANGE`, e.g. 1-5; queue:failed -v shows rows")
	f.BoolVar(&asJSON, "json", false, "print one JSON object for each job")
	cmd.RunE = func(cmd *cobra.Command, ids []string) error {
		if len(ids) == 1 && ids[0] == "all" {
			all, ids = true, nil
		}
		filters, err := retryFilters(all, queue, ranges, ids)
		if err != nil {
			return err
		}
		return e.retry(cmd.Context(), filters, ids, asJSON)
	}
	return cmd
}

var rangePattern = regexp.MustCompile(`^(\d+)-(\d+)$`)

// retryFilters turns the flags of queue:retry into what they choose.
func retryFilters(all bool, queue string, ranges, ids []string) ([]failed.Filter, error) {
	var filters []failed.Filter
	if all {
		filters = append(filters, failed.Filter{Queue: queue})
	} else if queue != "" {
		filters = append(filters, failed.Filter{Queue: queue})
	}
	for _, r := range ranges {
		m := rangePattern.FindStringSubmatch(r)
		if m == nil {
			return nil, usagef("--range %q: want two numbers, e.g. 1-5", r)
		}
		from, err1 := strconv.ParseInt(m[1], 10, 64)
		to, err2 := strconv.ParseInt(m[2], 10, 64)
		if err1 != nil || err2 != nil || from < 1 || to < from {
			return nil, usagef("--range %q: want two numbers from 1, the smaller first", r)
		}
		filters = append(filters, failed.Filter{Queue: queue, MinID: from, MaxID: to})
	}
	if len(filters) == 0 && len(ids) == 0 {
		return nil, usagef("which failed jobs? Name their ids (see queue:failed), or give all, --queue or --range")
	}
	return filters, nil
}

// retried is a line of retry --json.
type retried struct {
	ID         string `json:"id"`
	Connection string `json:"connection,omitempty"`
	Queue      string `json:"queue,omitempty"`
	Pushed     bool   `json:"pushed"`
	Error      string `json:"error,omitempty"`
}

// retry puts jobs back and says what became of each. It ends with exit code 1
// if one could not be put back.
func (e *env) retry(ctx context.Context, filters []failed.Filter, ids []string, asJSON bool) error {
	store, err := e.failedStore(ctx)
	if err != nil {
		return err
	}
	done, missed := 0, 0
	report := func(r retried, err error) {
		if r.Pushed = err == nil; r.Pushed {
			done++
		} else {
			missed++
			r.Error = err.Error()
		}
		switch {
		case asJSON:
			_ = e.object(r) // strings always encode
		case err != nil:
			e.complain(err)
		case !e.quiet:
			id := printable(r.ID)
			e.say("  %s %s PUSHED", id, dots(id, "PUSHED"))
		}
	}
	tell := func(o retry.Outcome) {
		err := o.Err
		if err != nil {
			err = fmt.Errorf("failed job %s stays: %w", o.Record.ID, e.explain(err))
		}
		report(retried{ID: o.Record.ID, Connection: o.Record.Connection, Queue: o.Record.Queue}, err)
	}
	for _, id := range ids {
		rec, err := store.Find(ctx, id)
		if errors.Is(err, failed.ErrNotFound) {
			report(retried{ID: id}, fmt.Errorf("no failed job has the id %q; queue:failed lists them", id))
			continue
		}
		if err == nil {
			err = retry.Jobs(ctx, e.set.Manager, store, []failed.Record{rec}, tell)
		}
		if err != nil {
			return err
		}
	}
	for _, f := range filters {
		if err := retry.All(ctx, e.set.Manager, store, f, tell); err != nil {
			return err
		}
	}
	switch {
	case missed > 0:
		e.code = exitError
	case done == 0 && !asJSON:
		e.say("No retryable jobs found.")
	}
	return nil
}
