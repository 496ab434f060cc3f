package cli

import (
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"text/template"
	"unicode"

	"github.com/spf13/cobra"
)

// makeJobCommand is make:job.
func makeJobCommand(e *env) *cobra.Command {
	var dir string
	var force bool
	cmd := &cobra.Command{
		Use:   "make:job NAME",
		Short: "Write the handler of a new job, and its test",
		Long: `Write a Go file with a job type and its handler, and a test that runs it, into a
package of the module you are in.`,
		Example: "  " + e.name() + " make:job SendReminder",
		Args:    arguments(1, 1, "one name of a job, as in SendReminder"),
		RunE: func(_ *cobra.Command, args []string) error {
			return e.makeJob(args[0], dir, force)
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "jobs", "`FOLDER` of the package")
	cmd.Flags().BoolVar(&force, "force", false, "overwrite its files")
	return cmd
}

var jobName = regexp.MustCompile(`^[A-Z][A-Za-z0-9]{0,63}$`)

// makeJob writes the two files.
func (e *env) makeJob(name, folder string, force bool) error {
	if !jobName.MatchString(name) {
		return usagef("%q can't be the name of a job type: letters and digits, a capital first, e.g. %s", name, camel(name))
	}
	dir, err := filepath.Abs(e.path(folder))
	if err != nil {
		return err
	}
	module, err := findModule(dir)
	if err != nil {
		return err
	}
	base := snake(name) + "_job" // never a suffix that means something to Go, as in sync_linux.go
	code, test := filepath.Join(dir, base+".go"), filepath.Join(dir, base+"_test.go")
	pkg, err := packageIn(dir, name, []string{code, test})
	if err != nil {
		return err
	}
	files := map[string]string{code: jobText, test: jobTestText}
	for _, path := range []string{code, test} {
		if _, err := os.Stat(path); err == nil && !force {
			return fmt.Errorf("%s exists: choose another name, or give --force to overwrite it", path)
		}
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	for _, path := range []string{code, test} {
		text, err := fill(files[path], pkg, name)
		if err != nil {
			return err
		}
		if err := writeNew(path, text, force); err != nil {
			return err
		}
		e.say("Wrote %s.", printable(path))
	}
	e.note("Next: register it before your worker starts: spool.Handle(mux, %s.Handle%s)", pkg, name)
	if gomod, err := os.ReadFile(module); err == nil {
		if how := fetching(string(gomod)); how != "" {
			e.note("and let your module know Spool: %s", how)
		}
	}
	return nil
}

// fetching is the command that a module needs to import Spool, "" for none.
func fetching(gomod string) string {
	names := map[string]bool{} // "require path" and the like
	verb := ""
	for line := range strings.Lines(gomod) {
		line, _, _ = strings.Cut(line, "//")
		words := strings.Fields(line)
		switch {
		case len(words) == 2 && words[1] == "(":
			verb = words[0]
		case len(words) == 1 && words[0] == ")":
			verb = ""
		case len(words) > 0 && verb != "":
			names[verb+" "+strings.Trim(words[0], `"`)] = true
		case len(words) > 1:
			names[words[0]+" "+strings.Trim(words[1], `"`)] = true
		}
	}
	switch {
	case names["require "+modulePath] || names["module "+modulePath]:
		return ""
	case names["replace "+modulePath]:
		return "go mod tidy" // go get would ask a proxy for what isn't there
	}
	return "go get " + modulePath
}

// modulePath is what an application imports.
const modulePath = "github.com/spoolq/spool"

// findModule returns the go.mod of a folder, which need not exist yet.
func findModule(dir string) (string, error) {
	for d := dir; ; d = filepath.Dir(d) {
		path := filepath.Join(d, "go.mod")
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
		if d == filepath.Dir(d) {
			return "", fmt.Errorf("%s is in no Go module: go mod init makes one", dir)
		}
	}
}

// packageIn returns the name of the package in a folder, made from the folder's
// where there is none yet. It refuses a name that another file than these
// declares.
func packageIn(dir, name string, own []string) (string, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return "", err
	}
	pkg := ""
	for _, path := range paths {
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if f == nil {
			return "", err
		}
		if !strings.HasSuffix(path, "_test.go") {
			pkg = f.Name.Name
		}
		if path == own[0] || path == own[1] {
			continue
		}
		for _, taken := range []string{name, "Handle" + name, "Test" + name} {
			if declares(f, taken) {
				return "", fmt.Errorf("%s already declares %s: choose another name", path, taken)
			}
		}
	}
	if pkg != "" {
		return pkg, nil
	}
	if _, err := os.Stat(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	pkg = strings.ToLower(regexp.MustCompile(`[^A-Za-z0-9]+`).ReplaceAllString(filepath.Base(dir), ""))
	if !token.IsIdentifier(pkg) {
		return "", usagef("--dir %q: the folder's name can't be that of a package", dir)
	}
	return pkg, nil
}

// declares says whether a file declares a name for its package.
func declares(f *ast.File, name string) bool {
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Recv == nil && d.Name.Name == name {
				return true
			}
		case *ast.GenDecl:
			for _, s := range d.Specs {
				switch s := s.(type) {
				case *ast.TypeSpec:
					if s.Name.Name == name {
						return true
					}
				case *ast.ValueSpec:
					for _, n := range s.Names {
						if n.Name == name {
							return true
						}
					}
				}
			}
		}
	}
	return false
}

// camel makes a type's name of what was typed instead of one.
func camel(s string) string {
	out := ""
	for _, word := range strings.FieldsFunc(s, func(r rune) bool { return r > 'z' || !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
		out += strings.ToUpper(word[:1]) + word[1:]
	}
	if !jobName.MatchString(out) {
		return "SendReminder"
	}
	return out
}

// snake makes a file's name of a type's: SendHTTPMail becomes send_http_mail.
func snake(s string) string {
	var out []rune
	rs := []rune(s)
	for i, r := range rs {
		starts := i > 0 && unicode.IsUpper(r) && (!unicode.IsUpper(rs[i-1]) || i+1 < len(rs) && unicode.IsLower(rs[i+1]))
		if starts {
			out = append(out, '_')
		}
		out = append(out, unicode.ToLower(r))
	}
	return string(out)
}

// fill makes a file of its template.
func fill(text, pkg, name string) ([]byte, error) {
	var b bytes.Buffer
	t := template.Must(template.New("").Parse(text))
	if err := t.Execute(&b, struct{ Package, Name, Module string }{pkg, name, modulePath}); err != nil {
		return nil, err
	}
	return format.Source(b.Bytes())
}

const jobText = `package {{.Package}}

import "context"

// {{.Name}} is a job. Its fields are what is stored, as JSON: jobs of older
// versions of the program must still make sense.
type {{.Name}} struct {
	ID int64 ` + "`json:\"id\"`" + `
}

// Handle{{.Name}} runs the job. Returning an error has it tried again, or fails
// it after its last attempt. ctx ends with the job's timeout.
func Handle{{.Name}}(ctx context.Context, job {{.Name}}) error {
	return ctx.Err()
}
`

const jobTestText = `package {{.Package}}

import (
	"context"
	"testing"

	"{{.Module}}"
	"{{.Module}}/memqueue"
	"{{.Module}}/worker"
)

// Test{{.Name}} pushes the job and works it, as a worker of the program does.
func Test{{.Name}}(t *testing.T) {
	mux := spool.NewMux()
	spool.Handle(mux, Handle{{.Name}})
	client := spool.Connect(memqueue.New(nil))
	defer client.Manager().Close()

	processed := make(chan struct{}, 1)
	spool.Listen(client.Manager().Events(), func(context.Context, spool.JobProcessed) { processed <- struct{}{} })
	spool.Listen(client.Manager().Events(), func(_ context.Context, e spool.JobFailed) { t.Error(e.Err) })
	if _, err := spool.Dispatch(t.Context(), client, {{.Name}}{ID: 1}); err != nil {
		t.Fatal(err)
	}
	conn, err := client.Manager().Connection(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := worker.New(conn, mux, &worker.Options{StopWhenEmpty: true}).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	select {
	case <-processed:
	default:
		t.Error("the job was not processed")
	}
}
`
