package flock_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/spoolq/spool/internal/flock"
)

func TestLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	open := func() *os.File {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o666)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = f.Close() })
		return f
	}
	a, b := open(), open()
	refused := func(f *os.File, exclusive bool) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		defer cancel()
		if err := flock.Lock(ctx, f, exclusive); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("got %v, want the deadline to pass", err)
		}
	}
	got := func(f *os.File, exclusive bool) {
		t.Helper()
		if err := flock.Lock(t.Context(), f, exclusive); err != nil {
			t.Fatal(err)
		}
	}
	got(a, true)
	refused(b, true)
	refused(b, false)
	if err := flock.Unlock(a); err != nil {
		t.Fatal(err)
	}
	got(a, false)
	got(b, false)
	if err := flock.Unlock(a); err != nil {
		t.Fatal(err)
	}
	refused(a, true)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	got(a, true)
}
