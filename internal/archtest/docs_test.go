package archtest

import (
	"go/ast"
	"go/doc/comment"
	"go/token"
	"path"
	"strings"
	"testing"
)

func TestEveryPackageHasOneDoc(t *testing.T) {
	for _, p := range loaded(t).packages {
		if len(p.files) == 0 {
			continue // tests only
		}
		var docs []string
		for _, f := range p.files {
			if f.ast.Doc != nil {
				docs = append(docs, f.path)
			}
		}
		if len(docs) != 1 {
			t.Errorf("package %s has %d package docs, want one: %v", p.path, len(docs), docs)
		}
	}
}

func TestEveryExportedNameHasADoc(t *testing.T) {
	repo := loaded(t)
	for _, p := range repo.packages {
		for _, f := range p.files {
			for _, d := range f.ast.Decls {
				for _, name := range undocumented(d) {
					t.Errorf("%s: %s has no doc comment", repo.at(name.Pos()), name.Name)
				}
			}
		}
	}
}

// undocumented returns the exported names that a declaration introduces and
// doesn't explain. Methods of unexported types are seen by nobody; a group of
// constants or variables may share one doc.
func undocumented(d ast.Decl) []*ast.Ident {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Doc == nil && d.Name.IsExported() && (d.Recv == nil || ast.IsExported(receiver(d)) && !wellKnown[d.Name.Name]) {
			return []*ast.Ident{d.Name}
		}
	case *ast.GenDecl:
		var names []*ast.Ident
		for _, s := range d.Specs {
			switch s := s.(type) {
			case *ast.TypeSpec:
				if d.Doc == nil && s.Doc == nil && s.Name.IsExported() {
					names = append(names, s.Name)
				}
			case *ast.ValueSpec:
				for _, n := range s.Names {
					if d.Doc == nil && s.Doc == nil && s.Comment == nil && n.IsExported() {
						names = append(names, n)
					}
				}
			}
		}
		return names
	}
	return nil
}

// wellKnown are methods whose contract is that of an interface of the standard
// library.
var wellKnown = map[string]bool{
	"Error": true, "Unwrap": true, "Is": true, "As": true, "String": true, "LogValue": true,
	"Len": true, "Less": true, "Swap": true, "Format": true, "GoString": true,
	"MarshalJSON": true, "UnmarshalJSON": true, "MarshalText": true, "UnmarshalText": true,
}

// receiver returns the name of the type that a method belongs to.
func receiver(d *ast.FuncDecl) string {
	e := d.Recv.List[0].Type
	for {
		switch x := e.(type) {
		case *ast.StarExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.IndexListExpr:
			e = x.X
		case *ast.Ident:
			return x.Name
		default:
			return ""
		}
	}
}

// symbols returns what a doc link may name: "Type", "Type.Method",
// "Type.Field", "Func", …
func symbols(p *pkg) map[string]bool {
	names := map[string]bool{}
	for _, f := range p.files {
		for _, d := range f.ast.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				name := d.Name.Name
				if d.Recv != nil {
					name = receiver(d) + "." + name
				}
				names[name] = true
			case *ast.GenDecl:
				for _, s := range d.Specs {
					addSymbols(names, s)
				}
			}
		}
	}
	return names
}

func addSymbols(names map[string]bool, s ast.Spec) {
	switch s := s.(type) {
	case *ast.ValueSpec:
		for _, n := range s.Names {
			names[n.Name] = true
		}
	case *ast.TypeSpec:
		names[s.Name.Name] = true
		var fields *ast.FieldList
		switch x := s.Type.(type) {
		case *ast.StructType:
			fields = x.Fields
		case *ast.InterfaceType:
			fields = x.Methods
		default:
			return
		}
		for _, f := range fields.List {
			for _, n := range f.Names {
				names[s.Name.Name+"."+n.Name] = true
			}
		}
	}
}

// TestDocLinksResolve checks every [Name] in a doc comment. Links to the
// standard library and to other modules are taken on trust.
func TestDocLinksResolve(t *testing.T) {
	repo := loaded(t)
	all := map[string]map[string]bool{}
	for _, p := range repo.packages {
		all[path.Join(module, p.path)] = symbols(p)
	}
	for _, p := range repo.packages {
		own := all[path.Join(module, p.path)]
		for _, f := range p.files {
			imported := importNames(f.ast)
			for _, c := range docComments(f.ast) {
				for _, link := range brokenLinks(c.Text(), own, imported, all) {
					t.Errorf("%s: the doc link [%s] names nothing", repo.at(c.Pos()), link)
				}
			}
		}
	}
}

// importNames returns the import paths of a file by the names that it uses.
func importNames(f *ast.File) map[string]string {
	names := map[string]string{}
	for _, s := range f.Imports {
		p := strings.Trim(s.Path.Value, `"`)
		name := path.Base(p)
		if s.Name != nil {
			name = s.Name.Name
		}
		names[name] = p
	}
	return names
}

// docComments returns the comments that documentation is made of.
func docComments(f *ast.File) []*ast.CommentGroup {
	var groups []*ast.CommentGroup
	add := func(c *ast.CommentGroup) {
		if c != nil {
			groups = append(groups, c)
		}
	}
	add(f.Doc)
	for _, d := range f.Decls {
		ast.Inspect(d, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.BlockStmt:
				return false
			case *ast.GenDecl:
				add(n.Doc)
			case *ast.FuncDecl:
				add(n.Doc)
			case *ast.TypeSpec:
				add(n.Doc)
			case *ast.ValueSpec:
				add(n.Doc)
				add(n.Comment)
			case *ast.Field:
				add(n.Doc)
				add(n.Comment)
			}
			return true
		})
	}
	return groups
}

// brokenLinks returns the doc links in a comment's text that name nothing.
func brokenLinks(text string, own map[string]bool, imported map[string]string, all map[string]map[string]bool) []string {
	var broken []string
	join := func(recv, name string) string {
		if recv != "" {
			return recv + "." + name
		}
		return name
	}
	p := comment.Parser{
		LookupSym: func(recv, name string) bool {
			if !ast.IsExported(name) {
				return false // such as a slice type
			}
			if !own[join(recv, name)] {
				broken = append(broken, join(recv, name))
			}
			return true
		},
		LookupPackage: func(name string) (string, bool) {
			if p, ok := imported[name]; ok {
				return p, true
			}
			p, ok := comment.DefaultLookupPackage(name)
			if !ok && token.IsIdentifier(name) && !strings.Contains(text, "["+name+"]:") {
				broken = append(broken, name+".…, of a package that the file doesn't import: write the whole import path")
			}
			return p, ok
		},
	}
	links(p.Parse(text), func(l *comment.DocLink) {
		if known, ok := all[l.ImportPath]; ok && l.Name != "" && !known[join(l.Recv, l.Name)] {
			broken = append(broken, l.ImportPath+"."+join(l.Recv, l.Name))
		}
	})
	return broken
}

// links calls f for every doc link of a document.
func links(d *comment.Doc, f func(*comment.DocLink)) {
	var text func([]comment.Text)
	text = func(ts []comment.Text) {
		for _, t := range ts {
			switch t := t.(type) {
			case *comment.DocLink:
				f(t)
			case *comment.Link:
				text(t.Text)
			}
		}
	}
	var blocks func([]comment.Block)
	blocks = func(bs []comment.Block) {
		for _, b := range bs {
			switch b := b.(type) {
			case *comment.Paragraph:
				text(b.Text)
			case *comment.Heading:
				text(b.Text)
			case *comment.List:
				for _, i := range b.Items {
					blocks(i.Content)
				}
			}
		}
	}
	blocks(d.Content)
}

func TestBrokenLinksAreFound(t *testing.T) {
	own := map[string]bool{"Conn": true, "Conn.Push": true}
	imported := map[string]string{"driver": module + "/driver"}
	all := map[string]map[string]bool{module + "/driver": {"Conn": true}}
	for text, want := range map[string]int{
		"See [Conn] and [Conn.Push].":              0,
		"See [Conn.Pull].":                         1,
		"See [Nothing].":                           1,
		"See [driver.Conn], [*driver.Conn].":       0,
		"See [driver.Nothing].":                    1,
		"See [worker.Run].":                        1,
		"See [context.Context] and a [0] or x[i].": 0,
	} {
		if got := brokenLinks(text, own, imported, all); len(got) != want {
			t.Errorf("%q: got %q, want %d", text, got, want)
		}
	}
}
