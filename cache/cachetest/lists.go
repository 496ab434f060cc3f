package cachetest

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spoolq/spool/cache"
)

// locksListed lists locks, if the store can.
func locksListed(t *testing.T, s Subject) {
	l, ok := s.(cache.LockLister)
	if !ok {
		return
	}
	for key, value := range map[string]any{"job:text": "text", "job:true": true, "job:number": 7} {
		must(t, s.Put(t.Context(), key, value, time.Minute))
	}
	wantAcquire(t, s, "other", "me", 0, true)
	wantAcquire(t, s, "job:short", "me", time.Second, true)
	wantAcquire(t, s, "job:b*d", "you", time.Hour, true)
	for i := range 20 {
		wantAcquire(t, s, fmt.Sprint("job:", i), "me", time.Hour, true)
	}
	wantRelease(t, s, "job:7", "me", true)
	poll(t, "the lock to expire", func() bool {
		owner, err := s.Owner(t.Context(), "job:short")
		must(t, err)
		return owner == ""
	})
	list := func(prefix string) map[string]string {
		found := map[string]string{}
		must(t, l.Locks(t.Context(), prefix, func(k cache.Lock) error {
			found[k.Name] = k.Owner
			if left := time.Until(k.Ends); k.Name != "other" && (left < 50*time.Minute || left > time.Hour+2*time.Second) {
				t.Errorf("%s ends in %v", k.Name, left)
			}
			return nil
		}))
		return found
	}
	want := map[string]string{"job:b*d": "you"}
	for i := range 20 {
		if i != 7 {
			want[fmt.Sprint("job:", i)] = "me"
		}
	}
	if d := cmp.Diff(want, list("job:")); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
	if d := cmp.Diff(map[string]string{"job:b*d": "you"}, list("job:b*")); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
	want["other"] = "me"
	if d := cmp.Diff(want, list("")); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
	enough := errors.New("enough")
	n := 0
	if err := l.Locks(t.Context(), "", func(cache.Lock) error { n++; return enough }); !errors.Is(err, enough) || n != 1 {
		t.Errorf("stopped after %d: %v", n, err)
	}
}

// locksAny takes one of several locks, each of them once.
func locksAny(t *testing.T, s Subject) {
	names := []string{"slot1", "slot2", "slot3"}
	wantAcquire(t, s, "slot2", "you", time.Minute, true)
	var taken [3]atomic.Int32
	won := race(t, func(ctx context.Context, i int) (bool, error) {
		n, err := cache.AcquireAny(ctx, s, names, fmt.Sprint("owner", i), time.Minute)
		if n >= 0 {
			taken[n].Add(1)
		}
		return n >= 0, err
	})
	if won != 2 || taken[0].Load() != 1 || taken[1].Load() != 0 || taken[2].Load() != 1 {
		t.Errorf("%d of two free locks were taken: %d, %d and %d times", won, taken[0].Load(), taken[1].Load(), taken[2].Load())
	}
	must(t, s.ForceRelease(t.Context(), "slot3"))
	if n, err := cache.AcquireAny(t.Context(), s, names, "me", 0); n != 2 || err != nil {
		t.Errorf("the free one is %d, %v", n, err)
	}
	if n, err := cache.AcquireAny(t.Context(), s, nil, "me", time.Minute); n != -1 || err != nil {
		t.Errorf("one of none is %d, %v", n, err)
	}
}
