package archtest

import (
	"go/ast"
	"testing"
)

// How large things may grow. Over the soft limit a file is named in the log of
// the test; over the hard ones the test fails: split by role.
const (
	softFileLines     = 300
	hardFileLines     = 600
	hardFunctionLines = 90
	hardMethods       = 6 // of an interface; driver.Conn has them
	hardPackageFiles  = 20
)

// fileLimits are the packages that may have more files, each for a reason.
var fileLimits = map[string]int{
	"cli": 100, // one file per command
	".":   40,  // the vocabulary: what users import is one package
}

func TestSizes(t *testing.T) {
	repo := loaded(t)
	for _, p := range repo.packages {
		if most := max(fileLimits[p.path], hardPackageFiles); len(p.files) > most {
			t.Errorf("package %s has %d files, more than %d", p.path, len(p.files), most)
		}
		for _, f := range p.files {
			if f.lines > hardFileLines {
				t.Errorf("%s has %d lines, more than %d", f.path, f.lines, hardFileLines)
			} else if f.lines > softFileLines {
				t.Logf("%s has %d lines; %d would be better", f.path, f.lines, softFileLines)
			}
			ast.Inspect(f.ast, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.FuncDecl:
					lines := repo.fset.Position(n.End()).Line - repo.fset.Position(n.Pos()).Line + 1
					if lines > hardFunctionLines {
						t.Errorf("%s: %s has %d lines, more than %d", repo.at(n.Pos()), n.Name.Name, lines, hardFunctionLines)
					}
				case *ast.InterfaceType:
					if methods := n.Methods.NumFields(); methods > hardMethods {
						t.Errorf("%s: an interface with %d methods, more than %d", repo.at(n.Pos()), methods, hardMethods)
					}
				}
				return true
			})
		}
		for _, f := range p.tests {
			if f.lines > hardFileLines {
				t.Errorf("%s has %d lines, more than %d", f.path, f.lines, hardFileLines)
			}
		}
	}
}

// TestPackageNames keeps out the packages in which everything ends up.
func TestPackageNames(t *testing.T) {
	vague := map[string]bool{
		"util": true, "utils": true, "common": true, "helper": true, "helpers": true, "misc": true,
		"base": true, "types": true, "models": true, "interfaces": true, "pkg": true, "lib": true,
	}
	for _, p := range loaded(t).packages {
		for _, f := range p.files {
			if vague[f.ast.Name.Name] {
				t.Errorf("package %s: name it after what it does", p.path)
				break
			}
		}
	}
}

// TestNothingHappensOnImport keeps out registries that fill themselves: who
// reads a program must see what it is made of.
func TestNothingHappensOnImport(t *testing.T) {
	repo := loaded(t)
	for _, p := range repo.packages {
		for _, f := range p.files {
			for _, d := range f.ast.Decls {
				if d, ok := d.(*ast.FuncDecl); ok && d.Recv == nil && d.Name.Name == "init" {
					t.Errorf("%s: func init: pass what is needed as an argument", repo.at(d.Pos()))
				}
			}
		}
	}
}
