package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
	"strings"
)

// variable is one variable of the environment.
type variable struct {
	value string
	src   Source
}

// environ is the environment: the process's variables, then those of the .env
// file that the process doesn't set.
type environ map[string]variable

// processEnviron reads "NAME=value" pairs as [os.Environ] gives them.
func processEnviron(pairs []string) environ {
	env := environ{}
	for _, p := range pairs {
		// Windows has names that start with "=".
		if i := strings.IndexByte(p, '='); i > 0 {
			env[p[:i]] = variable{p[i+1:], Source{Kind: FromEnv, Name: p[:i]}}
		}
	}
	return env
}

// addFile adds the variables of a .env file; those of the process stay. A file
// with sections is ThinkPHP's.
func (env environ) addFile(path, shown string) (sections bool, err error) {
	content, err := readSmall(path)
	if err != nil {
		return false, err
	}
	parse := parseDotenv
	if sections = iniSection.Match(content); sections {
		parse = parseSections
	}
	entries, err := parse(string(content))
	var bad *dotenvError
	if errors.As(err, &bad) {
		return sections, &Error{Source: Source{Kind: FromFile, File: shown, Line: bad.line}, Err: bad.err}
	} else if err != nil {
		return sections, err
	}
	for i := range entries {
		e := &entries[i]
		if v, ok := env[e.name]; ok && v.src.File == "" {
			continue
		}
		if e.unset {
			delete(env, e.name)
			continue
		}
		v := e.resolve(func(name string) (string, bool) { x, ok := env[name]; return x.value, ok })
		env[e.name] = variable{v, Source{Kind: FromEnv, Name: e.name, File: shown, Line: e.line}}
	}
	return sections, nil
}

// names returns the names of all variables, sorted.
func (env environ) names() []string {
	names := make([]string, 0, len(env))
	for n := range env {
		names = append(names, n)
	}
	sort.Strings(names)
	return names
}

func (env environ) has(names ...string) bool {
	for _, n := range names {
		if _, ok := env[n]; ok {
			return true
		}
	}
	return false
}

// maxFile is the largest configuration file that is read.
const maxFile = 1 << 20

// readSmall reads a configuration file.
func readSmall(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(b) > maxFile {
		return nil, &Error{Err: path + " is larger than 1 MiB: that is no configuration"}
	}
	return b, err
}

// isFile says whether path is a file that exists.
func isFile(path string) bool {
	st, err := os.Stat(path)
	return err == nil && !st.IsDir()
}

// shorten shows path relative to dir where it is below it.
func shorten(path, dir string) string {
	if rel, err := filepath.Rel(dir, path); err == nil && !strings.HasPrefix(rel, "..") {
		return rel
	}
	return path
}

// expansion is a string after its references were replaced.
type expansion struct {
	text  string
	names []string // of the references
	whole bool     // the string was one reference and nothing else
}

// expand replaces ${NAME} and ${NAME:-default} in a value of spool.yaml; $$ is
// one "$", any other "$" is itself. As in a shell, the default also stands for a
// variable that is set but empty. A default may hold references itself. What is
// wrong is returned as text, without the value.
func expand(s string, env environ) (expansion, string) {
	return expandDepth(s, env, 0)
}

func expandDepth(s string, env environ, depth int) (out expansion, wrong string) {
	if depth > 8 {
		return out, "more than 8 references inside each other"
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		rest := s[i:]
		switch {
		case strings.HasPrefix(rest, "$$"):
			b.WriteByte('$')
			i += 2
		case strings.HasPrefix(rest, "${"):
			n := closing(rest)
			if n < 0 {
				return out, "${ without }: write $$ for a plain $"
			}
			v, name, wrong := reference(rest[2:n], env, depth)
			if wrong != "" {
				return out, wrong
			}
			out.names = append(out.names, name)
			out.whole = i == 0 && n+1 == len(s)
			b.WriteString(v)
			i += n + 1
		default:
			b.WriteByte(s[i])
			i++
		}
	}
	out.text = b.String()
	return out, ""
}

// closing returns the offset of the "}" that ends the reference s starts with.
func closing(s string) int {
	open := 0
	for i := 0; i < len(s); i++ {
		switch {
		case strings.HasPrefix(s[i:], "${"):
			open++
			i++
		case s[i] == '}':
			if open--; open == 0 {
				return i
			}
		}
	}
	return -1
}

// reference resolves what stands between "${" and "}".
func reference(s string, env environ, depth int) (value, name, wrong string) {
	name, def, hasDefault := strings.Cut(s, ":-")
	if !dotenvName.MatchString(name) {
		return "", name, "what stands in ${…} is no name of a variable: write ${NAME} or ${NAME:-default}, or $$ for a plain $"
	}
	v, ok := env[name]
	switch {
	case ok && (v.value != "" || !hasDefault):
		return v.value, name, ""
	case !hasDefault:
		return "", name, fmt.Sprintf("the variable %s is not set: set it, or write ${%s:-default} (${%s:-} for an empty value)", name, name, name)
	}
	exp, wrong := expandDepth(def, env, depth+1)
	return exp.text, name, wrong
}
