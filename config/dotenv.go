package config

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
)

// The .env files of Laravel are read by vlucas/phpdotenv 5, whose rules differ
// from other readers' in ways that matter here: "#" ends an unquoted value even
// without a space before it, "\n" in double quotes is a newline but "\z" is an
// error, ${NAME} is resolved only where the name is known by then and stays as
// it is otherwise, and an unquoted value must not contain a space. So this
// reader follows those rules, except that a quote that is never closed is an
// error here: phpdotenv silently drops that variable and every one after it.

// dotenvEntry is one assignment of a .env file.
type dotenvEntry struct {
	name  string
	value string // before ${NAME} is resolved
	vars  []int  // offsets in value where a "$" stands for itself or a ${NAME}
	unset bool   // a name without "=", which takes an earlier value back
	line  int    // 1 is the first
}

// dotenvError is a line that phpdotenv refuses too. It never shows the value.
type dotenvError struct {
	line int
	err  string
}

func (e *dotenvError) Error() string { return fmt.Sprintf("line %d: %s", e.line, e.err) }

var (
	dotenvName  = regexp.MustCompile(`^[\p{L}\p{M}\p{N}_.]+$`)
	dotenvRef   = regexp.MustCompile(`^\$\{([a-zA-Z0-9_.]+)\}`)
	dotenvBreak = regexp.MustCompile(`\r\n|\n|\r`)
)

// parseDotenv splits a .env file into its assignments.
func parseDotenv(content string) ([]dotenvEntry, error) {
	var entries []dotenvEntry
	content = strings.TrimPrefix(content, "\ufeff")
	lines, err := logicalLines(dotenvBreak.Split(content, -1))
	if err != nil {
		return nil, err
	}
	for _, l := range lines {
		name, value, found := strings.Cut(l.text, "=") // value is "" if it isn't
		if found {
			name, value = phpTrim(name), phpTrim(value)
		}
		if found && name == "" {
			return nil, &dotenvError{l.line, "an unexpected equals sign"}
		}
		name, ok := dotenvKey(name)
		if !ok {
			return nil, &dotenvError{l.line, "no name of a variable: a line is NAME=value, NAME of letters, digits, _ and ."}
		}
		e := dotenvEntry{name: name, line: l.line, unset: !found}
		if msg := e.parseValue(value); msg != "" {
			return nil, &dotenvError{l.line, name + ": " + msg}
		}
		entries = append(entries, e)
	}
	return entries, nil
}

type logicalLine struct {
	text string
	line int
}

// logicalLines joins the lines of multi-line values and drops blank lines and
// comments. A comment that looks like the start of a multi-line value is one,
// as in phpdotenv.
func logicalLines(raw []string) ([]logicalLine, error) {
	var out []logicalLine
	var buffer []string
	start := 0
	for i, line := range raw {
		started := strings.Contains(line, `="`) && !closesQuote(line, true)
		if started && buffer == nil {
			start = i + 1
		}
		at := i + 1
		if started || buffer != nil {
			buffer = append(buffer, line)
			if !closesQuote(line, started) {
				continue
			}
			line, at, buffer = strings.Join(buffer, "\n"), start, nil
		}
		if t := phpTrim(line); t != "" && t[0] != '#' {
			out = append(out, logicalLine{line, at})
		}
	}
	if buffer != nil {
		return nil, &dotenvError{start, `a double quote that is never closed`}
	}
	return out, nil
}

// closesQuote counts the quotes that no backslash precedes; the first line of a
// multi-line value has its opening quote among them.
func closesQuote(line string, started bool) bool {
	if line == `"` {
		return true
	}
	line = strings.ReplaceAll(line, `\\`, "")
	n := 0
	for i := 1; i < len(line); i++ {
		if line[i] == '"' && line[i-1] != '\\' {
			n++
		}
	}
	if started {
		return n > 1
	}
	return n >= 1
}

// phpTrim is PHP's trim().
func phpTrim(s string) string { return strings.Trim(s, " \t\n\r\x00\x0b") }

func phpSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

// dotenvKey strips "export" and quotes from a name.
func dotenvKey(name string) (string, bool) {
	if len(name) > 8 && strings.HasPrefix(name, "export") && phpSpace(name[6]) {
		name = strings.TrimLeft(name[6:], " \t\n\r\x00\x0b")
	}
	if n := len(name); n > 2 && (name[0] == '"' || name[0] == '\'') && name[n-1] == name[0] {
		name = name[1 : n-1]
	}
	return name, dotenvName.MatchString(name)
}

// The states of parseValue, as phpdotenv names them.
const (
	inStart = iota
	inUnquoted
	inSingle
	inDouble
	inEscape
	inSpace
	inComment
)

const escapes, escaped = "fnrtv", "\f\n\r\t\v"

// parseValue sets value and vars; a non-empty result says what is wrong.
func (e *dotenvEntry) parseValue(raw string) string {
	var b strings.Builder
	state := inStart
	put := func(c byte, next int) {
		if c == '$' && next != inSingle && state != inEscape {
			e.vars = append(e.vars, b.Len())
		}
		b.WriteByte(c)
		state = next
	}
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		switch state {
		case inStart, inUnquoted:
			switch {
			case state == inStart && c == '\'':
				state = inSingle
			case state == inStart && c == '"':
				state = inDouble
			case c == '#':
				state = inComment
			case state == inUnquoted && phpSpace(c):
				state = inSpace
			default:
				put(c, inUnquoted)
				// A run of form feeds in front is one piece to phpdotenv.
				for c == '\f' && b.Len() == i+1 && i+1 < len(raw) && phpSpace(raw[i+1]) && raw[i+1] != '\n' && raw[i+1] != '\r' {
					i++
					b.WriteByte(raw[i])
				}
			}
		case inSingle:
			if c == '\'' {
				state = inSpace
			} else {
				put(c, inSingle)
			}
		case inDouble:
			switch c {
			case '"':
				state = inSpace
			case '\\':
				state = inEscape
			default:
				put(c, inDouble)
			}
		case inEscape:
			if j := strings.IndexByte(escapes, c); j >= 0 {
				c = escaped[j]
			} else if c != '"' && c != '\\' && c != '$' {
				return `an unknown escape in double quotes: write \\ for a backslash`
			}
			put(c, inDouble)
		case inSpace:
			if c == '#' {
				state = inComment
			} else if !phpSpace(c) {
				return "a value with spaces needs quotes"
			}
		}
	}
	if state == inSingle || state == inDouble || state == inEscape {
		return "a missing closing quote"
	}
	e.value = b.String()
	return ""
}

// resolve replaces each ${NAME} whose name lookup knows.
func (e *dotenvEntry) resolve(lookup func(string) (string, bool)) string {
	s := e.value
	for i := len(e.vars) - 1; i >= 0; i-- {
		at := e.vars[i]
		if m := dotenvRef.FindStringSubmatch(s[at:]); m != nil {
			if v, ok := lookup(m[1]); ok {
				s = s[:at] + v + s[at+len(m[0]):]
			}
		}
	}
	return s
}

// envWord applies the rules of Laravel's env(): the words true, false, empty and
// null and their (…) forms, in any case, and quotes inside the value.
func envWord(s string) (value string, null bool) {
	switch w := strings.ToLower(s); strings.Trim(w, "()") {
	case "true", "false", "empty", "null":
		bare := strings.Trim(w, "()")
		if w != bare && w != "("+bare+")" {
			break
		}
		switch bare {
		case "empty":
			return "", false
		case "null":
			return "", true
		}
		return bare, false
	}
	if n := len(s); n >= 2 && (s[0] == '"' || s[0] == '\'') && s[n-1] == s[0] && !strings.Contains(s, "\n") {
		return s[1 : n-1], false
	}
	return s, false
}

// blank says whether a value is nothing but white space.
func blank(s string) bool { return strings.TrimFunc(s, unicode.IsSpace) == "" }
