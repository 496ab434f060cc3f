package failed_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spoolq/spool/cache"
	"github.com/spoolq/spool/failed"
)

func TestFileIsWrittenAsLaravelDoes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "failed-jobs.json")
	s := failed.NewFile(path, &failed.FileOptions{Location: time.FixedZone("", 3600)})
	r := record(1)
	r.Payload, r.Exception = []byte(`{"a":"é/中\u0000"}`), "a\"b\\c/d\b\f\n\r\t\x01\x7f🚀<&'>"
	mustLog(t, s, record(2), r)
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const first = `[
    {
        "id": "00000000-0000-4000-8000-000000000001",
        "connection": "redis",
        "queue": "emails",
        "payload": "{\"a\":\"\u00e9\/\u4e2d\\u0000\"}",
        "exception": "a\"b\\c\/d\b\f\n\r\t\u0001` + "\x7f" + `\ud83d\ude80<&'>",
        "failed_at": "2026-11-20 13:01:46",
        "failed_at_timestamp": 1795176106
    },
    {
        "id": "00000000-0000-4000-8000-000000000002",
`
	if !strings.HasPrefix(string(got), first) {
		t.Errorf("got %s\nwant %s…", got, first)
	}
	if pretty := laravel(t, []string{"file"}, []any{"pretty", path})[0]; pretty != string(got) {
		t.Errorf("PHP prints it otherwise (-PHP +Go):\n%s", cmp.Diff(pretty, string(got)))
	}
	if _, err := s.Flush(t.Context(), time.Time{}); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(path); string(got) != "[]" || err != nil {
		t.Errorf("an emptied file holds %q, %v", got, err)
	}
}

func TestFileKeepsTheNewest(t *testing.T) {
	s := failed.NewFile(filepath.Join(t.TempDir(), "f.json"), nil)
	for n := range 103 {
		mustLog(t, s, record(n))
	}
	wantCount(t, s, failed.Filter{}, 100)
	got, _ := walk(t, s, failed.Filter{}, 30, nil)
	if got[0] != record(102).UUID || got[99] != record(3).UUID {
		t.Errorf("kept %s to %s", got[0], got[99])
	}
}

func TestFileLeavesWhatItDoesNotKnow(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f.json")
	const foreign = `{
        "id": "theirs", "connection":"redis", "queue":"q", "payload": "{\"n\":9007199254740993}", "exception": "x",
        "failed_at": 1795176106, "more": {"b":1,"a":[]}
    }`
	if err := os.WriteFile(path, []byte("["+foreign+"]"), 0o640); err != nil {
		t.Fatal(err)
	}
	s := failed.NewFile(path, nil)
	mustLog(t, s, record(1))
	got, err := os.ReadFile(path)
	if err != nil || !strings.Contains(string(got), foreign) {
		t.Errorf("%v, the foreign record is not as it was:\n%s", err, got)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("mode %v, %v, want that of the old file", info.Mode(), err)
	}
	r, err := s.Find(t.Context(), "theirs")
	if err != nil || !r.FailedAt.Equal(time.Unix(1795176106, 0)) || string(r.Payload) != `{"n":9007199254740993}` {
		t.Errorf("got %+v, %v", r, err)
	}
}

func TestFileThatIsNotJSONIsNotOverwritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f.json")
	for _, content := range []string{`[{"id":`, `{"id":1}`, `[1]`} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		s := failed.NewFile(path, nil)
		if _, err := s.Log(t.Context(), record(1)); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("Log over %q: got %v, want an error that names the file", content, err)
		}
		if got, err := os.ReadFile(path); string(got) != content || err != nil {
			t.Errorf("the file holds %q now, %v", got, err)
		}
	}
	if err := os.WriteFile(path, []byte(" \n"), 0o600); err != nil { // Laravel takes it for empty
		t.Fatal(err)
	}
	mustLog(t, failed.NewFile(path, nil), record(1))
	if left, err := filepath.Glob(path + ".*.tmp"); len(left) > 0 || err != nil {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestFileHasNoNumbers(t *testing.T) {
	s := failed.NewFile(filepath.Join(t.TempDir(), "f.json"), nil)
	if _, _, err := s.List(t.Context(), failed.Filter{MinID: 1}, "", 1); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("List: %v", err)
	}
	if _, err := s.Count(t.Context(), failed.Filter{MaxID: 1}); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("Count: %v", err)
	}
}

func TestFileTakesLaravelsLock(t *testing.T) {
	lock := cache.NewMemory()
	s := failed.NewFile(filepath.Join(t.TempDir(), "f.json"), &failed.FileOptions{Lock: lock})
	if _, err := lock.Acquire(t.Context(), "laravel-failed-jobs", "php", time.Second); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	mustLog(t, s, record(1))
	if waited := time.Since(start); waited < 900*time.Millisecond {
		t.Errorf("it waited %v for a lock held for 1 s", waited)
	}
	if owner, err := lock.Owner(t.Context(), "laravel-failed-jobs"); owner != "" || err != nil {
		t.Errorf("the lock is still held by %q, %v", owner, err)
	}
}

// recordsPerWriter is how many records each process of the next test logs; it
// forgets every fifth.
const recordsPerWriter = 25

func TestFileIsSafeAcrossProcesses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f.json")
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	const writers = 6
	var wg sync.WaitGroup
	errs := make([]error, writers)
	for i := range writers {
		wg.Go(func() {
			cmd := exec.CommandContext(t.Context(), exe)
			cmd.Env = append(os.Environ(), writerEnv+"="+path)
			if out, err := cmd.CombinedOutput(); err != nil {
				errs[i] = fmt.Errorf("%w: %s", err, out)
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	wantCount(t, failed.NewFile(path, nil), failed.Filter{}, writers*recordsPerWriter*4/5)
}
