package cache_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/spoolq/spool/cache"
	"github.com/spoolq/spool/cache/cachetest"
)

func TestFile(t *testing.T) {
	cachetest.Run(t, func(t *testing.T) cachetest.Subject {
		return cache.NewFile(filepath.Join(t.TempDir(), "made", "on demand"), nil)
	})
}

func TestFileWithLockDirAndPrefix(t *testing.T) {
	cachetest.Run(t, func(t *testing.T) cachetest.Subject {
		return cache.NewFile(t.TempDir(), &cache.FileOptions{LockDir: t.TempDir(), LockPrefix: "file-store-lock:", Mode: 0o640})
	})
}

// The bytes and the path were written by Laravel 8.83's Cache::store('file').
func TestFileWritesLaravelsBytes(t *testing.T) {
	dir := t.TempDir()
	s := cache.NewFile(dir, nil)
	if err := s.Put(t.Context(), "illuminate:queue:restart", 1795174284, 0); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "ee", "2f", "ee2f842aa7bb1f53edf3a2ed2c09a1807ffa6c90")
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if want := "9999999999i:1795174284;"; string(got) != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestFileReadsWhatACrashLeftAsAbsent(t *testing.T) {
	dir := t.TempDir()
	s := cache.NewFile(dir, nil)
	for _, cut := range []string{"", "99", "9999999999", "9999999999i:17", `9999999999s:5:"ab`, "notdigits!i:1;", "9999999999N;"} {
		if err := s.Put(t.Context(), "k", 1, 0); err != nil {
			t.Fatal(err)
		}
		files, err := filepath.Glob(filepath.Join(dir, "*", "*", "*"))
		if err != nil || len(files) != 1 {
			t.Fatal(files, err)
		}
		if err := os.WriteFile(files[0], []byte(cut), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Many(t.Context(), "k"); err != nil || len(got) != 0 {
			t.Errorf("%q is read as %v, %v", cut, got, err)
		}
		if ok, err := s.Add(t.Context(), "k", 2, time.Minute); !ok || err != nil {
			t.Errorf("Add over %q = %v, %v", cut, ok, err)
		}
	}
}

func TestFileReturnsOtherPHPTypesAsStored(t *testing.T) {
	dir := t.TempDir()
	s := cache.NewFile(dir, nil)
	if err := s.Put(t.Context(), "illuminate:foundation:down", 1, 0); err != nil {
		t.Fatal(err)
	}
	files, _ := filepath.Glob(filepath.Join(dir, "*", "*", "*"))
	const array = `a:1:{s:6:"status";i:503;}`
	if err := os.WriteFile(files[0], []byte("9999999999"+array), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := s.Many(t.Context(), "illuminate:foundation:down")
	if err != nil || got["illuminate:foundation:down"] != array {
		t.Errorf("got %v, %v, want the stored text", got, err)
	}
}

func TestFileUnreadableIsAnError(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s := cache.NewFile(file, nil) // a file where the directory should be
	if _, err := s.Many(t.Context(), "k"); err == nil {
		t.Error("Many succeeded")
	}
	if err := s.Put(t.Context(), "k", 1, 0); err == nil {
		t.Error("Put succeeded")
	}
}
