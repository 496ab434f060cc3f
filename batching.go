package spool

import (
	"context"
	"crypto/sha1" //nolint:gosec // what version 5 of UUIDs is made of
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/spoolq/spool/internal/gather"
)

// BatchingOptions are the options of [Manager.UseBatches].
type BatchingOptions struct {
	// Open opens the store, when it is first needed; after a failure the next
	// use tries again. The store is its owner's to close.
	Open func(ctx context.Context) (BatchStore, error)
	// PHP returns a job that has a PHP worker call the closures with which a
	// PHP application waits for an event of its batch; package laravel has one.
	// failure is why the member failed that brought it about, as far as known.
	// nil: such closures stay owed until a process that has it comes by.
	PHP func(b BatchRecord, e BatchEvent, failure string) (job any, err error)
	// Sweep is how often a process with a worker looks for callbacks that are
	// owed: because a process died, or PHP recorded the last end. Default: 15 s;
	// less than 0: never.
	Sweep time.Duration
	// Logger is told of callbacks that could not be pushed; slog.Default().
	Logger *slog.Logger
}

// batching is what a manager does about batches.
type batching struct {
	m    *Manager
	o    BatchingOptions
	ends *gather.Gather[BatchEnd, *BatchChange]

	opening sync.Mutex
	store   BatchStore

	mu      sync.Mutex
	seen    map[string]*seenBatch
	workers int
	stop    context.CancelFunc // of the sweeper, while there are workers
	swept   chan struct{}      // closed when it has ended
	told    string             // the sweeper's last error
}

// seenBatch is what a process remembers of a batch.
type seenBatch struct {
	progress   bool      // somebody waits for progress; false until asked
	asked      bool      // whether progress is known
	progressed time.Time // when it was last told
	cancelled  bool
	checked    time.Time // when cancelled was read
}

// UseBatches has the manager's clients and workers keep batches in a store.
// Call it once, before the first worker starts.
func (m *Manager) UseBatches(o BatchingOptions) {
	if o.Sweep == 0 {
		o.Sweep = 15 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	b := &batching{m: m, o: o, seen: make(map[string]*seenBatch)}
	b.ends = gather.New(maxGather, b.record)
	m.mu.Lock()
	taken := m.batching != nil
	m.batching = b
	m.mu.Unlock()
	if taken {
		panic("spool: two stores for batches")
	}
	follow := Follower(b.follow)
	m.followers.batch.Store(&follow)
	Listen(m.events, b.processing)
	Listen(m.events, func(ctx context.Context, _ WorkerStarting) { b.begin(ctx) })
	Listen(m.events, func(context.Context, WorkerStopping) { b.end() })
}

// BatchStore returns the store of batches, opened.
func (m *Manager) BatchStore(ctx context.Context) (BatchStore, error) {
	b, err := m.batches()
	if err != nil {
		return nil, err
	}
	return b.opened(ctx)
}

func (m *Manager) batches() (*batching, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.batching == nil {
		return nil, fmt.Errorf("%w: see Manager.UseBatches", ErrNoBatches)
	}
	return m.batching, nil
}

func (b *batching) opened(ctx context.Context) (BatchStore, error) {
	b.opening.Lock()
	defer b.opening.Unlock()
	if b.store == nil {
		s, err := b.o.Open(ctx)
		if err != nil {
			return nil, err
		}
		b.store = s
	}
	return b.store, nil
}

func (b *batching) find(ctx context.Context, id string) (*Batch, error) {
	store, err := b.opened(ctx)
	if err != nil {
		return nil, err
	}
	r, err := store.Find(ctx, id)
	if err != nil {
		return nil, err
	}
	return &Batch{BatchRecord: r, b: b}, nil
}

// maxSeen bounds how many batches a process remembers.
const maxSeen = 10_000

// remember calls fn with what is remembered of a batch.
func (b *batching) remember(id string, fn func(s *seenBatch)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.seen[id]
	if s == nil {
		if len(b.seen) >= maxSeen {
			clear(b.seen)
		}
		s = new(seenBatch)
		b.seen[id] = s
	}
	fn(s)
}

func (b *batching) forget(id string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.seen, id)
}

// cancelled is asked by every member: it reads twice a second.
func (b *batching) cancelled(ctx context.Context, id string) (cancelled bool, err error) {
	now, known := time.Now(), false
	b.remember(id, func(s *seenBatch) {
		if cancelled, known = s.cancelled, now.Sub(s.checked) < time.Second/2; !known && !s.checked.IsZero() {
			s.checked = now // the others need not ask meanwhile: they know what it was
		}
	})
	if known {
		return cancelled, nil
	}
	batch, err := b.find(ctx, id)
	switch {
	case errors.Is(err, ErrBatchNotFound):
	case err != nil:
		b.forget(id)
		return false, err
	default:
		cancelled = batch.Cancelled()
	}
	b.remember(id, func(s *seenBatch) { s.cancelled, s.checked = cancelled, now })
	return cancelled, nil
}

// processing makes a batch known to its job, and keeps a callback that is on
// its queue twice, after a crash, from running twice.
func (b *batching) processing(ctx context.Context, e JobProcessing) {
	p := e.Job.Payload
	if p == nil || p.BatchID == "" {
		return
	}
	e.Job.batching = b
	if p.BatchEvent == "" || p.BatchEvent == BatchProgress {
		return
	}
	store, err := b.opened(ctx)
	if err != nil {
		return // better twice than never
	}
	may, err := store.Begin(ctx, p.BatchID, e.Job.UUID, p.BatchClaim)
	if err == nil && may {
		may, err = b.goesOn(ctx, p)
	}
	if err == nil && !may {
		e.Job.stale = true
		e.Job.Delete()
	}
}

// follow is the Follower of members and callbacks.
func (b *batching) follow(ctx context.Context, job *Job, failure error) error {
	p := job.Payload
	if p == nil || p.BatchID == "" {
		return nil
	}
	if p.BatchEvent != "" {
		if failure != nil || job.stale || p.BatchEvent == BatchProgress {
			return nil
		}
		store, err := b.opened(ctx)
		if err != nil {
			return err
		}
		return store.Mark(ctx, p.BatchID, job.UUID, CallbackRan)
	}
	uuids, why := []string{job.UUID}, ""
	if failure != nil {
		why = failure.Error()
		behind, err := job.membersBehind()
		if err != nil {
			return Fail(err)
		}
		uuids = append(uuids, behind...)
	}
	for _, uuid := range uuids {
		change, err := b.ends.Do(ctx, BatchEnd{Batch: p.BatchID, UUID: uuid, Failed: failure != nil})
		if change != nil {
			b.changed(ctx, *change, why)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// record is the flush of b.ends: one transaction for the members of all
// batches that have ended meanwhile. One member of each batch gets to know what
// has become of it: the first, or the first that has failed.
func (b *batching) record(ctx context.Context, ends []BatchEnd) ([]*BatchChange, []error) {
	results, errs := make([]*BatchChange, len(ends)), make([]error, len(ends))
	ctx, cancel := context.WithTimeout(ctx, pushTimeout)
	defer cancel()
	store, err := b.opened(ctx)
	var changes []BatchChange
	if err == nil {
		changes, err = store.Record(ctx, ends)
	}
	if err != nil {
		for i := range errs {
			errs[i] = err
		}
		return results, errs
	}
	first := make(map[string]int, 4)
	for i, e := range ends {
		if at, ok := first[e.Batch]; !ok || e.Failed && !ends[at].Failed {
			first[e.Batch] = i
		}
	}
	for i := range changes {
		results[first[changes[i].ID]] = &changes[i]
	}
	return results, errs
}

// changed does what follows a change: events, and callbacks. What can't be
// pushed now is owed, and found by a sweep.
func (b *batching) changed(ctx context.Context, c BatchChange, failure string) {
	events := b.m.events
	if c.Before.Pending == c.Before.Total && c.Before.Failed == 0 && (c.After.Pending < c.After.Total || c.After.Failed > 0) {
		Emit(ctx, events, BatchStarted{ID: c.ID})
	}
	if c.After.Cancelled && !c.Before.Cancelled {
		b.forget(c.ID)
		Emit(ctx, events, BatchCancelled{ID: c.ID})
	}
	if c.After.reached(BatchThen) && !c.Before.reached(BatchThen) {
		Emit(ctx, events, BatchFinished{ID: c.ID})
	}
	due := c.Events()
	if err := b.fire(ctx, c.ID, due, b.wantsProgress(c), failure); err != nil && !errors.Is(err, ErrBatchNotFound) {
		b.o.Logger.Error("callbacks of a batch could not be pushed, they are tried again by a sweep", "batch", c.ID, "events", due, "error", err)
	}
}

// wantsProgress says whether to tell of progress now: once a second, and at the
// end. It is true for a batch that nothing is known of yet.
func (b *batching) wantsProgress(c BatchChange) (wants bool) {
	now := time.Now()
	b.remember(c.ID, func(s *seenBatch) {
		wants = (s.progress || !s.asked) && (c.After.Ended() || now.Sub(s.progressed) >= time.Second)
		if wants {
			s.progressed = now
		}
	})
	return wants
}

// fire pushes the callbacks of events that a batch has come to, each once
// whoever else is about to.
func (b *batching) fire(ctx context.Context, id string, events []BatchEvent, progress bool, failure string) error {
	if len(events) == 0 && !progress {
		return nil
	}
	store, err := b.opened(ctx)
	if err != nil {
		return err
	}
	r, err := store.Find(ctx, id)
	if err != nil {
		return err
	}
	var errs []error
	if progress {
		errs = append(errs, b.tellProgress(ctx, r))
	}
	if len(events) == 0 || len(r.Options.Callbacks)+len(r.Options.PHP) == 0 {
		return errors.Join(errs...)
	}
	able := events[:0:0]
	for _, e := range events {
		// What this process can't hand to PHP is left to one that can.
		if slices.Contains(r.Options.PHP, e) {
			if _, err := b.phpJob(r, e, failure); err != nil {
				errs = append(errs, err)
				continue
			}
		}
		able = append(able, e)
	}
	if len(able) == 0 {
		return errors.Join(errs...)
	}
	claimed, err := store.Claim(ctx, id, able)
	if err != nil {
		return errors.Join(append(errs, err)...)
	}
	for _, c := range claimed {
		if err := b.call(ctx, r, c, failure); err != nil {
			errs = append(errs, err)
			continue
		}
		errs = append(errs, store.Mark(ctx, id, c.UUID, CallbackPushed))
	}
	return errors.Join(errs...)
}

// tellProgress pushes the callbacks of progress.
func (b *batching) tellProgress(ctx context.Context, r BatchRecord) error {
	var wanted []ClaimedCallback
	for _, c := range r.Options.Callbacks {
		if c.Event == BatchProgress {
			wanted = append(wanted, ClaimedCallback{UUID: c.UUID, Event: c.Event})
		}
	}
	for _, e := range r.Options.PHP {
		if e == BatchProgress {
			wanted = append(wanted, ClaimedCallback{UUID: NewUUID(), Event: e})
		}
	}
	b.remember(r.ID, func(s *seenBatch) { s.asked, s.progress = true, len(wanted) > 0 })
	var errs []error
	for _, c := range wanted {
		errs = append(errs, b.call(ctx, r, c, ""))
	}
	return errors.Join(errs...)
}

// call pushes one callback.
func (b *batching) call(ctx context.Context, r BatchRecord, claimed ClaimedCallback, failure string) error {
	client := b.m.client()
	for _, c := range r.Options.Callbacks {
		if c.UUID != claimed.UUID {
			continue
		}
		return client.pushAgain(ctx, c, claimed.N, c.Event == BatchProgress) // which is pushed more than once
	}
	job, err := b.phpJob(r, claimed.Event, failure)
	if err != nil {
		return err
	}
	return client.pushAs(ctx, job, r.Options.Connection, r.Options.Queue, claimed.UUID)
}

// phpJob returns the job that hands an event to PHP.
func (b *batching) phpJob(r BatchRecord, e BatchEvent, failure string) (any, error) {
	if b.o.PHP == nil {
		return nil, errors.New("the batch is PHP's, and nothing here can hand its closures to PHP")
	}
	if failure == "" && e == BatchCatch {
		failure = "a job of the batch has failed; the worker that knew why has died"
	}
	return b.o.PHP(r, e, failure)
}

// begin starts the sweeper with the first worker of the process.
func (b *batching) begin(ctx context.Context) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.workers++; b.workers > 1 || b.o.Sweep < 0 {
		return
	}
	ctx, b.stop = context.WithCancel(context.WithoutCancel(ctx))
	swept := make(chan struct{})
	b.swept = swept
	go func() { // end waits for it
		defer close(swept)
		b.sweepUntil(ctx)
	}()
}

// end stops the sweeper with the last worker of the process.
func (b *batching) end() {
	b.mu.Lock()
	b.workers--
	stop, swept := b.stop, b.swept
	if b.workers > 0 || stop == nil {
		b.mu.Unlock()
		return
	}
	b.stop = nil
	b.mu.Unlock()
	stop()
	<-swept
}

// sweepUntil sweeps now and then until ctx ends; at first soon, at a time of its
// own, for workers are often started together.
func (b *batching) sweepUntil(ctx context.Context) {
	next := time.NewTimer(rand.N(b.o.Sweep/5 + 1))
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-next.C:
		}
		err := b.sweep(ctx)
		if err != nil && ctx.Err() == nil && err.Error() != b.told {
			b.told = err.Error()
			b.o.Logger.Warn("callbacks of batches that are owed could not be looked for or pushed", "error", err)
		}
		if err == nil {
			b.told = ""
		}
		next.Reset(b.o.Sweep)
	}
}

// maxSwept bounds how many batches one sweep looks at, and sweepTimeout how
// long it takes for each.
const (
	maxSwept     = 100
	sweepTimeout = 10 * time.Second
)

// sweep pushes the callbacks that are owed.
func (b *batching) sweep(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, pushTimeout)
	defer cancel()
	store, err := b.opened(ctx)
	if errors.Is(err, ErrNoBatches) {
		return nil
	}
	if err != nil {
		return err
	}
	ids, err := store.Owed(ctx, maxSwept)
	if err != nil {
		return err
	}
	var errs []error
	for _, id := range ids {
		if ctx.Err() != nil {
			break
		}
		// What is claimed is pushed although the last worker stops meanwhile: else
		// it would wait until the claim ends.
		begun, cancel := context.WithTimeout(context.WithoutCancel(ctx), sweepTimeout)
		r, err := store.Find(begun, id)
		if err == nil {
			err = b.fire(begun, id, r.Counts().Events(), false, "")
		}
		cancel()
		if !errors.Is(err, ErrBatchNotFound) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// PHPCallbackID returns the UUID of the job that hands an event of a batch to
// PHP: always the same, so that it is known whether it was pushed.
func PHPCallbackID(batch string, e BatchEvent) string {
	sum := sha1.Sum([]byte("spool:" + batch + ":" + string(e))) //nolint:gosec // an identity
	sum[6], sum[8] = sum[6]&0x0f|0x50, sum[8]&0x3f|0x80
	return uuidText([16]byte(sum[:16]))
}
