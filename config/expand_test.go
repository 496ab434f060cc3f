package config

import (
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"
)

func TestExpand(t *testing.T) {
	env := environ{"A": {value: "1"}, "EMPTY": {value: ""}, "REF": {value: "${A}"}}
	tests := []struct {
		in, want string
		whole    bool
		wrong    string
	}{
		{"plain", "plain", false, ""},
		{"", "", false, ""},
		{"${A}", "1", true, ""},
		{"x${A}y${A}", "x1y1", false, ""},
		{"${A}${A}", "11", false, ""},
		{"${EMPTY}", "", true, ""},
		{"${EMPTY:-d}", "d", true, ""},
		{"${A:-d}", "1", true, ""},
		{"${B:-d}", "d", true, ""},
		{"${B:-}", "", true, ""},
		{"${B:-${A}}", "1", true, ""},
		{"${B:-x${C:-y}z}", "xyz", true, ""},
		{"${REF}", "${A}", true, ""}, // what a variable holds is not looked into
		{"$A $ {A} 5$", "$A $ {A} 5$", false, ""},
		{"$${A} $$$$", "${A} $$", false, ""},
		{"${B:-a:-b}", "a:-b", true, ""},
		{"${B}", "", false, "the variable B is not set"},
		{"${A", "", false, "${ without }"},
		{"${}", "", false, "no name of a variable"},
		{"${A B}", "", false, "no name of a variable"},
		{"${A:?x}", "", false, "no name of a variable"},
		{strings.Repeat("${B:-", 20) + strings.Repeat("}", 20), "", false, "more than 8"},
	}
	for _, tt := range tests {
		got, wrong := expand(tt.in, env)
		if tt.wrong != "" {
			if !strings.Contains(wrong, tt.wrong) {
				t.Errorf("expand(%q) says %q, want %q", tt.in, wrong, tt.wrong)
			}
			continue
		}
		if wrong != "" || got.text != tt.want || got.whole != tt.whole {
			t.Errorf("expand(%q) = %+v, %q, want %q, whole %v", tt.in, got, wrong, tt.want, tt.whole)
		}
	}
}

func FuzzExpand(f *testing.F) {
	for _, s := range []string{"${A}", "${B:-${A:-}}", "$$", "${", "a$b"} {
		f.Add(s)
	}
	env := environ{"A": {value: "v"}}
	f.Fuzz(func(t *testing.T, s string) {
		// A text with every "$" doubled stands for itself.
		got, wrong := expand(strings.ReplaceAll(s, "$", "$$"), env)
		if wrong != "" || got.text != s || len(got.names) != 0 {
			t.Fatalf("%q became %+v, %q", s, got, wrong)
		}
		if got, wrong := expand(s, env); wrong == "" && !strings.Contains(s, "$") && got.text != s {
			t.Fatalf("%q became %+v", s, got)
		}
	})
}

// FuzzYAML makes sure that no file breaks the reader, and that what it accepts
// has a place.
func FuzzYAML(f *testing.F) {
	f.Add(everything)
	f.Add("a: &x {b: *x}")
	f.Add("queue: {connections: {<<: [1], null: ~}}\njobs: [[]]")
	f.Fuzz(func(t *testing.T, s string) {
		if strings.Count(s, "[")+strings.Count(s, "{") > 100 {
			return // depth is the parser's business
		}
		tree, err := readYAML("x", []byte(s), environ{})
		if err != nil || tree == nil {
			return
		}
		l := &loader{opts: &Options{}, dir: "/d", root: "/d", dirs: map[string]string{}, env: environ{}, yaml: tree.prune(nil), flags: &node{}}
		cfg, err := l.build()
		if (cfg == nil) == (err == nil) {
			t.Fatal("neither settings nor an error")
		}
		if err == nil {
			Check(cfg)
			cfg.Explain()
			cfg.Render(nil)
		}
	})
}

func TestSlug(t *testing.T) {
	names := []string{
		"Laravel", "My App", "MES (prod)", "a.b", "x@y", "制造执行", "MES 系统", "Café Über ß", "Ærø Łódź", "Привет", "__a--b__", "a_b-c", "  ", "A\tB",
		"naïve œuvre", "İstanbul", "a/b", "日本 App 2", "ñandú", "Ελλάδα", "ŠĐŽ", "", "-", "A  B", "Việt Nam", "a–b", "3 M²", "it's", "x_@_y",
	}
	want := map[string][2]string{
		"Laravel": {"laravel", "laravel"}, "MES (prod)": {"mes_prod", "mes-prod"}, "a.b": {"ab", "ab"}, "x@y": {"x_at_y", "x-at-y"},
		"制造执行": {"", ""}, "Café Über ß": {"cafe_uber_ss", "cafe-uber-ss"}, "Привет": {"privet", "privet"}, "a_b-c": {"a_b_c", "a-b-c"},
	}
	for name, w := range want {
		if got := [2]string{slug(name, '_'), slug(name, '-')}; got != w {
			t.Errorf("slug(%q) = %q, want %q", name, got, w)
		}
	}

	php := needPHP(t, "/usr/share/php/Illuminate/autoload.php")
	const script = `<?php error_reporting(0); require '/usr/share/php/Illuminate/autoload.php';
echo json_encode(array_map(fn ($s) => [Illuminate\Support\Str::slug($s, '_'), Illuminate\Support\Str::slug($s)], json_decode($argv[1])));`
	in, _ := json.Marshal(names)
	cmd := exec.Command(php, "--", string(in))
	cmd.Stdin, cmd.Stderr = strings.NewReader(script), os.Stderr
	reply, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var laravels [][2]string
	if err := json.Unmarshal(reply, &laravels); err != nil {
		t.Fatalf("%v in %s", err, reply)
	}
	for i, name := range names {
		if got := [2]string{slug(name, '_'), slug(name, '-')}; got != laravels[i] {
			t.Errorf("slug(%q) = %q, Laravel says %q", name, got, laravels[i])
		}
	}
}

func TestNearest(t *testing.T) {
	known := []string{"QUEUE_CONNECTION", "REDIS_QUEUE", "REDIS_QUEUE_RETRY_AFTER", "DB_QUEUE"}
	for in, want := range map[string]string{
		"QUEUE_CONECTION": "QUEUE_CONNECTION", "queue_connection": "QUEUE_CONNECTION", "QUEUE_REDIS": "REDIS_QUEUE", "QUEUE_RETRY_AFTER": "REDIS_QUEUE_RETRY_AFTER",
		"ZZZ": "", "REDIS_QUEUE_RETYR_AFTER": "REDIS_QUEUE_RETRY_AFTER",
	} {
		got := ""
		if n := nearest(in, known); len(n) > 0 {
			got = n[0]
		}
		if got != want {
			t.Errorf("nearest(%q) = %q, want %q", in, got, want)
		}
	}
}
