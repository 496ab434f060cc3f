package doctest

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestReference holds docs/commands.md to the help texts: every command with
// its usage and its other names, every flag with its placeholder, and no more.
func TestReference(t *testing.T) {
	spool := filepath.Join(build(t), "spool")
	sections := sectionsOf(read(t, filepath.Join(root, "docs", "commands.md")))
	top := help(t, spool)
	compareFlags(t, "Flags of all commands", flagsOf(top), sections)
	for _, m := range commandLine.FindAllStringSubmatch(top, -1) {
		names := strings.Split(m[1], ", ")
		text := help(t, spool, names[0])
		section, ok := sections[names[0]]
		if !ok {
			t.Errorf("docs/commands.md has no section %s", names[0])
			continue
		}
		usage := regexp.MustCompile(`Usage:\n  (.*)`).FindStringSubmatch(text)[1]
		line := "`" + strings.TrimSuffix(usage, " [flags]") + "`"
		if len(names) > 1 {
			line += ", also `" + strings.Join(names[1:], "`, `") + "`"
		}
		if !strings.Contains(section, "\n"+line+"\n") {
			t.Errorf("the section %s should have the line\n%s", names[0], line)
		}
		own, _, _ := strings.Cut(text, "\nGlobal flags:")
		compareFlags(t, names[0], flagsOf(own), sections)
		delete(sections, names[0])
	}
	delete(sections, "Flags of all commands")
	for name, text := range sections {
		if strings.Contains(text, "```sh") {
			t.Errorf("the section %s is of no command", name)
		}
	}
}

var (
	commandLine = regexp.MustCompile(`(?m)^  ((?:[a-z:-]+, )*[a-z:-]+) +[A-Z][a-z]`)
	helpFlag    = regexp.MustCompile(`(?m)^ +(?:-\w, )?--([a-z-]+(?: \S+)?)  +\S`)
	docFlag     = regexp.MustCompile("(?m)^\\| (?:`-\\w`, )?`--([a-z-]+(?: \\S+)?)` \\|")
)

func flagsOf(text string) []string {
	var flags []string
	for _, m := range helpFlag.FindAllStringSubmatch(text, -1) {
		if m[1] != "help" {
			flags = append(flags, strings.TrimSuffix(m[1], " count"))
		}
	}
	slices.Sort(flags)
	return flags
}

func compareFlags(t *testing.T, name string, want []string, sections map[string]string) {
	t.Helper()
	var got []string
	for _, m := range docFlag.FindAllStringSubmatch(sections[name], -1) {
		got = append(got, m[1])
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("the section %s has the flags\n%q, but the help text\n%q", name, got, want)
	}
}

// sectionsOf splits a document at its headings of any level.
func sectionsOf(text string) map[string]string {
	sections := map[string]string{}
	name := ""
	for line := range strings.Lines(text) {
		if heading := strings.TrimLeft(line, "#"); heading != line && strings.HasPrefix(heading, " ") {
			name = strings.TrimSpace(heading)
		}
		sections[name] += line
	}
	return sections
}

func help(t *testing.T, spool string, command ...string) string {
	t.Helper()
	out, err := exec.Command(spool, append(command, "--help")...).Output()
	if err != nil {
		t.Fatalf("spool %v --help: %v", command, err)
	}
	return string(out)
}

// TestCommandsParse has spool read every call in the documents, flags and all,
// without running it.
func TestCommandsParse(t *testing.T) {
	spool := filepath.Join(build(t), "spool")
	commands, err := Commands(root)
	if err != nil {
		t.Fatal(err)
	}
	if len(commands) == 0 {
		t.Error("no document shows a command")
	}
	for _, c := range commands {
		args := strings.Fields(c.Text)[1:]
		out, err := exec.Command(spool, append(args, "--help")...).CombinedOutput()
		if err != nil || len(args) > 0 && !strings.Contains(string(out), "Usage:") {
			t.Errorf("%s:%d: %s: %v\n%s", c.File, c.Line, c.Text, err, out)
		}
	}
}

// TestReadmesAgree compares the README with its translations: the same code,
// comments aside, and the same headings, tables and lists in the same places.
func TestReadmesAgree(t *testing.T) {
	paths, err := filepath.Glob(filepath.Join(root, "README.*.md"))
	if err != nil || len(paths) == 0 {
		t.Fatal("no translations", err)
	}
	want := skeleton(read(t, filepath.Join(root, "README.md")))
	for _, path := range paths {
		got := skeleton(read(t, path))
		for i := range max(len(got), len(want)) {
			a, b := "nothing", "nothing"
			if i < len(got) {
				a = got[i]
			}
			if i < len(want) {
				b = want[i]
			}
			if a != b {
				t.Errorf("%s: has %q where README.md has %q", filepath.Base(path), a, b)
				break
			}
		}
	}
}

// skeleton returns what a translation leaves as it is: lines of code without
// their comments, and the mark of every other kind of line but prose.
func skeleton(text string) []string {
	var lines []string
	code := false
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, " \n")
		mark, _, _ := strings.Cut(line, " ")
		switch {
		case strings.HasPrefix(line, "```"):
			code = !code
			lines = append(lines, line)
		case code:
			line, _, _ = strings.Cut(line, " # ")
			lines = append(lines, strings.TrimRight(line, " "))
		case strings.HasPrefix(line, "|"):
			lines = append(lines, strings.Repeat("|", strings.Count(line, "|")))
		case strings.HasPrefix(line, "#"), mark == "*":
			lines = append(lines, mark)
		}
	}
	return lines
}
