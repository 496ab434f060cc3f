package cache

import (
	"context"
	"sync"
	"time"
)

// Memory is a store within the process: for tests, and for the sync
// connection. It forgets everything when the process ends.
type Memory struct {
	mu     sync.Mutex
	values table
	locks  table
}

var (
	_ Store  = (*Memory)(nil)
	_ Locker = (*Memory)(nil)
)

// NewMemory returns an empty store.
func NewMemory() *Memory {
	return &Memory{values: newTable(), locks: newTable()}
}

// table is a map whose entries expire.
type table struct {
	entries map[string]entry
	sweepAt int // size at which expired entries are dropped
}

type entry struct {
	text    string
	expires time.Time // zero: never
}

func newTable() table { return table{entries: map[string]entry{}, sweepAt: 1024} }

func (t *table) get(key string) (entry, bool) {
	e, ok := t.entries[key]
	if ok && !e.expires.IsZero() && !time.Now().Before(e.expires) {
		return entry{}, false
	}
	return e, ok
}

// set stores the entry. When the map has doubled since the last sweep it first
// drops what has expired, so that keys made per job don't pile up.
func (t *table) set(key string, e entry) {
	if len(t.entries) >= t.sweepAt {
		for k := range t.entries {
			if _, ok := t.get(k); !ok {
				delete(t.entries, k)
			}
		}
		t.sweepAt = max(1024, 2*len(t.entries))
	}
	t.entries[key] = e
}

func newEntry(value any, ttl time.Duration) (entry, error) {
	seconds, err := Seconds(ttl)
	if err != nil {
		return entry{}, err
	}
	text, err := Text(value)
	if err != nil {
		return entry{}, err
	}
	e := entry{text: text}
	if seconds > 0 {
		e.expires = time.Now().Add(time.Duration(seconds) * time.Second)
	}
	return e, nil
}

// Many implements [Store].
func (m *Memory) Many(ctx context.Context, keys ...string) (map[string]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	found := make(map[string]string, len(keys))
	for _, key := range keys {
		if e, ok := m.values.get(key); ok {
			found[key] = e.text
		}
	}
	return found, ctx.Err()
}

// Put implements [Store].
func (m *Memory) Put(ctx context.Context, key string, value any, ttl time.Duration) error {
	e, err := newEntry(value, ttl)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.values.set(key, e)
	return nil
}

// Add implements [Store].
func (m *Memory) Add(ctx context.Context, key string, value any, ttl time.Duration) (bool, error) {
	e, err := newEntry(value, ttl)
	if err != nil {
		return false, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.values.get(key); ok {
		return false, nil
	}
	m.values.set(key, e)
	return true, nil
}

// Increment implements [Store].
func (m *Memory) Increment(ctx context.Context, key string, by int64, ttl time.Duration) (int64, error) {
	e, err := newEntry(by, ttl)
	if err != nil {
		return 0, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	sum := by
	if old, ok := m.values.get(key); ok {
		if sum, err = Sum(key, old.text, by); err != nil {
			return 0, err
		}
		e.expires = old.expires
		e.text, _ = Text(sum)
	}
	m.values.set(key, e)
	return sum, nil
}

// Forget implements [Store].
func (m *Memory) Forget(ctx context.Context, key string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.values.entries, key)
	return nil
}

// Acquire implements [Locker].
func (m *Memory) Acquire(ctx context.Context, name, owner string, ttl time.Duration) (bool, error) {
	e, err := newEntry(owner, ttl)
	if err != nil {
		return false, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if held, ok := m.locks.get(name); ok && held.text != owner {
		return false, nil
	}
	m.locks.set(name, e)
	return true, nil
}

// Release implements [Locker].
func (m *Memory) Release(ctx context.Context, name, owner string) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if held, ok := m.locks.get(name); !ok || held.text != owner {
		return false, nil
	}
	delete(m.locks.entries, name)
	return true, nil
}

// ForceRelease implements [Locker].
func (m *Memory) ForceRelease(ctx context.Context, name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.locks.entries, name)
	return nil
}

// Owner implements [Locker].
func (m *Memory) Owner(ctx context.Context, name string) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	held, _ := m.locks.get(name)
	return held.text, nil
}
