package think

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestDocs holds docs/interop-think.md to what there is: every cell is in it, and
// every test that it names exists.
func TestDocs(t *testing.T) {
	root := filepath.Join("..", "..")
	b, err := os.ReadFile(filepath.Join(root, "docs", "interop-think.md"))
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	for _, c := range append(cells(), upstream()...) {
		if !strings.Contains(text, "`"+c.name+"`") {
			t.Errorf("the cell %q is not in the table", c.name)
		}
	}
	for n := 1; n <= 40; n++ {
		if !strings.Contains(text, fmt.Sprintf("\n| B%d |", n)) {
			t.Errorf("B%d is missing", n)
		}
	}
	named := 0
	for _, m := range regexp.MustCompile("`([a-z/]+)\\.(Test[A-Za-z0-9]+)`").FindAllStringSubmatch(text, -1) {
		named++
		folder := filepath.Join(root, filepath.FromSlash(m[1]))
		if m[1] == "spool" {
			folder = root
		}
		files, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, file := range files {
			source, err := os.ReadFile(filepath.Clean(file))
			if err != nil {
				t.Fatal(err)
			}
			found = found || strings.Contains(string(source), "\nfunc "+m[2]+"(")
		}
		if !found {
			t.Errorf("%s has no test %s", m[1], m[2])
		}
	}
	for _, m := range regexp.MustCompile("`(cli/testdata/[a-z/]+\\.txtar)`").FindAllStringSubmatch(text, -1) {
		named++
		if _, err := os.Stat(filepath.Join(root, filepath.FromSlash(m[1]))); err != nil {
			t.Error(err)
		}
	}
	if named < 60 {
		t.Errorf("only %d tests are named", named)
	}
}
