package limit

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/cache"
)

// Limit is how often something may happen in a window of time, which begins
// with the first time.
type Limit struct {
	// Max is how often; 0 is never.
	Max int
	// Per is the length of the window; whole seconds, rounded up, at least one.
	Per time.Duration
	// Key tells limits with one name apart, e.g. by user; "" is the limit of all.
	Key string
}

// PerSecond is a limit of n in a second.
func PerSecond(n int) Limit { return Limit{Max: n, Per: time.Second} }

// PerMinute is a limit of n in a minute.
func PerMinute(n int) Limit { return Limit{Max: n, Per: time.Minute} }

// PerHour is a limit of n in an hour.
func PerHour(n int) Limit { return Limit{Max: n, Per: time.Hour} }

// PerDay is a limit of n in a day.
func PerDay(n int) Limit { return Limit{Max: n, Per: 24 * time.Hour} }

// By returns the limit for one key.
func (l Limit) By(key string) Limit {
	l.Key = key
	return l
}

// window is Per in the stores' unit.
func (l Limit) window() time.Duration {
	return max((l.Per+time.Second-1)/time.Second, 1) * time.Second
}

// Counter counts towards limits, whose Key is the whole name in the store. Its
// methods are safe for concurrent use, by other processes too.
type Counter interface {
	// Take counts one towards each limit and returns 0, or counts none, because
	// one of them is used up, and returns how long it is until there is room.
	Take(ctx context.Context, limits ...Limit) (wait time.Duration, err error)
	// Wait is Take without counting.
	Wait(ctx context.Context, limits ...Limit) (time.Duration, error)
	// Line returns how many, the caller included, have come too late for a limit
	// in this window, which ends after the given time.
	Line(ctx context.Context, l Limit, left time.Duration) (int, error)
	// Clear forgets what was counted under a key.
	Clear(ctx context.Context, key string) error
}

// Store is where limits are kept.
type Store struct {
	Counter Counter
	Locks   spool.Locks
}

// In returns the Store in a cache store, e.g. a cache.Memory, a cache.SQL or the
// one of package cache/rediscache: what is counted is Laravel's RateLimiter's.
func In(store interface {
	cache.Store
	cache.Locker
}) *Store {
	return &Store{Counter: NewCounter(store), Locks: store}
}

// of returns the store that is given, or else that of the job of ctx.
func (s *Store) of(ctx context.Context) (*Store, error) {
	if s != nil {
		return s, nil
	}
	found := &Store{}
	if job := spool.JobFrom(ctx); job != nil {
		found.Locks = job.Locks
		if c, ok := job.Signals.(cache.Store); ok {
			found.Counter = NewCounter(c)
		}
	}
	if found.Counter == nil && found.Locks == nil {
		return nil, fmt.Errorf("a limit: %w; or name a store, see limit.In", spool.ErrNoLocks)
	}
	return found, nil
}

// counter returns where ctx's job counts.
func (s *Store) counter(ctx context.Context) (Counter, error) {
	s, err := s.of(ctx)
	if err == nil && s.Counter == nil {
		err = fmt.Errorf("a limit that is counted: %w; or name a store, see limit.In", spool.ErrNoLocks)
	}
	if err != nil {
		return nil, err
	}
	return s.Counter, nil
}

// locks returns where ctx's job has locks.
func (s *Store) locks(ctx context.Context) (spool.Locks, error) {
	s, err := s.of(ctx)
	if err == nil && s.Locks == nil {
		err = fmt.Errorf("a lock: %w; or name a store, see limit.In", spool.ErrNoLocks)
	}
	if err != nil {
		return nil, err
	}
	return s.Locks, nil
}

// Error says that something may not happen now. A handler or a middleware that
// returns it gives its job back (see [spool.GiveBack]).
type Error struct {
	Name  string        // of the limit
	After time.Duration // when to try again
}

func (e *Error) Error() string {
	return fmt.Sprintf("limit %s has no room: again in %v", e.Name, e.After)
}

// Unwrap makes it a job's outcome.
func (e *Error) Unwrap() error {
	return spool.GiveBack(e.After, fmt.Errorf("limit %s has no room", e.Name))
}

// storeWait is how long a job waits whose limits can't be asked.
const storeWait = 5 * time.Second

// unavailable gives a job back because the store doesn't answer: that is no
// exception of the job. A missing store is one.
func unavailable(name string, err error) error {
	if errors.Is(err, spool.ErrNoLocks) {
		return err
	}
	return spool.GiveBack(storeWait, fmt.Errorf("limit %s can't be asked: %w", name, err))
}
