package config

import (
	"fmt"
	"strings"
)

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
