package archtest

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

const module = "github.com/spoolq/spool"

// pkg is a package of the module.
type pkg struct {
	path    string   // below the module; "." is the root
	imports []string // of its files that are no tests, on this system
	deps    []string // the same with all that they import in turn
	files   []*file  // no tests, all systems
	tests   []*file
}

// file is a parsed Go file.
type file struct {
	path  string // below the repository's root
	ast   *ast.File
	lines int
}

// repository is the module as a whole.
type repository struct {
	root     string
	fset     *token.FileSet
	packages []*pkg
	standard map[string]bool // packages of the standard library among all deps
}

// load reads the module once for all tests.
var load = sync.OnceValues(func() (*repository, error) {
	root, err := filepath.Abs("../..")
	if err != nil {
		return nil, err
	}
	r := &repository{root: root, fset: token.NewFileSet(), standard: map[string]bool{}}
	cmd := exec.Command("go", "list", "-e", "-deps", "-json=ImportPath,Dir,Standard,Imports,Deps", "./...")
	cmd.Dir = root
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, err
	}
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p struct {
			ImportPath, Dir string
			Standard        bool
			Imports, Deps   []string
		}
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return r, nil
		} else if err != nil {
			return nil, err
		}
		r.standard[p.ImportPath] = p.Standard
		path, ours := strings.CutPrefix(p.ImportPath+"/", module+"/")
		if !ours || p.Dir == "" { // somebody else's, or imported and not there
			continue
		}
		path = strings.TrimSuffix(path, "/")
		if path == "" {
			path = "."
		}
		q := &pkg{path: path, imports: p.Imports, deps: p.Deps}
		if err := r.parse(q, p.Dir); err != nil {
			return nil, err
		}
		r.packages = append(r.packages, q)
	}
})

// parse reads the files of a package, those for other systems too.
func (r *repository) parse(p *pkg, dir string) error {
	paths, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return err
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		f, err := parser.ParseFile(r.fset, path, text, parser.ParseComments)
		if err != nil {
			return err
		}
		if ast.IsGenerated(f) {
			continue
		}
		rel, err := filepath.Rel(r.root, path)
		if err != nil {
			return err
		}
		one := &file{path: filepath.ToSlash(rel), ast: f, lines: strings.Count(string(text), "\n")}
		if strings.HasSuffix(path, "_test.go") {
			p.tests = append(p.tests, one)
		} else {
			p.files = append(p.files, one)
		}
	}
	return nil
}

// at returns a position as the reader of a failure wants it.
func (r *repository) at(pos token.Pos) string {
	p := r.fset.Position(pos)
	if rel, err := filepath.Rel(r.root, p.Filename); err == nil {
		p.Filename = filepath.ToSlash(rel)
	}
	p.Column = 0
	return p.String()
}

// loaded returns the repository, or ends the test.
func loaded(t *testing.T) *repository {
	t.Helper()
	r, err := load()
	if err != nil {
		t.Fatal(err)
	}
	if len(r.packages) < 5 {
		t.Fatalf("only %d packages found: the rules would hold for nothing", len(r.packages))
	}
	return r
}
