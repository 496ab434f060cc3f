package main

import (
	"strings"
	"testing"
)

// runReport feeds events to a report and returns what it printed and its verdict.
func runReport(t *testing.T, strict bool, events ...string) (string, bool) {
	t.Helper()
	var out strings.Builder
	r := newReport(&out)
	if err := r.read(strings.NewReader(strings.Join(events, "\n"))); err != nil {
		t.Fatal(err)
	}
	ok := r.finish(strict)
	return out.String(), ok
}

const passed = `{"Action":"pass","Package":"p","Test":"TestA"}`

func TestReportVerdict(t *testing.T) {
	skipped := []string{
		passed,
		`{"Action":"output","Package":"p","Test":"TestS","Output":"    a_test.go:9: redis-server is not installed\n"}`,
		`{"Action":"output","Package":"p","Test":"TestS","Output":"--- SKIP: TestS (0.00s)\n"}`,
		`{"Action":"skip","Package":"p","Test":"TestS"}`,
	}
	absent := []string{passed, `{"Action":"skip","Package":"p","Test":"TestS/capability/Extend"}`}
	for name, c := range map[string]struct {
		strict bool
		events []string
		ok     bool
		says   string
	}{
		"all passed":             {true, []string{passed}, true, "1 passed, 0 failed, 0 skipped"},
		"nothing ran":            {false, nil, false, "no test ran"},
		"skip":                   {false, skipped, true, "p TestS: a_test.go:9: redis-server is not installed\n"},
		"skip in CI":             {true, skipped, false, "a skipped test is a failure"},
		"absent capability":      {true, absent, true, "p: Extend\n"},
		"package without tests":  {true, []string{passed, `{"Action":"skip","Package":"q"}`}, true, "0 skipped"},
		"failed test":            {false, []string{passed, `{"Action":"output","Package":"p","Test":"TestF","Output":"want 1\n"}`, `{"Action":"fail","Package":"p","Test":"TestF"}`}, false, "want 1\n"},
		"failed build":           {false, []string{passed, `{"Action":"build-output","ImportPath":"p","Output":"a.go:1: syntax\n"}`, `{"Action":"build-fail","ImportPath":"p"}`}, false, "a.go:1: syntax\n"},
		"crash in an open test":  {false, []string{passed, `{"Action":"output","Package":"p","Test":"TestC","Output":"panic: boom\n"}`, `{"Action":"fail","Package":"p"}`}, false, "panic: boom\n"},
		"line that is no event":  {false, []string{passed, `go: downloading x`}, true, "go: downloading x\n"},
		"package line":           {false, []string{passed, `{"Action":"output","Package":"p","Output":"ok  \tp\t1s\n"}`, `{"Action":"pass","Package":"p"}`}, true, "ok  \tp\t1s\n"},
		"output of a passed one": {false, []string{`{"Action":"output","Package":"p","Test":"TestA","Output":"noise\n"}`, passed}, true, "1 passed"},
	} {
		t.Run(name, func(t *testing.T) {
			out, ok := runReport(t, c.strict, c.events...)
			if ok != c.ok || !strings.Contains(out, c.says) {
				t.Errorf("got %v, want %v, with %q in:\n%s", ok, c.ok, c.says, out)
			}
			if strings.Contains(out, "noise") {
				t.Errorf("prints what a passed test wrote:\n%s", out)
			}
		})
	}
}
