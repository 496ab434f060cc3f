package cachetest

import (
	"errors"
	"testing"
	"time"

	"github.com/spoolq/spool/cache"
)

// flushes empties the store, if it can be emptied.
func flushes(t *testing.T, s Subject) {
	f, ok := s.(cache.Flusher)
	if !ok {
		return
	}
	if err := f.Flush(t.Context()); errors.Is(err, errors.ErrUnsupported) {
		return
	} else if err != nil {
		t.Fatalf("Flush of an empty store: %v", err)
	}
	for _, key := range []string{"a", "b%c", "laravel:x:1"} {
		if err := s.Put(t.Context(), key, "v", time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Many(t.Context(), "a", "b%c", "laravel:x:1"); err != nil || len(got) != 0 {
		t.Errorf("after Flush there are %v, %v", got, err)
	}
	if err := s.Put(t.Context(), "a", 7, 0); err != nil {
		t.Errorf("Put after Flush: %v", err)
	}
}
