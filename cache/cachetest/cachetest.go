// Package cachetest is the conformance suite of cache stores: what every
// implementation of cache.Store and cache.Locker has to do, run against the
// real backend.
package cachetest

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spoolq/spool/cache"
)

// Subject is a store under test.
type Subject interface {
	cache.Store
	cache.Locker
}

// Run runs the suite. open returns a store that holds nothing and that no
// other test writes to; it is called once per case and may be called again
// within a case for nothing but a further empty store.
func Run(t *testing.T, open func(t *testing.T) Subject) {
	cases := []struct {
		name string
		run  func(t *testing.T, s Subject)
	}{
		{"absent keys are left out", absent},
		{"values come back as text", values},
		{"awkward keys are kept apart", keys},
		{"values that can't be stored are refused", refused},
		{"a value expires", expires},
		{"a ttl below one second is a whole one", roundsUp},
		{"a negative ttl is an error", negative},
		{"put replaces value and ttl", replaces},
		{"add stores once", adds},
		{"add takes an expired key", addsExpired},
		{"one of many adders wins", addsAtOnce},
		{"increment creates, adds and subtracts", increments},
		{"increment gives its ttl to a new key", incrementTTL},
		{"increment keeps the ttl of a present key", incrementKeepsTTL},
		{"increment refuses what is no integer", incrementRefuses},
		{"no increment is lost", incrementsAtOnce},
		{"forget removes", forgets},
		{"flush empties the store", flushes},
		{"many keys at once", manyKeys},
		{"a lock has one owner", locks},
		{"a lock expires", lockExpires},
		{"one of many takers gets the lock", locksAtOnce},
		{"a lock can be forced", forces},
		{"locks that are held are listed", locksListed},
		{"one of several locks is taken", locksAny},
		{"an expired lock taken by one of many", lockExpiredAtOnce},
		{"locks and values don't touch each other's names", lockNames},
		{"a counter behaves as Laravel's rate limiter wants", limiter},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel() // most of the time is spent waiting for ttls
			c.run(t, open(t))
		})
	}
}

const racers = 8

// deadline is how long a test waits for a ttl of a second to pass.
const deadline = 10 * time.Second

// race runs f racers times at once and returns how often it said true.
func race(t *testing.T, f func(ctx context.Context, i int) (bool, error)) int {
	t.Helper()
	var (
		wg    sync.WaitGroup
		start = make(chan struct{})
		won   = make([]bool, racers)
		errs  = make([]error, racers)
	)
	for i := range racers {
		wg.Go(func() {
			<-start
			won[i], errs[i] = f(t.Context(), i)
		})
	}
	close(start)
	wg.Wait()
	must(t, errors.Join(errs...))
	n := 0
	for _, w := range won {
		if w {
			n++
		}
	}
	return n
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func poll(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(deadline); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited %v for %s", deadline, what)
		}
	}
}

func waitGone(t *testing.T, s Subject, key string) {
	t.Helper()
	poll(t, "key "+key+" to expire", func() bool {
		got, err := s.Many(t.Context(), key)
		must(t, err)
		_, there := got[key]
		return !there
	})
}

func wantMany(t *testing.T, s Subject, want map[string]string, keys ...string) {
	t.Helper()
	got, err := s.Many(t.Context(), keys...)
	must(t, err)
	if want == nil {
		want = map[string]string{}
	}
	if got == nil {
		got = map[string]string{}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("Many (-want +got):\n%s", diff)
	}
}

func wantAdd(t *testing.T, s Subject, key string, value any, ttl time.Duration, want bool) {
	t.Helper()
	got, err := s.Add(t.Context(), key, value, ttl)
	must(t, err)
	if got != want {
		t.Fatalf("Add(%q, %v) = %v, want %v", key, value, got, want)
	}
}

func wantIncrement(t *testing.T, s Subject, key string, by int64, ttl time.Duration, want int64) {
	t.Helper()
	got, err := s.Increment(t.Context(), key, by, ttl)
	must(t, err)
	if got != want {
		t.Fatalf("Increment(%q, %d) = %d, want %d", key, by, got, want)
	}
}

func wantAcquire(t *testing.T, s Subject, name, owner string, ttl time.Duration, want bool) {
	t.Helper()
	got, err := s.Acquire(t.Context(), name, owner, ttl)
	must(t, err)
	if got != want {
		t.Fatalf("Acquire(%q, %q) = %v, want %v", name, owner, got, want)
	}
}

func wantRelease(t *testing.T, s Subject, name, owner string, want bool) {
	t.Helper()
	got, err := s.Release(t.Context(), name, owner)
	must(t, err)
	if got != want {
		t.Fatalf("Release(%q, %q) = %v, want %v", name, owner, got, want)
	}
}

func wantOwner(t *testing.T, s Subject, name, want string) {
	t.Helper()
	got, err := s.Owner(t.Context(), name)
	must(t, err)
	if got != want {
		t.Fatalf("Owner(%q) = %q, want %q", name, got, want)
	}
}
