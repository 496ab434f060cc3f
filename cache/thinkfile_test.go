package cache_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/spoolq/spool/cache"
	"github.com/spoolq/spool/cache/cachetest"
)

const thinkRestart = "think:queue:restart"

// thinkForms are the forms and a version of ThinkPHP that writes them.
var thinkForms = map[string]cache.ThinkForm{
	"5.0.7": cache.Think5010, "5.0.25": cache.Think50, "5.1.42": cache.Think51, "6.0.16": cache.Think6, "8.0.4": cache.Think6,
}

func TestThinkFile(t *testing.T) {
	for _, version := range []string{"5.0.7", "5.0.25", "5.1.42", "8.0.4"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			cachetest.Run(t, func(t *testing.T) cachetest.Subject {
				return cache.NewThinkFile(filepath.Join(t.TempDir(), "runtime", "cache"), &cache.ThinkFileOptions{Form: thinkForms[version]})
			})
		})
	}
}

// recorded is what queue:restart of the real versions left in the file cache.
type recorded struct {
	Framework string `json:"framework"`
	Path      string `json:"path"`
	Content   string `json:"content"`
	Restart   int64  `json:"restart"`
}

func thinkRecordings(t *testing.T) []recorded {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "think-restart.json"))
	if err != nil {
		t.Fatal(err)
	}
	var all []recorded
	if err := json.Unmarshal(b, &all); err != nil || len(all) < 4 {
		t.Fatal(len(all), err)
	}
	return all
}

// The bytes and the paths were written by queue:restart of the real think-queue
// on four versions of ThinkPHP, with the cache in files.
func TestThinkFileIsThinkPHPs(t *testing.T) {
	for _, r := range thinkRecordings(t) {
		t.Run(r.Framework, func(t *testing.T) {
			dir := t.TempDir()
			form, ok := thinkForms[strings.TrimPrefix(r.Framework, "v")]
			if !ok {
				t.Fatal("no form is known")
			}
			s := cache.NewThinkFile(dir, &cache.ThinkFileOptions{Form: form})
			file := filepath.Join(dir, filepath.FromSlash(r.Path))
			if err := s.Put(t.Context(), thinkRestart, r.Restart, 0); err != nil {
				t.Fatal(err)
			}
			if got, err := os.ReadFile(file); err != nil || string(got) != r.Content {
				t.Errorf("written is %q, %v; want %q", got, err, r.Content)
			}
			if err := os.WriteFile(file, []byte(r.Content), 0o600); err != nil {
				t.Fatal(err)
			}
			if got, err := s.Many(t.Context(), thinkRestart); err != nil || got[thinkRestart] != strconv.FormatInt(r.Restart, 10) {
				t.Errorf("read is %v, %v", got, err)
			}
		})
	}
}

// Values of other kinds, and a time to live, in the form of each version.
func TestThinkFileForms(t *testing.T) {
	head := func(ttl string) string { return "<?php\n//" + ttl + "\n exit();?>\n" }
	for _, c := range []struct {
		form  cache.ThinkForm
		value any
		ttl   time.Duration
		want  string
	}{
		{cache.Think6, 7, time.Minute, head("000000000060") + "7"},
		{cache.Think6, "7.5e3", 0, head("000000000000") + "7.5e3"},
		{cache.Think6, "me", 0, head("000000000000") + `s:2:"me";`},
		{cache.Think6, "inf", 0, head("000000000000") + `s:3:"inf";`},
		{cache.Think6, true, 0, head("000000000000") + "1"},
		{cache.Think6, false, 0, head("000000000000") + "b:0;"},
		{cache.Think51, "me", 0, head("000000000000") + "me"},
		{cache.Think51, "", 0, head("000000000000") + `think_serialize:s:0:"";`},
		{cache.Think50, "me", 0, head("000000000000") + `s:2:"me";`},
		{cache.Think5010, 7, time.Minute, "<?php\n//000000000060i:7;\n?>"},
	} {
		dir := t.TempDir()
		s := cache.NewThinkFile(dir, &cache.ThinkFileOptions{Form: c.form, Flat: true})
		if err := s.Put(t.Context(), thinkRestart, c.value, c.ttl); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(filepath.Join(dir, "fe767bdf35445c5d9d176a0c20c983f6.php"))
		if err != nil || string(got) != c.want {
			t.Errorf("%v in form %d is %q, %v; want %q", c.value, c.form, got, err, c.want)
		}
	}
}

// What isn't whole, isn't a file of this store or has expired is absent.
func TestThinkFileReadsOddFilesAsAbsent(t *testing.T) {
	dir := t.TempDir()
	s := cache.NewThinkFile(dir, nil)
	file := filepath.Join(dir, "fe", "767bdf35445c5d9d176a0c20c983f6.php")
	if err := s.Put(t.Context(), thinkRestart, 1, 0); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		"", "<?php", "<?php\n//0000", "<?php\n//000000000000", "<?php\n//00000000000x\n exit();?>\n1", "<?php\n//000000000000\n exit();?>\n",
		"<?php\n//000000000000\n exit();?>\ns:9:\"cut", "<?php\n//000000000000i:1;", "9999999999i:1;", "<?php\n//000000000000\n exit();?>\nN;",
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Many(t.Context(), thinkRestart); err != nil || len(got) != 0 {
			t.Errorf("%q is read as %v, %v", text, got, err)
		}
	}
	if err := os.WriteFile(file, []byte("<?php\n//000000000060\n exit();?>\n1"), 0o600); err != nil {
		t.Fatal(err)
	}
	for age, want := range map[time.Duration]int{time.Second: 1, time.Hour: 0} {
		at := time.Now().Add(-age)
		if err := os.Chtimes(file, at, at); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Many(t.Context(), thinkRestart); err != nil || len(got) != want {
			t.Errorf("written %v ago for a minute: %v, %v", age, got, err)
		}
	}
}
