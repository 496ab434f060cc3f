package config

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"flag"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write golden files anew")

// golden compares got with a golden file.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", "golden", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(got, string(want)); d != "" {
		t.Errorf("%s differs (-got +want), rewrite with -update:\n%s", path, d)
	}
}

// needPHP skips without the Debian packages of PHP that a test compares with.
func needPHP(t *testing.T, file string) string {
	t.Helper()
	php, err := exec.LookPath("php")
	if err == nil && !isFile(file) {
		err = os.ErrNotExist
	}
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("php or %s is missing", file)
		}
		t.Skipf("php or %s is missing", file)
	}
	return php
}

// readDotenv is a whole .env file as a map, with FROM_PROCESS set beforehand.
func readDotenv(content string) (map[string]string, error) {
	entries, err := parseDotenv(content)
	if err != nil {
		return nil, err
	}
	vars := map[string]string{"FROM_PROCESS": "process"}
	for i := range entries {
		e := &entries[i]
		if e.name == "FROM_PROCESS" {
			continue
		}
		if e.unset {
			delete(vars, e.name)
			continue
		}
		vars[e.name] = e.resolve(func(n string) (string, bool) { v, ok := vars[n]; return v, ok })
	}
	delete(vars, "FROM_PROCESS")
	return vars, nil
}

func TestDotenvRules(t *testing.T) {
	tests := []struct {
		name, in string
		want     map[string]string
		err      string
	}{
		{"plain", "A=b", map[string]string{"A": "b"}, ""},
		{"blank value", "A=\nB=", map[string]string{"A": "", "B": ""}, ""},
		{"name without equals sets nothing", "A\nB=1", map[string]string{"B": "1"}, ""},
		{"name without equals unsets", "A=1\nA", map[string]string{}, ""},
		{"spaces round the equals sign", "A = b", map[string]string{"A": "b"}, ""},
		{"export", "export ABC=1", map[string]string{"ABC": "1"}, ""},
		{"export of a one-letter name is not understood by phpdotenv", "export A=1", nil, "line 1: no name"},
		{"quoted name", `"A"=1`, map[string]string{"A": "1"}, ""},
		{"dots in names", "a.b=1", map[string]string{"a.b": "1"}, ""},
		{"comment lines", "# A=1\n  # B=2\nC=3", map[string]string{"C": "3"}, ""},
		{"comment behind a space", "A=b # c", map[string]string{"A": "b"}, ""},
		{"comment without a space", "A=b#c", map[string]string{"A": "b"}, ""},
		{"hash in quotes", `A="b#c"` + "\nB='d # e'", map[string]string{"A": "b#c", "B": "d # e"}, ""},
		{"comment behind quotes", `A="b" # c`, map[string]string{"A": "b"}, ""},
		{"space in an unquoted value", "A=b c", nil, "line 1: A: a value with spaces needs quotes"},
		{"text behind quotes", `A="b"c`, nil, "line 1: A: a value with spaces needs quotes"},
		{"single quotes are literal", `A='a\n$B${C}'`, map[string]string{"A": `a\n$B${C}`}, ""},
		{"escapes in double quotes", `A="a\n\t\"\\\$"`, map[string]string{"A": "a\n\t\"\\$"}, ""},
		{"unknown escape", `A="a\z"`, nil, "line 1: A: an unknown escape"},
		{"backslash unquoted", `A=App\Jobs\Mail`, map[string]string{"A": `App\Jobs\Mail`}, ""},
		{"reference", "A=1\nB=${A}2\nC=\"${B}3\"", map[string]string{"A": "1", "B": "12", "C": "123"}, ""},
		{"reference to the process", "A=${FROM_PROCESS}", map[string]string{"A": "process"}, ""},
		{"reference to a later name stays", "A=${B}\nB=1", map[string]string{"A": "${B}", "B": "1"}, ""},
		{"unknown reference stays", "A=${NOPE}x", map[string]string{"A": "${NOPE}x"}, ""},
		{"dollar without braces stays", "A=1\nB=$A", map[string]string{"A": "1", "B": "$A"}, ""},
		{"escaped reference stays", "A=1\nB=\"\\${A}\"", map[string]string{"A": "1", "B": "${A}"}, ""},
		{"multi-line", "A=\"one\ntwo\"\nB=1", map[string]string{"A": "one\ntwo", "B": "1"}, ""},
		{"multi-line that closes on a line of its own", "A=\"one\n\"\nB=1", map[string]string{"A": "one\n", "B": "1"}, ""},
		{"quotes never closed", "B=1\nA=\"one\ntwo", nil, "line 2: a double quote that is never closed"},
		{"single quotes never closed", "A='one", nil, "line 1: A: a missing closing quote"},
		{"no name", "=1", nil, "line 1: an unexpected equals sign"},
		{"bad name", "A-B=1", nil, "line 1: no name of a variable"},
		{"equals in the value", "A=base64:a+b/c==", map[string]string{"A": "base64:a+b/c=="}, ""},
		{"last one wins", "A=1\nA=2", map[string]string{"A": "2"}, ""},
		{"line ends", "A=1\r\nB=2\rC=3", map[string]string{"A": "1", "B": "2", "C": "3"}, ""},
		{"byte order mark", "\ufeffA=1", map[string]string{"A": "1"}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := readDotenv(tt.in)
			if tt.err != "" {
				if err == nil || !strings.HasPrefix(err.Error(), tt.err) {
					t.Fatalf("error %v, want %q", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(got, tt.want); d != "" {
				t.Errorf("(-got +want)\n%s", d)
			}
		})
	}
}

func TestEnvWords(t *testing.T) {
	for in, want := range map[string]string{
		"null": "<null>", "(null)": "<null>", "NULL": "<null>", "(Null)": "<null>", "empty": "", "(empty)": "",
		"true": "true", "(true)": "true", "TRUE": "true", "false": "false", "(FALSE)": "false",
		"(null": "(null", "null)": "null)", "((null))": "((null))", "nulls": "nulls", "'x'": "x", `"x"`: "x", `"x'`: `"x'`, "": "",
	} {
		got, isNull := envWord(in)
		if isNull {
			got = "<null>"
		}
		if got != want {
			t.Errorf("envWord(%q) = %q, want %q", in, got, want)
		}
	}
}

// TestDotenvIsPHPs runs files made at random, and those of the fixtures,
// through the real phpdotenv too.
func TestDotenvIsPHPs(t *testing.T) {
	php := needPHP(t, "/usr/share/php/Dotenv/autoload.php")
	inputs := dotenvInputs(t)
	encoded := make([]string, len(inputs))
	for i, in := range inputs {
		encoded[i] = base64.StdEncoding.EncodeToString([]byte(in))
	}
	request, _ := json.Marshal(encoded)
	cmd := exec.Command(php, filepath.Join("testdata", "phpdotenv.php"))
	cmd.Stdin, cmd.Stderr = bytes.NewReader(request), os.Stderr
	reply, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var answers []struct {
		Vars  map[string][]byte
		Error bool
	}
	if err := json.Unmarshal(reply, &answers); err != nil {
		t.Fatalf("%v in %.300s", err, reply)
	}
	failed := 0
	for i, a := range answers {
		got, err := readDotenv(inputs[i])
		if err != nil && strings.HasSuffix(err.Error(), "never closed") {
			continue // the one difference, told in dotenv.go
		}
		want := map[string]string{}
		for k, v := range a.Vars {
			want[k] = string(v)
		}
		if (err != nil) != a.Error || err == nil && !maps.Equal(got, want) {
			if failed++; failed < 10 {
				t.Errorf("%q: got %q, %v; phpdotenv says %q, error %v", inputs[i], got, err, want, a.Error)
			}
		}
	}
	if len(answers) != len(inputs) {
		t.Errorf("%d answers to %d files", len(answers), len(inputs))
	}
}

// dotenvInputs are the fixtures and files made of pieces that parsers trip over.
func dotenvInputs(t *testing.T) []string {
	t.Helper()
	var inputs []string
	files, err := filepath.Glob("testdata/env/*.env")
	if err != nil || len(files) == 0 {
		t.Fatalf("no fixtures: %v", err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		inputs = append(inputs, string(b))
	}
	pieces := []string{"A", "BC", "=", "=", "=", "=\"", "\"", "\"", "'", "\\", "#", "$", "${A}", "${BC}", "${FROM_PROCESS}", " ", "\n", "\n", "\n", "export ", "x", "\\n", "\\\"", "\t", "\r\n", "null", "ü", "\f"}
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		var b strings.Builder
		for range 1 + rnd.IntN(14) {
			b.WriteString(pieces[rnd.IntN(len(pieces))])
		}
		// Newer releases of phpdotenv allow letters beyond ASCII in names; the
		// one at hand may not.
		if s := b.String(); !strings.Contains(s, "ü") || strings.HasPrefix(s, "A=") && !strings.ContainsAny(s, "\r\n") {
			inputs = append(inputs, s)
		}
	}
	return inputs
}

func FuzzDotenv(f *testing.F) {
	f.Add("A=1\nB=\"${A}\nx\"\n")
	f.Add("export ABC='x' # y")
	f.Fuzz(func(t *testing.T, in string) {
		vars, err := readDotenv(in)
		if err != nil {
			return
		}
		// What was read, quoted again, reads the same.
		var b strings.Builder
		for k, v := range vars {
			if strings.ContainsAny(v, "\r\x00\v\f\t") || strings.Contains(k, "export") {
				return
			}
			b.WriteString(k + `="` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, `$`, `\$`, "\n", `\n`).Replace(v) + "\"\n")
		}
		again, err := readDotenv(b.String())
		if err != nil || !maps.Equal(vars, again) {
			t.Fatalf("%q became %q, and that %q (%v)", in, vars, again, err)
		}
	})
}
