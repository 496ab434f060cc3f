package batch

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/spoolq/spool"
)

// Memory keeps batches in this process: for tests, and for jobs that are in
// memory too.
type Memory struct {
	mu  sync.Mutex
	all map[string]*kept
}

type kept struct {
	spool.BatchRecord
	marks     map[string]mark
	callbacks map[string]*note
}

// note is where a callback stands.
type note struct {
	event spool.BatchEvent
	free  time.Time // when it may be claimed
	state noteState
	n     int // how often it was claimed
}

type noteState int

const (
	waiting noteState = iota
	pushed
	ran
)

var _ spool.BatchStore = (*Memory)(nil)

// NewMemory returns an empty store.
func NewMemory() *Memory { return &Memory{all: make(map[string]*kept)} }

// Create implements [spool.BatchCounter].
func (m *Memory) Create(_ context.Context, r spool.BatchRecord) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	k := &kept{BatchRecord: r, marks: map[string]mark{}, callbacks: map[string]*note{}}
	for _, c := range r.Options.Callbacks {
		if c.Event != spool.BatchProgress {
			k.callbacks[c.UUID] = &note{event: c.Event}
		}
	}
	m.all[r.ID] = k
	return nil
}

// Find implements [spool.BatchCounter].
func (m *Memory) Find(_ context.Context, id string) (spool.BatchRecord, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	k := m.all[id]
	if k == nil {
		return spool.BatchRecord{}, spool.ErrBatchNotFound
	}
	r := k.BatchRecord
	r.FailedIDs = slices.Clone(r.FailedIDs)
	return r, nil
}

// store keeps numbers.
func (k *kept) store(c spool.BatchCounts, now time.Time) {
	k.Total, k.Pending, k.Failed = c.Total, c.Pending, c.Failed
	if c.Cancelled && k.CancelledAt.IsZero() {
		k.CancelledAt = now
	}
	if !c.Finished {
		k.FinishedAt = time.Time{}
	} else if k.FinishedAt.IsZero() || c.Pending == 0 {
		k.FinishedAt = now
	}
}

// Grow implements [spool.BatchCounter].
func (m *Memory) Grow(_ context.Context, id string, n int) (spool.BatchChange, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	k := m.all[id]
	if k == nil {
		return spool.BatchChange{}, spool.ErrBatchNotFound
	}
	c := spool.BatchChange{ID: id, Before: k.Counts()}
	c.After = grow(c.Before, n)
	k.store(c.After, time.Now())
	return c, nil
}

// Cancel implements [spool.BatchCounter].
func (m *Memory) Cancel(_ context.Context, id string) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	k := m.all[id]
	if k == nil {
		return false, spool.ErrBatchNotFound
	}
	if !k.CancelledAt.IsZero() {
		return false, nil
	}
	k.CancelledAt = time.Now()
	k.FinishedAt = k.CancelledAt
	return true, nil
}

// Delete implements [spool.BatchCounter].
func (m *Memory) Delete(_ context.Context, id string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.all, id)
	return nil
}

// Record implements [spool.BatchCounter].
func (m *Memory) Record(_ context.Context, ends []spool.BatchEnd) ([]spool.BatchChange, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var changes []spool.BatchChange
	ids, of := byBatch(ends)
	for _, id := range ids {
		k := m.all[id]
		if k == nil {
			continue
		}
		t := &tally{BatchCounts: k.Counts(), allow: k.Options.AllowFailures, failing: setOf(k.FailedIDs), order: k.FailedIDs, marks: k.marks}
		c := spool.BatchChange{ID: id, Before: t.BatchCounts}
		for _, e := range of[id] {
			t.end(e.UUID, e.Failed)
		}
		if len(t.changed) == 0 {
			continue
		}
		c.After = t.BatchCounts
		k.store(c.After, time.Now())
		k.FailedIDs = t.ids()
		changes = append(changes, c)
	}
	return changes, nil
}

func setOf(ids []string) map[string]bool {
	set := make(map[string]bool, len(ids))
	for _, id := range ids {
		set[id] = true
	}
	return set
}

// Claim implements [spool.BatchCallbackStore].
func (m *Memory) Claim(_ context.Context, id string, events []spool.BatchEvent) ([]spool.ClaimedCallback, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	k := m.all[id]
	if k == nil {
		return nil, nil
	}
	var claimed []spool.ClaimedCallback
	now := time.Now()
	for _, c := range k.Options.Callbacks { // in their order
		n := k.callbacks[c.UUID]
		if n != nil && n.state == waiting && !n.free.After(now) && slices.Contains(events, n.event) {
			n.free = now.Add(claimTime)
			n.n++
			claimed = append(claimed, spool.ClaimedCallback{UUID: c.UUID, Event: n.event, N: n.n})
		}
	}
	return claimed, nil
}

// Mark implements [spool.BatchCallbackStore].
func (m *Memory) Mark(_ context.Context, id, uuid string, s spool.CallbackState) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if k := m.all[id]; k != nil && k.callbacks[uuid] != nil {
		n := k.callbacks[uuid]
		switch {
		case s == spool.CallbackRan:
			n.state = ran
		case n.state == waiting:
			n.state = pushed
		}
	}
	return nil
}

// Begin implements [spool.BatchCallbackStore].
func (m *Memory) Begin(_ context.Context, id, uuid string, n int) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	k := m.all[id]
	if k == nil || k.callbacks[uuid] == nil {
		return true, nil
	}
	c := k.callbacks[uuid]
	if c.n != n || c.state == ran {
		return false, nil
	}
	c.state = pushed
	return true, nil
}

// Owed implements [spool.BatchCallbackStore].
func (m *Memory) Owed(_ context.Context, limit int) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var ids []string
	now := time.Now()
	for _, id := range slices.Sorted(maps.Keys(m.all)) {
		k := m.all[id]
		events := k.Counts().Events()
		for _, n := range k.callbacks {
			if len(ids) < limit && n.state == waiting && !n.free.After(now) && slices.Contains(events, n.event) {
				ids = append(ids, id)
				break
			}
		}
	}
	return ids, nil
}

// List implements [spool.BatchLister].
func (m *Memory) List(_ context.Context, before string, limit int) ([]spool.BatchRecord, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []spool.BatchRecord
	for id, k := range m.all {
		if before == "" || id < before {
			r := k.BatchRecord
			r.FailedIDs, r.Options = nil, spool.BatchOptions{}
			all = append(all, r)
		}
	}
	slices.SortFunc(all, func(a, b spool.BatchRecord) int { return cmp.Compare(b.ID, a.ID) })
	return all[:min(len(all), limit)], nil
}

// Prune implements [spool.BatchLister].
func (m *Memory) Prune(_ context.Context, kind spool.BatchKind, before time.Time) (n int64, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for id, k := range m.all {
		var old bool
		switch kind {
		case spool.FinishedBatches:
			old = !k.FinishedAt.IsZero() && k.FinishedAt.Before(before)
		case spool.UnfinishedBatches:
			old = k.FinishedAt.IsZero() && k.CreatedAt.Before(before)
		case spool.CancelledBatches:
			old = !k.CancelledAt.IsZero() && k.CreatedAt.Before(before)
		}
		if old {
			delete(m.all, id)
			n++
		}
	}
	return n, nil
}
