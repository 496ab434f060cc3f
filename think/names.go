package think

import "strings"

// ResolveName implements spool.NameResolver: it returns the full form of a
// job's name, which is the same for all that PHP takes for the same job.
// Without a backslash a name is short:
//
//	Job1              app\job\Job1
//	index/Job1        app\index\job\Job1  (up to 3.0.6)
//	foo_bar           app\job\FooBar      (since 3.0.7)
//
// The method fire is the default and is left out.
func (f *Format) ResolveName(name string) string {
	class, method, _ := strings.Cut(name, "@")
	if method != "" && method != "fire" {
		method = "@" + method
	} else {
		method = ""
	}
	if strings.Contains(class, `\`) {
		return strings.TrimPrefix(class, `\`) + method
	}
	module := ""
	if f.modules {
		if m, rest, ok := strings.Cut(class, "/"); ok {
			module, class = strings.ToLower(m)+`\`, rest
		}
	}
	if f.studly {
		class = studly(class)
	}
	return f.namespace + `\` + module + `job\` + class + method
}

// studly is ThinkPHP's StudlyCase: the letters after a dash, an underscore or a
// space, and the first, are made capital, and the separators dropped.
func studly(s string) string {
	var b strings.Builder
	up := true
	for i := range len(s) {
		c := s[i]
		switch {
		case c == '-' || c == '_' || c == ' ':
			up = true
			continue
		case up && c >= 'a' && c <= 'z':
			c -= 'a' - 'A'
		}
		up = false
		b.WriteByte(c)
	}
	return b.String()
}
