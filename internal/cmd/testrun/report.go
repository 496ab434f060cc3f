package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// event is what go test -json prints, a line each (go doc test2json).
type event struct {
	Action     string
	Package    string
	ImportPath string // of build events
	Test       string
	Output     string
}

// id names a test; name is empty for what belongs to the whole package.
type id struct{ pkg, name string }

func (t id) String() string { return t.pkg + " " + t.name }

// report turns the events of go test into what a reader needs: a line per
// package, the output of what failed, and the tests that were skipped.
type report struct {
	w       io.Writer
	output  map[id][]string // of what has not ended yet
	build   map[string][]string
	skipped map[id]string       // reason
	absent  map[string][]string // what backends can't do, by package
	passed  int
	failed  []string
}

func newReport(w io.Writer) *report {
	return &report{w: w, output: map[id][]string{}, build: map[string][]string{}, skipped: map[id]string{}, absent: map[string][]string{}}
}

// read handles events until r ends.
func (r *report) read(in io.Reader) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var e event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			r.print(lines.Text() + "\n") // not from a test
			continue
		}
		r.event(e)
	}
	return lines.Err()
}

func (r *report) event(e event) {
	t := id{e.Package, e.Test}
	switch e.Action {
	case "build-output":
		r.build[e.ImportPath] = append(r.build[e.ImportPath], e.Output)
	case "build-fail":
		r.print(r.build[e.ImportPath]...)
		delete(r.build, e.ImportPath) // printed once, even if many packages need it
		if name := e.ImportPath + " (build)"; !slices.Contains(r.failed, name) {
			r.failed = append(r.failed, name)
		}
	case "output":
		if !strings.HasPrefix(e.Output, "=== ") {
			r.output[t] = append(r.output[t], e.Output)
		}
	case "pass", "fail", "skip":
		if e.Test == "" {
			r.endPackage(e.Action, t)
		} else {
			r.endTest(e.Action, t)
		}
		delete(r.output, t)
	}
}

func (r *report) endTest(action string, t id) {
	switch action {
	case "pass":
		r.passed++
	case "fail":
		r.failed = append(r.failed, t.String())
		r.print(r.output[t]...)
	case "skip":
		if i := slices.Index(strings.Split(t.name, "/"), "capability"); i > 0 {
			_, capability, _ := strings.Cut(t.name, "/capability/")
			r.absent[t.pkg] = append(r.absent[t.pkg], capability)
			return
		}
		r.skipped[t] = reason(r.output[t])
	}
}

// endPackage prints the package's line. After a failure it also prints what
// its unfinished tests wrote: the process was killed or has crashed.
func (r *report) endPackage(action string, pkg id) {
	switch action {
	case "skip": // no test files
		return
	case "fail":
		r.failed = append(r.failed, pkg.pkg)
		open := slices.SortedFunc(maps.Keys(r.output), func(a, b id) int { return strings.Compare(a.name, b.name) })
		for _, t := range open {
			if t.pkg == pkg.pkg && t != pkg {
				r.print(r.output[t]...)
				delete(r.output, t)
			}
		}
		r.print(r.output[pkg]...)
	case "pass":
		if out := r.output[pkg]; len(out) > 0 {
			r.print(out[len(out)-1]) // "ok package seconds"
		}
	}
}

// finish prints the summary and says whether the run counts as passed.
func (r *report) finish(strict bool) bool {
	if len(r.absent) > 0 {
		r.print("\nDeclared absent, which is no failure:\n")
		for _, pkg := range slices.Sorted(maps.Keys(r.absent)) {
			names := slices.Compact(slices.Sorted(slices.Values(r.absent[pkg])))
			r.print(fmt.Sprintf("  %s: %s\n", pkg, strings.Join(names, ", ")))
		}
	}
	if len(r.skipped) > 0 {
		r.print("\nSkipped:\n")
		for _, t := range slices.SortedFunc(maps.Keys(r.skipped), func(a, b id) int { return strings.Compare(a.String(), b.String()) }) {
			r.print(fmt.Sprintf("  %s: %s\n", t, r.skipped[t]))
		}
	}
	if len(r.failed) > 0 {
		r.print("\nFailed:\n")
		for _, f := range r.failed {
			r.print("  " + f + "\n")
		}
	}
	r.print(fmt.Sprintf("\n%d passed, %d failed, %d skipped\n", r.passed, len(r.failed), len(r.skipped)))
	switch {
	case len(r.failed) > 0:
		return false
	case r.passed == 0:
		r.print("no test ran, which is a failure\n")
		return false
	case strict && len(r.skipped) > 0:
		r.print("CI=true: a skipped test is a failure\n")
		return false
	}
	return true
}

func (r *report) print(lines ...string) {
	for _, l := range lines {
		_, _ = io.WriteString(r.w, l) // the terminal is gone: nobody to tell
	}
}

// reason returns what a skipped test said, without the line of its verdict.
func reason(output []string) string {
	var words []string
	for _, line := range output {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "--- SKIP") {
			words = append(words, line)
		}
	}
	if len(words) == 0 {
		return "no reason given"
	}
	return strings.Join(words, " ")
}
