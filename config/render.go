package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// RenderOptions say what a rendered spool.yaml holds. The zero value renders
// whatever is not a default.
type RenderOptions struct {
	// Header is put on top as a comment.
	Header string
	// Keep says whether a setting is written; default: those that don't come
	// from a default.
	Keep func(key string) bool
	// Variable names the variable that holds a secret, and whether the
	// environment has it; default: a name made from the key, and no. Secrets
	// themselves are never written.
	Variable func(key, secret string) (name string, set bool)
}

// Render writes the settings as a spool.yaml with comments. Load reads it back
// to the same settings, given the variables that it names.
func (c *Config) Render(o *RenderOptions) []byte {
	r := &renderer{cfg: c}
	if o != nil {
		r.opts = *o
	}
	if r.opts.Keep == nil {
		r.opts.Keep = func(key string) bool { return c.Source(key).Kind != FromDefault }
	}
	if r.opts.Variable == nil {
		r.opts.Variable = func(key, _ string) (string, bool) { return variableFor(key), false }
	}
	for _, line := range strings.Split(strings.TrimSpace(r.opts.Header), "\n") {
		if line != "" {
			r.out.WriteString("# " + line + "\n")
		}
	}
	tree := &node{}
	for _, key := range c.order {
		if r.opts.Keep(key) && !c.values[key].n.derived {
			tree.set(&node{kind: sequence, text: key}, renderPath(key)...)
		}
	}
	r.mapping(tree, "", 0)
	return r.out.Bytes()
}

type renderer struct {
	cfg  *Config
	opts RenderOptions
	out  bytes.Buffer
}

// sectionComments stand above the sections of a rendered file.
func sectionComments() map[string]string {
	return map[string]string{
		"app":                  "The application: its name makes prefixes, its key decrypts encrypted jobs.",
		"queue":                "As config/queue.php.",
		"queue.connections":    "Where jobs are kept. retry_after is the lease in seconds: keep it above the longest timeout.",
		"queue.failed":         "Where failed jobs are recorded.",
		"queue.batching":       "Where batches are kept.",
		"database":             "As config/database.php.",
		"database.redis":       "Redis connections. The prefix must be the one that PHP uses, else no job is found.",
		"database.connections": "Databases.",
		"cache":                "As config/cache.php: where queue:restart, queue:pause and locks are kept.",
		"worker":               "Defaults of the flags of queue:work.",
		"jobs":                 "What runs the jobs of some names: a command, a shell line or a URL.",
		"schedule":             "Jobs that are dispatched at set times: by cron, every so often, at a moment.",
		"stock_env":            "Whether Laravel's variables (REDIS_HOST, …) go before this file. Here they mean something else\nto the application, so only ${NAME} counts.",
		"laravel":              "Whose defaults apply to what is not said here.",
	}
}

// renderPath splits a key into the path of the file, where jobs[0].name is jobs,
// [0], name.
func renderPath(key string) []string {
	return strings.Split(strings.ReplaceAll(key, "[", ".["), ".")
}

func (r *renderer) mapping(n *node, prefix string, depth int) {
	indent := strings.Repeat("  ", depth)
	comments := sectionComments()
	for i, k := range n.keys {
		c := n.fields[k]
		path := join(prefix, k)
		if depth == 0 && (i > 0 || r.out.Len() > 0) {
			r.out.WriteByte('\n')
		}
		for _, line := range strings.Split(comments[path], "\n") {
			if line != "" {
				r.out.WriteString(indent + "# " + line + "\n")
			}
		}
		switch {
		case c.kind == sequence:
			fmt.Fprintf(&r.out, "%s%s: %s\n", indent, yamlKey(k), r.value(c.text))
		case len(c.keys) > 0 && strings.HasPrefix(c.keys[0], "["):
			fmt.Fprintf(&r.out, "%s%s:\n", indent, yamlKey(k))
			r.items(c, path, depth+1)
		default:
			fmt.Fprintf(&r.out, "%s%s:\n", indent, yamlKey(k))
			r.mapping(c, path, depth+1)
		}
	}
}

// items writes the mappings of a list.
func (r *renderer) items(n *node, prefix string, depth int) {
	indent := strings.Repeat("  ", depth)
	for _, k := range n.keys {
		var sub renderer
		sub.cfg, sub.opts = r.cfg, r.opts
		sub.mapping(n.fields[k], prefix+k, depth+1)
		text := strings.TrimLeft(strings.ReplaceAll("\n"+sub.out.String(), "\n\n", "\n"), "\n ")
		r.out.WriteString(indent + "- " + text)
	}
}

// value renders the value of a key.
func (r *renderer) value(key string) string {
	v := r.cfg.values[key]
	return r.node(key, v.n, v)
}

func (r *renderer) node(key string, n *node, v given) string {
	switch {
	case n.kind == scalar && n.null:
		return "null"
	case n.kind == scalar && v.secret != "" && n.text != "" && (v.secret != "url" || maskURL(n.text) != n.text):
		name, set := r.opts.Variable(key, n.text)
		if set {
			return `"${` + name + `:-}"`
		}
		return `"${` + name + `}"`
	case n.kind == scalar:
		return yamlScalar(n.text, v)
	}
	var parts []string
	for i, c := range n.list {
		parts = append(parts, r.node(fmt.Sprintf("%s[%d]", key, i), c, v))
	}
	for _, k := range n.keys {
		parts = append(parts, yamlKey(k)+": "+r.node(key+"."+k, n.fields[k], v))
	}
	if n.kind == mapping {
		return "{" + strings.Join(parts, ", ") + "}"
	}
	return "[" + strings.Join(parts, ", ") + "]"
}

var (
	plainYAML  = regexp.MustCompile(`^[A-Za-z_./][A-Za-z0-9_./-]*$`)
	numberYAML = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?$`)
	// yamlWords would not be read as text.
	yamlWords = []string{"true", "false", "null", "yes", "no", "on", "off", "y", "n", "~", ".", ".."}
)

// yamlScalar quotes a text where YAML would read it as something else; "$" is
// doubled, since ${NAME} is a reference.
func yamlScalar(s string, v given) string {
	word := slices.Contains(yamlWords, strings.ToLower(s)) || strings.HasPrefix(s, ".")
	switch {
	case numberYAML.MatchString(s) && v.typ != nil && typeName(v.typ) != "text",
		(s == "true" || s == "false") && v.typ != nil && typeName(v.typ) == "yes/no",
		plainYAML.MatchString(s) && !word:
		return s
	}
	return quoteYAML(strings.ReplaceAll(s, "$", "$$"))
}

// quoteYAML writes a double-quoted scalar: JSON's escapes are YAML's too.
func quoteYAML(s string) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s) // a string always encodes
	return strings.TrimSuffix(b.String(), "\n")
}

func yamlKey(k string) string {
	if plainYAML.MatchString(k) && !slices.Contains(yamlWords, strings.ToLower(k)) {
		return k
	}
	return quoteYAML(k)
}

// variableFor names the variable of a secret: the stock one of its key, else one
// made from the key.
func variableFor(key string) string {
	all := append(bindings(), binding{below("database.connections", "url", "sqlite", "mysql", "mariadb", "pgsql"), databaseURLs()})
	for _, b := range all {
		if slices.Contains(b.keys, key) {
			return b.names[0].name
		}
	}
	return plainVariable(key)
}

// plainVariable makes a variable's name from a key.
func plainVariable(key string) string {
	return strings.Trim(regexp.MustCompile(`[^A-Z0-9]+`).ReplaceAllString(strings.ToUpper(key), "_"), "_")
}
