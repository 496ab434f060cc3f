package doctest

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// TestConsole runs the documents, each in an empty folder; see [Session.Walk].
// Blocks that need more are run where that is: those of laravel in
// interop/laravel.
func TestConsole(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the documents' commands are for a Unix shell")
	}
	dir := build(t)
	all, err := Blocks(root)
	if err != nil {
		t.Fatal(err)
	}
	documents := map[string][]Block{}
	for _, b := range all {
		documents[b.File] = append(documents[b.File], b)
	}
	for name, blocks := range documents {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := Session{Root: root, Dir: t.TempDir(), Programs: dir}
			s.Walk(t, blocks)
		})
	}
}

// programs is the folder of the programs that documents call, once built.
var programs struct {
	sync.Once
	dir string
	err error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if programs.dir != "" {
		_ = os.RemoveAll(programs.dir)
	}
	os.Exit(code)
}

// build returns a folder with the programs that documents call.
func build(t *testing.T) string {
	t.Helper()
	programs.Do(func() {
		if programs.dir, programs.err = os.MkdirTemp("", "doctest"); programs.err != nil {
			return
		}
		cmd := exec.Command("go", "build", "-o", programs.dir, "./cmd/spool", "./examples/...")
		cmd.Dir = root
		if out, err := cmd.CombinedOutput(); err != nil {
			programs.err = fmt.Errorf("%w\n%s", err, out)
		}
	})
	if programs.err != nil {
		t.Fatal(programs.err)
	}
	return programs.dir
}

func TestSeen(t *testing.T) {
	out := "  2026-01-02 03:04:05 Mail ........ 1.5ms DONE\nb\nc 12 MB\n"
	for want, ok := range map[string]bool{
		"2030-12-31 00:00:00 Mail ... 12s DONE\n…\nc … MB": true,
		"b":                                     true,
		"c …\nb":                                false,
		"d":                                     false,
		"2030-12-31 00:00:00 Mail ... 12s FAIL": false,
	} {
		if _, got := seen(out, strings.Split(want, "\n")); got != ok {
			t.Errorf("%q: seen is %v, want %v", want, got, ok)
		}
	}
}

func TestSteps(t *testing.T) {
	b := Block{Line: 3, Text: "$ spool monitor default --max 1 # exit code 1\nALERT\n$ a \\\n  b\nc\n"}
	got := fmt.Sprint(steps(b))
	want := fmt.Sprint([]step{
		{"spool monitor default --max 1 # exit code 1", 4, 1, []string{"ALERT"}},
		{"a \\\n  b", 6, 0, []string{"c"}},
	})
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
