package archtest

import (
	"bytes"
	"go/ast"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// tracked returns the paths of the files that git knows. An archive of the
// sources has no history; then it is every file.
func tracked(t *testing.T, root string) []string {
	t.Helper()
	cmd := exec.Command("git", "ls-files", "-z")
	cmd.Dir = root
	out, err := cmd.Output()
	if err == nil && len(out) > 0 {
		return strings.Split(strings.TrimRight(string(out), "\x00"), "\x00")
	}
	var paths []string
	err = filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if d.IsDir() && (d.Name() == ".git" || rel == "bin") {
			return filepath.SkipDir
		}
		if !d.IsDir() {
			paths = append(paths, filepath.ToSlash(rel))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

// unwanted is text that no file of the repository may hold.
var unwanted = []struct {
	pattern *regexp.Regexp
	why     string
}{
	// The words are split so that this file doesn't hold them.
	{regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|XX` + `X)\b[:( ]`), "do it, or say in the docs that it isn't done"},
	{regexp.MustCompile(`(^|[\s"'=(` + "`" + `])/(work|ro` + `ot|home/[a-z]+|Users/[A-Za-z]+)/`), "a path of one machine"},
	{regexp.MustCompile(`/tmp/[a-z_]+\.\d+\b`), "a path of one machine"},
	{regexp.MustCompile(`(?m)^(<{7}|>{7}) `), "an unresolved merge"},
}

func TestTextOfTrackedFiles(t *testing.T) {
	repo := loaded(t)
	for _, path := range tracked(t, repo.root) {
		text, err := os.ReadFile(filepath.Join(repo.root, path))
		if os.IsNotExist(err) {
			continue // deleted and not yet committed
		}
		if err != nil {
			t.Fatal(err)
		}
		if bytes.IndexByte(text, 0) >= 0 || strings.Contains(path, "/testdata/") || strings.HasSuffix(path, "go.sum") {
			continue // recorded from elsewhere
		}
		for _, u := range unwanted {
			for _, at := range u.pattern.FindAllIndex(text, 3) {
				line := 1 + bytes.Count(text[:at[0]], []byte("\n"))
				t.Errorf("%s:%d: %q: %s", path, line, bytes.TrimSpace(text[at[0]:at[1]]), u.why)
			}
		}
	}
}

// literals are names that other programs read, and the files that may spell
// them: a name that stands in two places will one day differ.
var literals = []struct {
	pattern *regexp.Regexp
	where   []string // patterns of file paths; a folder covers what is below
	why     string
}{
	{
		regexp.MustCompile(`^queues:|:(notify|reserved|delayed)$`), []string{"redisqueue/layout.go", "connect/prefix.go"}, // which looks for other prefixes
		"Redis keys are spelled in the driver's layout",
	},
	{
		regexp.MustCompile(`illuminate:(queue|foundation)`), []string{"signals.go", "cache/cachetest"},
		"the cache keys of restart, pause and maintenance are spelled in signals.go",
	},
	{
		regexp.MustCompile(`\b(failed_jobs|job_batches|cache_locks)\b`), []string{"sqldb/schema", "config", "cache/sql.go", "failed/sql.go", "batch"},
		"Laravel's table names are spelled in the schema, and where they are the default of a setting",
	},
}

func TestNamesOnTheWireAreSpelledOnce(t *testing.T) {
	repo := loaded(t)
	for _, p := range repo.packages {
		for _, f := range p.files {
			ast.Inspect(f.ast, func(n ast.Node) bool {
				lit, ok := n.(*ast.BasicLit)
				if !ok || lit.Kind != token.STRING || lit.Value[0] == '`' && strings.HasPrefix(lit.Value, "`json:") {
					return true // a field of our own JSON may have any name
				}
				text, err := strconv.Unquote(lit.Value)
				if err != nil {
					t.Errorf("%s: %v", repo.at(lit.Pos()), err)
				}
				for _, l := range literals {
					if l.pattern.MatchString(text) && !under(f.path, l.where) {
						t.Errorf("%s: %s: %s", repo.at(lit.Pos()), lit.Value, l.why)
					}
				}
				return true
			})
		}
	}
}

// under says whether a path is one of these, or below one of these.
func under(path string, places []string) bool {
	for _, p := range places {
		if path == p || strings.HasPrefix(path, p+"/") {
			return true
		}
	}
	return false
}
