package doctest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

const matrixPackage = "interop/laravel"

// TestInteropNamesTests holds docs/interop.md to the tests: each that it names
// exists, and each cell of the matrix with Laravel is named.
func TestInteropNamesTests(t *testing.T) {
	packages := map[string]*testPackage{}
	of := func(dir string) *testPackage {
		if packages[dir] == nil {
			packages[dir] = parseTests(t, dir)
		}
		return packages[dir]
	}
	named := map[string]bool{} // cells of the matrix
	for _, r := range references(read(t, filepath.Join(root, "docs", "interop.md"))) {
		p := of(r.dir)
		if !p.tests[r.test] {
			t.Errorf("%s: there is no test %s in %s", r.text, r.test, r.dir)
			continue
		}
		if r.cell != "" && !p.hasCell(r.cell) {
			t.Errorf("%s: nothing in the tests of %s has the name %q", r.text, r.dir, r.cell)
		}
		if r.dir == matrixPackage {
			named[r.test+"/"+r.cell] = true
		}
	}
	cells := of(matrixPackage).cells
	if len(cells) == 0 || len(named) == 0 {
		t.Fatalf("%d cells in %s, %d named", len(cells), matrixPackage, len(named))
	}
	for _, c := range cells {
		if strings.HasPrefix(c.name, "…") { // made of other cells
			continue
		}
		if !named[c.test+"/"+c.name] {
			t.Errorf("docs/interop.md doesn't have the cell `%s/…/%s` of %s: add it to the table of its section", c.test, c.name, matrixPackage)
		}
	}
}

// reference is a test that a document names: `PACKAGE.TestX/…/cell`, the package
// being that of the matrix where none stands.
type reference struct{ text, dir, test, cell string }

var testReference = regexp.MustCompile("`(?:([a-z/]+)\\.)?((?:Test|Fuzz)[A-Z]\\w*)(?:/(?:…/)?([^`]+))?`")

func references(text string) []reference {
	var list []reference
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "|") {
			continue
		}
		for _, m := range testReference.FindAllStringSubmatch(line, -1) {
			r := reference{text: m[0], dir: m[1], test: m[2], cell: m[3]}
			switch r.dir {
			case "":
				r.dir = matrixPackage
			case "spool":
				r.dir = "."
			}
			list = append(list, r)
		}
	}
	return list
}

// testPackage is what the tests of a package have names for.
type testPackage struct {
	dir   string
	tests map[string]bool
	texts map[string]bool // every text in them; "…" for what isn't constant
	cells []cellName
}

type cellName struct{ test, name string }

func parseTests(t *testing.T, dir string) *testPackage {
	t.Helper()
	p := &testPackage{dir: filepath.Join(root, filepath.FromSlash(dir)), tests: map[string]bool{}, texts: map[string]bool{}}
	paths, err := filepath.Glob(filepath.Join(p.dir, "*_test.go"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("%s has no tests: %v", dir, err)
	}
	for _, path := range paths {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			fn, ok := d.(*ast.FuncDecl)
			name := ""
			if ok && fn.Recv == nil {
				name = fn.Name.Name
				p.tests[name] = true
			}
			ast.Inspect(d, func(n ast.Node) bool { p.note(name, n); return true })
		}
	}
	return p
}

// note keeps the text that an expression is, and the cell.
func (p *testPackage) note(function string, n ast.Node) {
	switch n := n.(type) {
	case *ast.CompositeLit:
		if !strings.HasPrefix(function, "Test") || len(n.Elts) == 0 {
			return
		}
		if typ, ok := n.Type.(*ast.Ident); n.Type != nil && (!ok || typ.Name != "cell") {
			return
		}
		first := n.Elts[0]
		kv, keyed := first.(*ast.KeyValueExpr)
		switch {
		case keyed:
			if key, ok := kv.Key.(*ast.Ident); !ok || key.Name != "name" {
				return
			}
			first = kv.Value
		case n.Type == nil:
			return
		}
		if name := textOf(first); name != "" {
			p.cells = append(p.cells, cellName{function, name})
		}
	case ast.Expr:
		if text := textOf(n); text != "" {
			p.texts[text] = true
		}
	}
}

// textOf is the text that an expression is, with "…" for the parts of it that
// aren't constant, and "" for what is no text.
func textOf(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		if e.Kind == token.STRING {
			if text, err := strconv.Unquote(e.Value); err == nil {
				return formatVerb.ReplaceAllString(text, "…")
			}
		}
	case *ast.BinaryExpr:
		if e.Op == token.ADD {
			x, y := textOf(e.X), textOf(e.Y)
			if x == "" && y == "" {
				return ""
			}
			return or(x) + or(y)
		}
	case *ast.CallExpr:
		if len(e.Args) > 0 {
			if s, ok := e.Fun.(*ast.SelectorExpr); ok && s.Sel.Name == "Sprintf" {
				return textOf(e.Args[0])
			}
		}
	}
	return ""
}

var formatVerb = regexp.MustCompile(`%[sdvq]`)

func or(text string) string {
	if text == "" {
		return "…"
	}
	return text
}

// hasCell says whether a name is that of a case in the tests, or of a script.
func (p *testPackage) hasCell(name string) bool {
	if p.texts[name] {
		return true
	}
	_, err := os.Stat(filepath.Join(p.dir, "testdata", "script", name+".txtar"))
	return err == nil
}

func TestReferences(t *testing.T) {
	got := references("| a | `spool.TestX`, `TestY/…/b's \"c\"` | `cli.TestScripts/only` |\n`TestNot`\n")
	want := []reference{
		{"`spool.TestX`", ".", "TestX", ""},
		{"`TestY/…/b's \"c\"`", matrixPackage, "TestY", `b's "c"`},
		{"`cli.TestScripts/only`", "cli", "TestScripts", "only"},
	}
	if len(got) != len(want) {
		t.Fatalf("%+v", got)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("got %+v, want %+v", got[i], want[i])
		}
	}
}
