package doctest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// TestConsole runs the documents. Blocks marked console are sessions of a
// shell: the commands of one document run one after the other, in an empty
// folder and with no settings, and print what the block shows, see seen. A block
// that begins with "# NAME.yaml" or "// NAME.go" is written to that file first.
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
			walk(t, dir, blocks)
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
		cmd := exec.Command("go", "build", "-o", programs.dir, "./cmd/spool", "./examples/quickstart")
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

var file = regexp.MustCompile(`^(?:#|//) ([a-z/-]+\.(?:yaml|go))\n`)

func walk(t *testing.T, programs string, blocks []Block) {
	dir := t.TempDir()
	for _, b := range blocks {
		if m := file.FindStringSubmatch(b.Text); m != nil {
			write(t, filepath.Join(dir, m[1]), b.Text)
		}
		if b.Lang != "console" {
			continue
		}
		for _, s := range steps(b) {
			if to, ok := strings.CutPrefix(s.command, "cd "); ok {
				dir = filepath.Join(dir, to)
				continue
			}
			out, code := s.run(t, programs, dir)
			if code != s.code {
				t.Fatalf("%s:%d: %s: exit code %d, want %d; it printed\n%s", b.File, s.line, s.command, code, s.code, out)
			}
			if line, ok := seen(out, s.shown); !ok {
				t.Fatalf("%s:%d: %s: the document shows the line\n%s\nbut it printed\n%s", b.File, s.line, s.command, line, out)
			}
		}
	}
}

// step is a command of a console block and what the block shows of its output.
type step struct {
	command string
	line    int
	code    int // "# exit code 1" behind the command; else 0
	shown   []string
}

var exitCode = regexp.MustCompile(`# exit code (\d+)`)

func steps(b Block) []step {
	var list []step
	number := b.Line
	for line := range strings.Lines(b.Text) {
		number++
		line = strings.TrimSuffix(line, "\n")
		last := len(list) - 1
		switch command, ok := strings.CutPrefix(line, "$ "); {
		case ok:
			s := step{command: command, line: number}
			if m := exitCode.FindStringSubmatch(command); m != nil {
				_, _ = fmt.Sscan(m[1], &s.code)
			}
			list = append(list, s)
		case last >= 0 && strings.HasSuffix(list[last].command, `\`):
			list[last].command += "\n" + line
		case last >= 0:
			list[last].shown = append(list[last].shown, line)
		}
	}
	return list
}

func (s step) run(t *testing.T, programs, dir string) (out string, code int) {
	t.Helper()
	abs, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", "-c", strings.NewReplacer(
		"go run ./cmd/spool", "spool",
		"go build -o quickstart ./examples/quickstart", "cp '"+filepath.Join(programs, "quickstart")+"' .",
		// This module, at the versions that it was tested with.
		"go get github.com/spoolq/spool", "cp '"+abs+"/go.sum' . && "+
			"go mod edit -require github.com/spoolq/spool@v0.0.0 -replace 'github.com/spoolq/spool="+abs+"'",
	).Replace(s.command))
	cmd.Dir = dir
	cmd.Env = append(goEnv(t), "HOME="+dir, "PATH="+programs+string(os.PathListSeparator)+os.Getenv("PATH"))
	text, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return string(text), cmd.ProcessState.ExitCode()
}

// goEnv is what the go command needs to know without the user's environment.
func goEnv(t *testing.T) []string {
	t.Helper()
	env := []string{"GOFLAGS=-mod=mod"}
	for _, name := range []string{"GOCACHE", "GOMODCACHE", "GOPATH", "GOPROXY", "GOSUMDB", "GOTOOLCHAIN"} {
		value, err := exec.Command("go", "env", name).Output()
		if err != nil {
			t.Fatal(err)
		}
		env = append(env, name+"="+strings.TrimSpace(string(value)))
	}
	return env
}

// What differs from run to run, and what stands for it.
var varying = []struct {
	re *regexp.Regexp
	to string
}{
	{regexp.MustCompile(`\b\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?(\+00:00|Z)?`), "TIME"},
	{regexp.MustCompile(`\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b`), "UUID"},
	{regexp.MustCompile(`\b\d+(\.\d+)?(µs|ms|s|m)\b`), "SPAN"},
	{regexp.MustCompile(`\.{3,}`), "..."},
	{regexp.MustCompile(`\s+`), " "},
}

func constant(line string) string {
	for _, v := range varying {
		line = v.re.ReplaceAllString(line, v.to)
	}
	return strings.TrimSpace(line)
}

// seen says whether the shown lines are all in the output, in this order, and
// if not, which isn't. The output may have more lines; times, uuids and spans
// may differ; "…" stands for anything.
func seen(out string, shown []string) (missing string, ok bool) {
	rest := strings.Split(out, "\n")
next:
	for _, want := range shown {
		if constant(want) == "" || constant(want) == "…" {
			continue
		}
		pattern := strings.ReplaceAll(regexp.QuoteMeta(constant(want)), "…", ".*")
		re := regexp.MustCompile("^" + pattern + "$")
		for i, line := range rest {
			if re.MatchString(constant(line)) {
				rest = rest[i+1:]
				continue next
			}
		}
		return want, false
	}
	return "", true
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
