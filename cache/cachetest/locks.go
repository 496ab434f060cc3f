package cachetest

import (
	"context"
	"fmt"
	"testing"
	"time"
)

func locks(t *testing.T, s Subject) {
	wantOwner(t, s, "l", "")
	wantAcquire(t, s, "l", "me", time.Minute, true)
	wantAcquire(t, s, "l", "you", time.Minute, false)
	wantAcquire(t, s, "l", "me", time.Minute, true)
	wantOwner(t, s, "l", "me")
	wantRelease(t, s, "l", "you", false)
	wantOwner(t, s, "l", "me")
	wantRelease(t, s, "l", "me", true)
	wantRelease(t, s, "l", "me", false)
	wantOwner(t, s, "l", "")
	wantAcquire(t, s, "l", "you", 0, true)
	wantAcquire(t, s, "l", "me", 0, false)
	wantAcquire(t, s, "other", "me", 0, true)
	wantRelease(t, s, "l", "you", true)
}

func lockExpires(t *testing.T, s Subject) {
	wantAcquire(t, s, "l", "me", time.Second, true)
	wantAcquire(t, s, "renewed", "me", time.Second, true)
	wantAcquire(t, s, "renewed", "me", time.Minute, true)
	poll(t, "the lock to expire", func() bool {
		owner, err := s.Owner(t.Context(), "l")
		must(t, err)
		return owner == ""
	})
	wantOwner(t, s, "renewed", "me")
	wantRelease(t, s, "l", "me", false)
	wantAcquire(t, s, "l", "you", time.Minute, true)
	wantRelease(t, s, "l", "me", false)
	wantOwner(t, s, "l", "you")
}

func locksAtOnce(t *testing.T, s Subject) {
	for range 10 {
		won := race(t, func(ctx context.Context, i int) (bool, error) {
			return s.Acquire(ctx, "l", fmt.Sprint("owner", i), time.Minute)
		})
		if won != 1 {
			t.Fatalf("%d of %d takers got the lock, want 1", won, racers)
		}
		owner, err := s.Owner(t.Context(), "l")
		must(t, err)
		wantRelease(t, s, "l", owner, true)
	}
}

func lockExpiredAtOnce(t *testing.T, s Subject) {
	wantAcquire(t, s, "l", "gone", time.Second, true)
	poll(t, "the lock to expire", func() bool {
		owner, err := s.Owner(t.Context(), "l")
		must(t, err)
		return owner == ""
	})
	won := race(t, func(ctx context.Context, i int) (bool, error) {
		return s.Acquire(ctx, "l", fmt.Sprint("owner", i), time.Minute)
	})
	if won != 1 {
		t.Fatalf("%d of %d takers got the lock, want 1", won, racers)
	}
}

func forces(t *testing.T, s Subject) {
	wantAcquire(t, s, "l", "me", 0, true)
	must(t, s.ForceRelease(t.Context(), "l"))
	must(t, s.ForceRelease(t.Context(), "l"))
	wantRelease(t, s, "l", "me", false)
	wantAcquire(t, s, "l", "you", 0, true)
}

// lockNames uses distinct names, because Laravel's file and Redis stores keep
// locks among the values: the same name would be the same key there.
func lockNames(t *testing.T, s Subject) {
	wantAcquire(t, s, "laravel_unique_job:A", "me", 0, true)
	must(t, s.Put(t.Context(), "job-exceptions:A", 1, 0))
	must(t, s.Forget(t.Context(), "job-exceptions:A"))
	wantOwner(t, s, "laravel_unique_job:A", "me")
}
