package doctest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Session is where the console blocks of a document run, with no settings but
// those that it has.
type Session struct {
	Root     string   // of the repository
	Dir      string   // the folder to begin in
	Programs string   // a folder of programs that documents call; goes before the others
	Env      []string // further variables
	Needs    string   // runs the blocks that need this; see [Block]
}

var file = regexp.MustCompile(`^(?:<\?php\n)?(?:#|//) ([A-Za-z/-]+\.(?:yaml|go|php))\n`)

// Walk runs the blocks of one document, in their order. A block that begins with
// "# NAME.yaml", "// NAME.go" or "<?php" and "// NAME.php" is written to that
// file. The commands of a block marked console that has the same Needs as the
// session are run one after the other, in one folder, which "cd" changes, and
// print what the block shows: these lines in this order, maybe more between
// them; times, uuids and spans may differ, and "…" stands for anything. "# exit
// code 1" behind a command says how it ends, if not with 0.
func (s *Session) Walk(t testing.TB, blocks []Block) {
	t.Helper()
	dir := s.Dir
	for _, b := range blocks {
		if m := file.FindStringSubmatch(b.Text); m != nil {
			path := filepath.Join(dir, m[1])
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(b.Text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if b.Lang != "console" || b.Needs != s.Needs {
			continue
		}
		for _, c := range steps(b) {
			if to, ok := strings.CutPrefix(c.command, "cd "); ok {
				dir = filepath.Join(dir, to)
				continue
			}
			out, code := s.run(t, c, dir)
			if code != c.code {
				t.Fatalf("%s:%d: %s: exit code %d, want %d; it printed\n%s", b.File, c.line, c.command, code, c.code, out)
			}
			if line, ok := seen(out, c.shown); !ok {
				t.Fatalf("%s:%d: %s: the document shows the line\n%s\nbut it printed\n%s", b.File, c.line, c.command, line, out)
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

// example builds one of the examples, which has been done.
var example = regexp.MustCompile(`go build -o (\w+) \./examples/(\w+)`)

func (s *Session) run(t testing.TB, c step, dir string) (out string, code int) {
	t.Helper()
	abs, err := filepath.Abs(s.Root)
	if err != nil {
		t.Fatal(err)
	}
	command := example.ReplaceAllString(c.command, "cp '"+s.Programs+"/$1' $1")
	cmd := exec.Command("sh", "-c", strings.NewReplacer(
		"go run ./cmd/spool", "spool",
		// This module, at the versions that it was tested with.
		"go get github.com/spoolq/spool/cli", "cp '"+abs+"/go.sum' . && "+
			"go mod edit -require github.com/spoolq/spool@v0.0.0 -replace 'github.com/spoolq/spool="+abs+"'",
	).Replace(command))
	cmd.Dir = dir
	path := os.Getenv("PATH")
	if s.Programs != "" {
		path = s.Programs + string(os.PathListSeparator) + path
	}
	cmd.Env = slices.Concat(goEnv(t), []string{"HOME=" + dir, "PATH=" + path}, s.Env)
	text, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return string(text), cmd.ProcessState.ExitCode()
}

// goEnv is what the go command needs to know without the user's environment.
func goEnv(t testing.TB) []string {
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
