package doctest

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const root = "../.."

func blocks(t *testing.T, lang string) []Block {
	t.Helper()
	all, err := Blocks(root)
	if err != nil {
		t.Fatal(err)
	}
	var some []Block
	for _, b := range all {
		if b.Lang == lang {
			some = append(some, b)
		}
	}
	return some
}

var packageClause = regexp.MustCompile(`(?m)\A(//.*\n|\n)*package `)

// TestGoFilesCompile vets the blocks that are whole files, each as a package of
// its own in one module that requires this one.
func TestGoFilesCompile(t *testing.T) {
	dir := t.TempDir()
	where := map[string]string{}
	for i, b := range blocks(t, "go") {
		if !packageClause.MatchString(b.Text) {
			continue
		}
		name := fmt.Sprintf("block%d", i)
		where[name] = fmt.Sprintf("%s:%d", b.File, b.Line)
		file := "main.go"
		if strings.Contains(b.Text, `"testing"`) {
			file = "main_test.go"
		}
		write(t, filepath.Join(dir, name, file), b.Text)
	}
	if len(where) == 0 {
		t.Log("no block is a whole file")
		return
	}
	if out, err := vet(t, dir); err != nil {
		for name, at := range where {
			out = strings.ReplaceAll(out, name+"/", at+" ")
		}
		t.Errorf("go vet: %v\n%s", err, out)
	}
}

// vet makes dir a module that requires this one and vets what is in it.
func vet(t *testing.T, dir string) (string, error) {
	t.Helper()
	abs, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	mod := read(t, filepath.Join(root, "go.mod"))
	mod = strings.Replace(mod, "module github.com/spoolq/spool\n", "module documents\n", 1)
	mod += "\nrequire github.com/spoolq/spool v0.0.0\nreplace github.com/spoolq/spool => " + strconv.Quote(filepath.ToSlash(abs)) + "\n"
	write(t, filepath.Join(dir, "go.mod"), mod)
	write(t, filepath.Join(dir, "go.sum"), read(t, filepath.Join(root, "go.sum")))
	cmd := exec.Command("go", "vet", "-mod=mod", "./...")
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestVetFindsMistakes(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "block0", "main.go"), "package main\n\nimport \"github.com/spoolq/spool/driver\"\n\nvar _ driver.Nothing\n\nfunc main() {}\n")
	out, err := vet(t, dir)
	if err == nil || !strings.Contains(out, "driver.Nothing") {
		t.Errorf("a block that doesn't compile passes: %v\n%s", err, out)
	}
}

func TestGoFragmentsAreFromExamples(t *testing.T) {
	sources := map[string][]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == ".git" || d.Name() == "testdata") {
			return filepath.SkipDir
		}
		rel, err := filepath.Rel(root, path)
		if err == nil && isExample(filepath.ToSlash(rel)) {
			sources[rel] = lines(read(t, path))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range blocks(t, "go") {
		if packageClause.MatchString(b.Text) {
			continue
		}
		found := false
		for _, source := range sources {
			found = found || contains(source, lines(b.Text))
		}
		if !found {
			t.Errorf("%s:%d: this fragment is in no example of the repository, so nothing compiles it:\n%s", b.File, b.Line, b.Text)
		}
	}
}

func isExample(path string) bool {
	name := path[strings.LastIndexByte(path, '/')+1:]
	return strings.HasPrefix(path, "examples/") && strings.HasSuffix(name, ".go") ||
		strings.HasPrefix(name, "example") && strings.HasSuffix(name, "_test.go")
}

// lines returns the lines that say something, without indentation.
func lines(text string) []string {
	var ls []string
	for l := range strings.Lines(text) {
		if l = strings.Join(strings.Fields(l), " "); l != "" {
			ls = append(ls, l)
		}
	}
	return ls
}

// contains says whether the lines stand one after the other in source; after a
// line that means "left out" the next ones may stand anywhere below.
func contains(source, ls []string) bool {
	if len(ls) == 0 {
		return true
	}
	for start := range source {
		if match(source[start:], ls) {
			return true
		}
	}
	return false
}

func match(source, ls []string) bool {
	for i, l := range ls {
		if strings.TrimSpace(strings.TrimPrefix(l, "//")) == "…" {
			return contains(source[min(i, len(source)):], ls[i+1:])
		}
		if i >= len(source) || source[i] != l {
			return false
		}
	}
	return true
}

func TestContains(t *testing.T) {
	source := lines("a\n\tb\n\nc  d\ne\nf\n")
	for text, want := range map[string]bool{
		"b\nc d":             true,
		"  a\n  b":           true,
		"a\nc d":             false,
		"a\n// …\ne":         true,
		"a\n…\nf":            true,
		"e\n…\na":            false,
		"f\ng":               false,
		"a\nb\n…\nc d\n…\nf": true,
	} {
		if got := contains(source, lines(text)); got != want {
			t.Errorf("%q: got %v, want %v", text, got, want)
		}
	}
}

var link = regexp.MustCompile(`\]\(([^)\s]+)\)`)

func TestLinksLeadSomewhere(t *testing.T) {
	paths, err := Documents(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		for _, m := range link.FindAllStringSubmatch(read(t, filepath.Join(root, path)), -1) {
			target, _, _ := strings.Cut(m[1], "#")
			if target == "" || strings.Contains(target, ":") {
				continue // within the document, or elsewhere
			}
			if _, err := os.Stat(filepath.Join(root, filepath.Dir(path), target)); err != nil {
				t.Errorf("%s: the link to %s: %v", path, m[1], err)
			}
		}
	}
}

var makeCall = regexp.MustCompile("(?m)(?:^\\s*(?:\\$ )?|`)make ([a-z-]+)")

func TestMakeTargetsExist(t *testing.T) {
	makefile := "\n" + read(t, filepath.Join(root, "Makefile"))
	paths, err := Documents(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		for _, m := range makeCall.FindAllStringSubmatch(read(t, filepath.Join(root, path)), -1) {
			if !strings.Contains(makefile, "\n"+m[1]+":") {
				t.Errorf("%s: make %s: no such target", path, m[1])
			}
		}
	}
}

func TestParse(t *testing.T) {
	text := "# T\n\n```go\nx := 1\n```\n\n* item\n\n  ```sh title\n  $ spool work \\\n      --once # why\n  ls\n  go run ./cmd/spool demo\n  ```\n"
	got := parse("a.md", text)
	want := []Block{
		{"a.md", 3, "go", "", "x := 1\n"},
		{"a.md", 9, "sh", "title", "$ spool work \\\n    --once # why\nls\ngo run ./cmd/spool demo\n"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	commands := commandsOf(got[1])
	wantCommands := []Command{
		{"a.md", 10, "spool work --once"},
		{"a.md", 13, "spool demo"},
	}
	if d := cmp.Diff(wantCommands, commands); d != "" {
		t.Error(d)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
}
