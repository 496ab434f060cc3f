package cli

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/spoolq/spool"
)

// batchStore returns the store of batches.
func (e *env) batchStore(ctx context.Context) (spool.BatchStore, error) {
	set, err := e.open(ctx)
	if err != nil {
		return nil, err
	}
	return set.Manager.BatchStore(ctx)
}

// batchesCommand is queue:batches, which Laravel has not.
func batchesCommand(e *env) *cobra.Command {
	var asJSON bool
	var limit int
	cmd := &cobra.Command{
		Use:   "queue:batches [ID...]",
		Short: "List batches, newest first, or show some with their failed jobs",
		Long: `List batches, newest first, with their progress: how much of them has succeeded. With
ids it shows those batches: their numbers, where their members go, what waits for their
end, and the ids of the members that have failed.`,
		Args: arguments(0, -1, "the ids of batches"),
		RunE: func(cmd *cobra.Command, ids []string) error {
			store, err := e.batchStore(cmd.Context())
			if err != nil {
				return err
			}
			if len(ids) > 0 {
				return e.eachBatch(ids, func(id string) error { return e.showBatch(cmd.Context(), store, id, asJSON) })
			}
			return e.listBatches(cmd.Context(), store, limit, asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object for each batch")
	cmd.Flags().IntVar(&limit, "limit", 100, "list at most `N`; 0: all")
	return cmd
}

// eachBatch calls fn for every id, goes on when there is no such batch, and
// ends with exit code 1 then.
func (e *env) eachBatch(ids []string, fn func(id string) error) error {
	for _, id := range ids {
		err := fn(id)
		if errors.Is(err, spool.ErrBatchNotFound) {
			e.complain(fmt.Errorf("no batch has the id %q; queue:batches lists them", id))
			e.code = exitError
			continue
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// batchLine is a batch in --json.
type batchLine struct {
	ID          string     `json:"id"`
	Name        string     `json:"name"`
	Status      string     `json:"status"`
	Total       int        `json:"total"`
	Pending     int        `json:"pending"`
	Failed      int        `json:"failed"`
	Progress    int        `json:"progress"` // percent
	CreatedAt   time.Time  `json:"created_at"`
	CancelledAt *time.Time `json:"cancelled_at,omitempty"`
	FinishedAt  *time.Time `json:"finished_at,omitempty"`

	*batchDetails
}

// batchDetails are what is shown of a batch that was asked for.
type batchDetails struct {
	Connection    string   `json:"connection,omitempty"`
	Queue         string   `json:"queue,omitempty"`
	AllowFailures bool     `json:"allow_failures"`
	Callbacks     []string `json:"callbacks,omitempty"`
	FailedIDs     []string `json:"failed_ids,omitempty"`
}

func newBatchLine(r spool.BatchRecord) batchLine {
	b := spool.Batch{BatchRecord: r}
	l := batchLine{
		ID: r.ID, Name: r.Name, Status: batchStatus(&b), Total: r.Total, Pending: r.Pending, Failed: r.Failed,
		Progress: b.Progress(), CreatedAt: r.CreatedAt,
	}
	if b.Cancelled() {
		l.CancelledAt = &r.CancelledAt
	}
	if b.Finished() {
		l.FinishedAt = &r.FinishedAt
	}
	return l
}

// batchStatus tells apart what is at work, what waits for a retry, and what is
// over.
func batchStatus(b *spool.Batch) string {
	switch {
	case b.Cancelled():
		return "cancelled"
	case b.Finished():
		return "finished"
	case b.Pending <= b.Failed && b.Failed > 0:
		return "failures" // nothing happens any more unless they are retried
	}
	return "pending"
}

func (e *env) listBatches(ctx context.Context, store spool.BatchStore, limit int, asJSON bool) error {
	if limit <= 0 {
		limit = math.MaxInt
	}
	none := true
	for before := ""; limit > 0; {
		page, err := store.List(ctx, before, min(limit, listPage))
		if err != nil {
			return err
		}
		for _, r := range page {
			none = false
			if err := e.printBatch(newBatchLine(r), asJSON); err != nil {
				return err
			}
		}
		if len(page) < min(limit, listPage) {
			break
		}
		before, limit = page[len(page)-1].ID, limit-len(page)
	}
	if none && !asJSON {
		e.say("No batches found.")
	}
	return nil
}

func (e *env) printBatch(l batchLine, asJSON bool) error {
	if asJSON {
		return e.object(l)
	}
	who := printable(strings.TrimSpace(l.ID + " " + l.Name))
	what := fmt.Sprintf("%d%% of %d, %d failed, %s", l.Progress, l.Total, l.Failed, l.Status)
	e.say("  %s %s %s %s", l.CreatedAt.Format(time.DateTime), who, dots(who, what), what)
	return nil
}

func (e *env) showBatch(ctx context.Context, store spool.BatchStore, id string, asJSON bool) error {
	r, err := store.Find(ctx, id)
	if err != nil {
		return err
	}
	l := newBatchLine(r)
	l.batchDetails = &batchDetails{
		Connection: r.Options.Connection, Queue: r.Options.Queue, AllowFailures: r.Options.AllowFailures,
		Callbacks: batchCallbacks(r.Options), FailedIDs: r.FailedIDs,
	}
	if asJSON {
		return e.object(l)
	}
	if err := e.printBatch(l, false); err != nil {
		return err
	}
	line := func(what, value string) {
		if value != "" {
			e.say("      %-12s %s", what, printable(value))
		}
	}
	line("members", fmt.Sprintf("%d succeeded, %d pending, %d failed", r.Total-r.Pending, max(r.Pending-len(r.FailedIDs), 0), len(r.FailedIDs)))
	line("connection", l.Connection)
	line("queue", l.Queue)
	if l.AllowFailures {
		line("failures", "allowed")
	}
	if l.CancelledAt != nil {
		line("cancelled", l.CancelledAt.Format(time.DateTime))
	}
	if l.FinishedAt != nil {
		line("finished", l.FinishedAt.Format(time.DateTime))
	}
	line("callbacks", strings.Join(l.Callbacks, ", "))
	for _, id := range l.FailedIDs {
		line("failed", id)
	}
	return nil
}

// batchCallbacks names what waits for the events of a batch.
func batchCallbacks(o spool.BatchOptions) (names []string) {
	for _, c := range o.Callbacks {
		names = append(names, string(c.Event))
	}
	for _, c := range o.PHP {
		names = append(names, string(c)+" (PHP)")
	}
	return names
}

// retryBatchCommand is queue:retry-batch.
func retryBatchCommand(e *env) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "queue:retry-batch ID...",
		Short: "Put the failed jobs of batches back on their queues",
		Long: `Put the failed jobs of batches back on the queues they came from, attempts reset, as
queue:retry does. A batch whose failed jobs all succeed then is finished.`,
		Args: arguments(1, -1, "the ids of batches, which queue:batches lists"),
		RunE: func(cmd *cobra.Command, ids []string) error {
			ctx := cmd.Context()
			store, err := e.batchStore(ctx)
			if err != nil {
				return err
			}
			return e.eachBatch(ids, func(id string) error {
				r, err := store.Find(ctx, id)
				if err != nil {
					return err
				}
				if len(r.FailedIDs) == 0 {
					e.complain(fmt.Errorf("batch %s has no failed jobs", id))
					e.code = exitError
					return nil
				}
				return e.retry(ctx, nil, r.FailedIDs, asJSON)
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object for each job")
	return cmd
}

// cancelBatchCommand is queue:cancel-batch, which Laravel has not.
func cancelBatchCommand(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "queue:cancel-batch ID...",
		Short: "Cancel batches",
		Long: `Cancel batches. Their jobs stay on their queues: those that ask whether their batch is
cancelled, as the middleware SkipIfBatchCancelled does, end without doing anything.`,
		Args: arguments(1, -1, "the ids of batches, which queue:batches lists"),
		RunE: func(cmd *cobra.Command, ids []string) error {
			ctx := cmd.Context()
			if _, err := e.batchStore(ctx); err != nil {
				return err
			}
			return e.eachBatch(ids, func(id string) error {
				b, err := e.set.Client.FindBatch(ctx, id)
				if err != nil {
					return err
				}
				if b.Cancelled() {
					e.say("Batch %s was cancelled before.", printable(id))
					return nil
				}
				if err := b.Cancel(ctx); err != nil {
					return err
				}
				e.say("Batch %s cancelled.", printable(id))
				return nil
			})
		},
	}
}

// pruneBatchesCommand is queue:prune-batches.
func pruneBatchesCommand(e *env) *cobra.Command {
	var asJSON bool
	hours, unfinished, cancelled := 24, 0, 0
	cmd := &cobra.Command{
		Use:   "queue:prune-batches",
		Short: "Delete the records of old batches",
		Args:  arguments(0, 0, ""),
	}
	f := cmd.Flags()
	f.IntVar(&hours, "hours", hours, "those that were finished so many `HOURS` ago, or earlier")
	f.IntVar(&unfinished, "unfinished", 0, "also those not finished that were created so many `HOURS` ago, or earlier")
	f.IntVar(&cancelled, "cancelled", 0, "also cancelled ones that were created so many `HOURS` ago, or earlier")
	f.BoolVar(&asJSON, "json", false, "print a JSON object")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if hours < 0 || unfinished < 0 || cancelled < 0 {
			return usagef("hours can't be less than 0")
		}
		store, err := e.batchStore(cmd.Context())
		if err != nil {
			return err
		}
		done := map[string]int64{}
		prune := func(name string, kind spool.BatchKind, hours int) error {
			n, err := store.Prune(cmd.Context(), kind, time.Now().Add(-time.Duration(hours)*time.Hour))
			done[name] = n
			if !asJSON && err == nil {
				e.say("%d %s deleted.", n, strings.TrimSpace(name+" entries"))
			}
			return err
		}
		err = prune("", spool.FinishedBatches, hours)
		if err == nil && f.Changed("unfinished") {
			err = prune("unfinished", spool.UnfinishedBatches, unfinished)
		}
		if err == nil && f.Changed("cancelled") {
			err = prune("cancelled", spool.CancelledBatches, cancelled)
		}
		if err != nil || !asJSON {
			return err
		}
		return e.object(prunedBatches{done[""], done["unfinished"], done["cancelled"]})
	}
	return cmd
}

// prunedBatches is what prune-batches --json prints.
type prunedBatches struct {
	Finished   int64 `json:"finished"`
	Unfinished int64 `json:"unfinished"`
	Cancelled  int64 `json:"cancelled"`
}
