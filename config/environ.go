package config

import (
	"errors"
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

// addFile adds the variables of a .env file; those of the process stay.
func (env environ) addFile(path, shown string) error {
	content, err := readSmall(path)
	if err != nil {
		return err
	}
	entries, err := parseDotenv(string(content))
	var bad *dotenvError
	if errors.As(err, &bad) {
		return &Error{Source: Source{Kind: FromFile, File: shown, Line: bad.line}, Err: bad.err}
	} else if err != nil {
		return err
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
	return nil
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
