package cache_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spoolq/spool/cache"
	"github.com/spoolq/spool/cache/cachetest"
)

// laravel makes calls on one of Laravel's own stores and returns the results.
func laravel(t *testing.T, store []string, calls ...[]any) []any {
	t.Helper()
	const framework = "/usr/share/php/Illuminate/Cache/FileStore.php"
	_, err := os.Stat(framework)
	php, lookErr := exec.LookPath("php")
	if err != nil || lookErr != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("no PHP with Laravel: apt-get install php-cli php-laravel-framework (%v, %v)", err, lookErr)
		}
		t.Skip("no PHP with Laravel here: apt-get install php-cli php-laravel-framework")
	}
	in, err := json.Marshal(calls)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), php, append([]string{"testdata/store.php"}, store...)...)
	cmd.Stdin = bytes.NewReader(in)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("php: %v\n%s%s", err, out, stderr.Bytes())
	}
	var results []any
	dec := json.NewDecoder(bytes.NewReader(out))
	dec.UseNumber()
	if err := dec.Decode(&results); err != nil {
		t.Fatalf("php said %q: %v\n%s", out, err, stderr.Bytes())
	}
	return results
}

// sharedWithLaravel has Go and Laravel's own store read, count and lock each
// other's keys.
func sharedWithLaravel(t *testing.T, s cachetest.Subject, store ...string) {
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(s.Put(ctx, "illuminate:queue:restart", 1795174284, 0))
	must(s.Put(ctx, "illuminate:queue:paused:redis:default", true, time.Minute))
	must(s.Put(ctx, "text", "中文 \"q\" 🚀", time.Minute))
	must(s.Put(ctx, "false", false, 0))
	_, err := s.Increment(ctx, "count", 5, time.Minute)
	must(err)
	_, err = s.Acquire(ctx, "mine", "go-owner", time.Minute)
	must(err)
	_, err = s.Acquire(ctx, "for ever", "go-owner", 0)
	must(err)
	got := laravel(t, store,
		[]any{"get", "illuminate:queue:restart"}, []any{"get", "illuminate:queue:paused:redis:default"},
		[]any{"get", "text"}, []any{"get", "false"}, []any{"get", "count"}, []any{"increment", "count", 2},
		[]any{"add", "count", 9, 60}, []any{"add", "added by php", "x", 60},
		[]any{"lock", "mine", 60, "php-owner"}, []any{"lock", "for ever", 60, "php-owner"},
		[]any{"lock", "theirs", 60, "php-owner"}, []any{"release", "mine", "php-owner"},
		[]any{"forever", "php:restart", 1795174285}, []any{"put", "php:true", true, 60},
		[]any{"put", "php:list", []int{1}, 60}, []any{"put", "php:float", 1.5, 60}, []any{"put", "php:text", "é", 60},
	)
	want := []any{json.Number("1795174284"), true, "中文 \"q\" 🚀", false, json.Number("5"), json.Number("7"),
		false, true, false, false, true, false, true, true, true, true, true}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Laravel sees (-want +got):\n%s", diff)
	}

	texts, err := s.Many(ctx, "count", "added by php", "php:restart", "php:true", "php:list", "php:float", "php:text")
	must(err)
	if diff := cmp.Diff(map[string]string{
		"count": "7", "added by php": "x", "php:restart": "1795174285", "php:true": "1",
		"php:list": "a:1:{i:0;i:1;}", "php:float": "1.5", "php:text": "é",
	}, texts); diff != "" {
		t.Errorf("Go sees (-want +got):\n%s", diff)
	}
	if ok, err := s.Acquire(ctx, "theirs", "go-owner", time.Minute); ok || err != nil {
		t.Errorf("Go took Laravel's lock: %v, %v", ok, err)
	}
	if owner, err := s.Owner(ctx, "theirs"); owner != "php-owner" || err != nil {
		t.Errorf("owner of Laravel's lock: %q, %v", owner, err)
	}
	if ok, err := s.Release(ctx, "mine", "go-owner"); !ok || err != nil {
		t.Errorf("releasing Go's lock: %v, %v", ok, err)
	}
	if n, err := s.Increment(ctx, "count", -7, 0); n != 0 || err != nil {
		t.Errorf("counting on from Laravel: %d, %v", n, err)
	}
	got = laravel(t, store, []any{"lock", "mine", 60, "php-owner"}, []any{"release", "theirs", "php-owner"}, []any{"get", "count"})
	if diff := cmp.Diff([]any{true, true, json.Number("0")}, got); diff != "" {
		t.Errorf("Laravel sees (-want +got):\n%s", diff)
	}
}

func TestFileIsSharedWithLaravel(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	sharedWithLaravel(t, cache.NewFile(dir, nil), "file", dir)
}
