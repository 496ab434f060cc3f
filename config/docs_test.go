package config

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// fieldDocs reads the comments of all fields: Connection.RetryAfter.
func fieldDocs(t *testing.T) map[string]string {
	t.Helper()
	docs := map[string]string{}
	for _, name := range []string{"config.go", "servers.go"} {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			ts, ok := n.(*ast.TypeSpec)
			if !ok {
				return true
			}
			if st, ok := ts.Type.(*ast.StructType); ok {
				for _, f := range st.Fields.List {
					for _, id := range f.Names {
						docs[ts.Name.Name+"."+id.Name] = strings.Join(strings.Fields(f.Doc.Text()), " ")
					}
				}
			}
			return true
		})
	}
	return docs
}

// sentence turns a field's comment into one about its key: the field's name in
// front goes.
func sentence(field, doc string) string {
	_, name, _ := strings.Cut(field, ".")
	for _, verb := range []string{" is ", " are ", " says ", ""} {
		if s, ok := strings.CutPrefix(doc, name+verb); ok {
			doc = strings.TrimSpace(s)
			break
		}
	}
	doc = regexp.MustCompile(`\[[A-Za-z]+\.([A-Za-z]+)\]`).ReplaceAllString(doc, "$1")
	doc = strings.NewReplacer("|", `\|`, "<", "&lt;").Replace(doc)
	return strings.ToUpper(doc[:1]) + doc[1:]
}

func keyTable(t *testing.T) string {
	docs := fieldDocs(t)
	var b strings.Builder
	section := ""
	for _, k := range Keys() {
		doc := docs[k.Field]
		if doc == "" {
			t.Errorf("%s (%s) has no comment", k.Key, k.Field)
			continue
		}
		top, _, _ := strings.Cut(strings.TrimSuffix(k.Key, "[]"), ".")
		top = strings.TrimSuffix(top, "[]")
		if strings.Contains(k.Key, ".") && top != section {
			fmt.Fprintf(&b, "\n### `%s`\n\n| setting | type | for | set by | what it is |\n|---|---|---|---|---|\n", top)
			section = top
		} else if section == "" {
			b.WriteString("\n| setting | type | for | set by | what it is |\n|---|---|---|---|---|\n")
			section = "-"
		}
		typ := k.Type
		if len(k.Values) > 0 {
			typ = "`" + strings.Join(k.Values, "` `") + "`"
		}
		if k.Null {
			typ += ", or null"
		}
		env := ""
		for i, e := range k.Env {
			if i > 0 {
				env += " "
			}
			env += "`" + e + "`"
		}
		what := sentence(k.Field, doc)
		if k.Secret {
			what += " Secret."
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", k.Key, typ, strings.Join(k.Drivers, ", "), env, what)
	}
	return b.String() + "\n"
}

// TestDocs keeps the table of docs/configuration.md complete.
func TestDocs(t *testing.T) {
	path := filepath.Join("..", "docs", "configuration.md")
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(page), "-update -->\n")
	if !ok {
		t.Fatalf("%s has no place for the table", path)
	}
	_, tail, _ := strings.Cut(rest, "<!-- /keys -->")
	want := head + "-update -->\n" + keyTable(t) + "<!-- /keys -->" + tail
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if want != string(page) {
		t.Errorf("the table in %s is not up to date: run go test ./config -run TestDocs -update", path)
	}

	// The example of the page is one.
	for i, block := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(page), -1) {
		load(t, write(t, map[string]string{"spool.yaml": block[1]}), &Options{Environ: []string{"BILLING_TOKEN=x"}})
		if i > 6 {
			break
		}
	}
}

// TestKeysAreWhatIsRead sets every key there is, once, and finds it in force.
func TestKeysAreWhatIsRead(t *testing.T) {
	seen := map[string]bool{}
	drivers := map[string][]string{
		"queue.connections.*.": {"sync", "null", "memory", "database", "redis", "beanstalkd", "sqs"}, "database.connections.*.": {"sqlite", "mysql", "mariadb", "pgsql"},
		"cache.stores.*.": {"database", "redis", "file", "array", "null"},
	}
	for _, k := range Keys() {
		if seen[k.Key] {
			t.Errorf("%s twice", k.Key)
		}
		seen[k.Key] = true
		value := map[string]string{"text": "1", "number": "1", "yes/no": "true", "seconds": "1", "list": "1", "list of seconds": "1", "version": "11", "mapping": ""}[k.Type]
		if len(k.Values) > 0 {
			value = k.Values[0]
		}
		src := Source{Kind: FromFile, File: "f", Line: 1}
		user, key := &node{}, strings.ReplaceAll(k.Key, "*", "x")
		prefix, _, named := strings.Cut(k.Key, "*")
		if d := drivers[prefix+"*."]; named && d != nil {
			if len(k.Drivers) > 0 {
				d = k.Drivers
			}
			user.setKey(prefix+"x.driver", text(d[0], src))
		}
		n := text(value, src)
		switch {
		case k.Type == "mapping" || strings.Contains(key, "[]"), strings.HasSuffix(k.Key, ".url"):
			continue // mappings and lists of mappings: TestRender; URLs: TestURLs
		case k.Key == "jobs[].command":
			n = &node{kind: sequence, list: []*node{n}, src: src}
		}
		user.setKey(key, n)
		l := &loader{opts: &Options{}, dir: "/d", root: "/d", dirs: map[string]string{}, env: environ{}, yaml: user.prune(nil), flags: &node{}}
		cfg, err := l.build()
		for _, e := range Errors(err) {
			if !strings.Contains(e.Err, "there is no") { // names that point at nothing
				t.Errorf("%s: %v", k.Key, e)
			}
		}
		if err == nil && cfg.Source(key) != src && k.Key != "database.connections.*.driver" {
			t.Errorf("%s is from %v", key, cfg.Source(key))
		}
	}
	if len(seen) < 100 {
		t.Errorf("only %d keys", len(seen))
	}
}
