package spool

import (
	"context"
	"errors"
	"math"
	"time"
)

// BatchEvent is a moment in the life of a batch that callbacks wait for.
type BatchEvent string

// The events of a batch, in Laravel's words.
const (
	BatchProgress BatchEvent = "progress" // members have ended; at most once a second, and at the end
	BatchThen     BatchEvent = "then"     // every member has succeeded
	BatchCatch    BatchEvent = "catch"    // the first member has failed
	BatchFinally  BatchEvent = "finally"  // every member has ended
)

// Errors of batches.
var (
	ErrBatchNotFound = errors.New("no such batch")
	ErrNoBatches     = errors.New("there is no store for batches")
	ErrNotBatched    = errors.New("the job belongs to no batch")
)

// BatchRecord is what is stored of a batch: Laravel's job_batches.
type BatchRecord struct {
	ID, Name string
	// Total counts the members, Pending those that have not succeeded, failed
	// ones included. Failed counts failures.
	Total, Pending, Failed int
	// FailedIDs are the UUIDs of the members that have failed and not succeeded
	// since. A store may keep the first few thousand only.
	FailedIDs []string
	Options   BatchOptions
	CreatedAt time.Time
	// CancelledAt and FinishedAt are zero until then. A batch that is cancelled
	// is finished too, although members may still run.
	CancelledAt, FinishedAt time.Time
}

// BatchOptions are the settings of a batch.
type BatchOptions struct {
	Connection, Queue string // where members go that say nothing else
	AllowFailures     bool   // a failure doesn't cancel the batch
	Callbacks         []BatchCallback
	// PHP are the events for which a PHP application waits with closures.
	PHP []BatchEvent
}

// BatchCallback is a job that is pushed when a batch has come to an event.
type BatchCallback struct {
	Event             BatchEvent
	UUID              string
	Connection, Queue string
	Delay             time.Duration
	Body              []byte
}

// Batch is a batch as it was when it was read; its methods ask or change what
// is stored, and leave the value as it is. They are safe for concurrent use.
type Batch struct {
	BatchRecord
	b *batching
}

// Processed returns how many members have succeeded.
func (b *Batch) Processed() int { return b.Total - b.Pending }

// Progress returns how much has succeeded, in percent.
func (b *Batch) Progress() int {
	if b.Total <= 0 {
		return 0
	}
	return int(math.Round(float64(b.Processed()) / float64(b.Total) * 100))
}

// Ended says whether every member has ended, well or not.
func (b *Batch) Ended() bool { return b.counts().Ended() }

// Finished says whether every member has succeeded, or the batch was cancelled.
func (b *Batch) Finished() bool { return !b.FinishedAt.IsZero() }

// Cancelled says whether the batch was cancelled.
func (b *Batch) Cancelled() bool { return !b.CancelledAt.IsZero() }

func (b *Batch) counts() BatchCounts { return b.BatchRecord.Counts() }

// Counts returns the numbers of a record.
func (r *BatchRecord) Counts() BatchCounts {
	return BatchCounts{
		Total: r.Total, Pending: r.Pending, Failed: r.Failed, Failing: len(r.FailedIDs),
		Cancelled: !r.CancelledAt.IsZero(), Finished: !r.FinishedAt.IsZero(),
	}
}

// Fresh reads the batch again.
func (b *Batch) Fresh(ctx context.Context) (*Batch, error) { return b.b.find(ctx, b.ID) }

// Add adds jobs to the batch, e.g. from one of its members, while that runs: a
// batch can't come to its end before. A batch that is finished is open again.
// Jobs go where the batch says, unless they say otherwise; see [With].
func (b *Batch) Add(ctx context.Context, jobs ...any) error {
	return b.b.add(ctx, &b.BatchRecord, jobs)
}

// Cancel cancels the batch, once. Members are not taken off their queues: they
// run unless they ask (see [SkipIfBatchCancelled]).
func (b *Batch) Cancel(ctx context.Context) error {
	store, err := b.b.opened(ctx)
	if err != nil {
		return err
	}
	done, err := store.Cancel(ctx, b.ID)
	if done {
		b.b.forget(b.ID)
		Emit(ctx, b.b.m.events, BatchCancelled{ID: b.ID, Name: b.Name})
	}
	return err
}

// Delete forgets the batch and its callbacks. Members that are queued run, and
// are counted nowhere.
func (b *Batch) Delete(ctx context.Context) error {
	store, err := b.b.opened(ctx)
	if err != nil {
		return err
	}
	return store.Delete(ctx, b.ID)
}

// Wait waits until every member has ended, or ctx does, and returns the batch
// as it is then. progress, if not nil, is called from this goroutine whenever
// the numbers have changed, and at the end. A batch can be added to later.
func (b *Batch) Wait(ctx context.Context, progress func(b *Batch)) (*Batch, error) {
	var last BatchCounts
	for pause := 20 * time.Millisecond; ; pause = min(pause*2, time.Second) {
		now, err := b.Fresh(ctx)
		if err != nil {
			return b, err
		}
		if c := now.counts(); c != last {
			if last, pause = c, max(pause/4, 20*time.Millisecond); progress != nil {
				progress(now)
			}
		}
		if now.Ended() {
			return now, nil
		}
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return now, ctx.Err()
		}
	}
}

// FindBatch returns the batch with this ID, or [ErrBatchNotFound].
func (c *Client) FindBatch(ctx context.Context, id string) (*Batch, error) {
	b, err := c.manager.batches()
	if err != nil {
		return nil, err
	}
	return b.find(ctx, id)
}

// BatchFrom returns the batch of the job that ctx belongs to: as a member, or
// as a callback. It reads the store. [ErrNotBatched] if there is none.
func BatchFrom(ctx context.Context) (*Batch, error) {
	job := JobFrom(ctx)
	if job == nil || job.Payload == nil || job.Payload.BatchID == "" {
		return nil, ErrNotBatched
	}
	if job.batching == nil {
		return nil, ErrNoBatches
	}
	return job.batching.find(ctx, job.Payload.BatchID)
}

// SkipIfBatchCancelled is a [Middleware] that ends members of a cancelled batch
// without running them; they count as done, as in Laravel. Whether a batch is
// cancelled is asked at most twice a second.
func SkipIfBatchCancelled(next HandlerFunc) HandlerFunc {
	return func(ctx context.Context, job *Job) error {
		if p := job.Payload; p != nil && p.BatchID != "" && p.BatchEvent == "" && job.batching != nil {
			cancelled, err := job.batching.cancelled(ctx, p.BatchID)
			if err != nil {
				return err
			}
			if cancelled {
				return nil
			}
		}
		return next(ctx, job)
	}
}

// BatchDispatched is raised when a batch and its members were stored.
type BatchDispatched struct {
	ID, Name string
	Total    int
}

// BatchStarted is raised when the first members of a batch have ended.
type BatchStarted struct{ ID string }

// BatchFinished is raised when every member of a batch has succeeded.
type BatchFinished struct{ ID string }

// BatchCancelled is raised when a batch was cancelled, by hand or (without
// Name) by its first failure.
type BatchCancelled struct{ ID, Name string }

func (BatchDispatched) kind() int { return kindBatchDispatched }
func (BatchStarted) kind() int    { return kindBatchStarted }
func (BatchFinished) kind() int   { return kindBatchFinished }
func (BatchCancelled) kind() int  { return kindBatchCancelled }
