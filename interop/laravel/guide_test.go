package laravel

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/spoolq/spool/internal/doctest"
)

// TestGuide does what docs/laravel.md tells a reader to do, word by word, in the
// folder of an application.
func TestGuide(t *testing.T) {
	matrix(t, cell{name: "a Go worker beside an application, as docs/laravel.md has it", show: guide, on: []string{"phpredis"}})
}

func guide(t *testing.T, a *application) {
	const root = "../.."
	all, err := doctest.Blocks(root)
	if err != nil {
		t.Fatal(err)
	}
	var blocks []doctest.Block
	commands := 0
	for _, b := range all {
		if b.File != "docs/laravel.md" {
			continue
		}
		blocks = append(blocks, b)
		if b.Lang == "console" && b.Needs == "laravel" {
			commands++
		}
	}
	if commands == 0 {
		t.Fatal("docs/laravel.md has no block for an application")
	}
	a.settle()
	s := doctest.Session{
		Root: root, Dir: a.dir, Needs: "laravel",
		Env: []string{"INTEROP_RUN=" + a.dir, "INTEROP_REPORT=" + a.report},
	}
	s.Walk(t, blocks)
}

// settle puts the application's own files into its folder, which is then the
// root of an application like any other.
func (a *application) settle() {
	a.t.Helper()
	files := os.DirFS("app")
	err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		path := filepath.Join(a.dir, filepath.FromSlash(name))
		if d.IsDir() {
			return os.MkdirAll(path, 0o700)
		}
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		return os.WriteFile(path, text, 0o600)
	})
	if err != nil {
		a.t.Fatal(err)
	}
}
