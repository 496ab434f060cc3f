package cache

import (
	"context"
	"slices"
	"strings"
	"time"
)

// Lock is a lock that somebody holds.
type Lock struct {
	Name, Owner string
	// Ends is when it ends by itself; zero means never.
	Ends time.Time
}

// LockLister is implemented by stores that can find the locks that are held.
// File stores can't: the names of their files are hashes.
type LockLister interface {
	// Locks calls fn for each lock that is held and whose name begins with prefix,
	// in no particular order, until it returns an error, which Locks returns. A
	// lock that is taken or released meanwhile may be left out. The cost is that of
	// all the locks that are there, in Redis of all its keys, read in small steps.
	Locks(ctx context.Context, prefix string, fn func(Lock) error) error
}

var (
	_ LockLister = (*Memory)(nil)
	_ LockLister = (*SQL)(nil)
)

// Locks implements [LockLister].
func (m *Memory) Locks(ctx context.Context, prefix string, fn func(Lock) error) error {
	for _, l := range m.held(prefix) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := fn(l); err != nil {
			return err
		}
	}
	return nil
}

func (m *Memory) held(prefix string) []Lock {
	m.mu.Lock()
	defer m.mu.Unlock()
	var held []Lock
	for name := range m.locks.entries {
		if e, ok := m.locks.get(name); ok && strings.HasPrefix(name, prefix) {
			held = append(held, Lock{name, e.text, e.expires})
		}
	}
	slices.SortFunc(held, func(a, b Lock) int { return strings.Compare(a.Name, b.Name) })
	return held
}

// locksPerRead is how many locks one statement reads.
const locksPerRead = 500

// Locks implements [LockLister].
func (s *SQL) Locks(ctx context.Context, prefix string, fn func(Lock) error) error {
	for after, more := "", true; more; {
		page, err := s.lockPage(ctx, after)
		if err != nil {
			return err
		}
		for _, l := range page {
			after = l.Name
			name, own := strings.CutPrefix(l.Name, s.prefix)
			if l.Name = name; !own || !strings.HasPrefix(name, prefix) {
				continue
			}
			if err := fn(l); err != nil {
				return err
			}
		}
		more = len(page) == locksPerRead
	}
	return nil
}

// lockPage reads the locks behind one key, in the order of the keys.
func (s *SQL) lockPage(ctx context.Context, after string) ([]Lock, error) {
	d := s.locks.Dialect()
	rows, err := s.locks.SQL().QueryContext(ctx, d.Rebind("SELECT "+d.Ident("key")+", "+d.Ident("owner")+", "+d.Ident("expiration")+
		" FROM "+d.Ident(s.lockTable)+" WHERE "+d.Ident("key")+" > ? AND "+d.Ident("expiration")+" > ? ORDER BY "+d.Ident("key")+" LIMIT ?"),
		after, time.Now().Unix(), locksPerRead)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var page []Lock
	for rows.Next() {
		var l Lock
		var ends int64
		if err := rows.Scan(&l.Name, &l.Owner, &ends); err != nil {
			return nil, err
		}
		l.Ends = time.Unix(ends, 0)
		page = append(page, l)
	}
	return page, rows.Err()
}
