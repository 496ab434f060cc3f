package config

import (
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// yamlReader turns spool.yaml into a tree. Scalars keep the text they were
// written with, so that 0123 as a password stays what it is.
type yamlReader struct {
	file    string // as shown
	env     environ
	anchors map[string]ast.Node
	nodes   int // so far; aliases count each time
	depth   int
	errs    []error
}

// The bounds of a spool.yaml, which keep aliases of aliases in check.
const maxNodes, maxDepth = 20_000, 32

// readYAML parses content. The errors never quote it, as it may hold secrets.
func readYAML(file string, content []byte, env environ) (*node, error) {
	r := &yamlReader{file: file, env: env, anchors: map[string]ast.Node{}}
	f, err := parser.ParseBytes(content, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		var syntax yaml.Error
		if errors.As(err, &syntax) && syntax.GetToken() != nil {
			pos := syntax.GetToken().Position
			return nil, &Error{Source: r.line(pos.Line), Err: fmt.Sprintf("no valid YAML at column %d: %s", pos.Column, syntax.GetMessage())}
		}
		return nil, &Error{Source: r.line(0), Err: "no valid YAML"}
	}
	root := &node{src: r.line(1)}
	seen := false
	for _, doc := range f.Docs {
		if doc == nil || doc.Body == nil || doc.Body.Type() == ast.CommentType {
			continue
		}
		if seen {
			return nil, &Error{Source: r.at(doc.Body), Err: "a second document: one file holds one configuration"}
		}
		seen = true
		if doc.Body.Type() != ast.NullType {
			root = r.read(doc.Body)
		}
	}
	if root.kind != mapping {
		r.fail(f.Docs[0].Body, "the file must be a mapping (key: value)")
	}
	return root, errors.Join(r.errs...)
}

func (r *yamlReader) line(n int) Source { return Source{Kind: FromFile, File: r.file, Line: n} }

func (r *yamlReader) at(n ast.Node) Source {
	if n == nil || n.GetToken() == nil || n.GetToken().Position == nil {
		return r.line(0)
	}
	return r.line(n.GetToken().Position.Line)
}

func (r *yamlReader) fail(n ast.Node, format string, args ...any) {
	r.errs = append(r.errs, &Error{Source: r.at(n), Err: fmt.Sprintf(format, args...)})
}

func (r *yamlReader) read(n ast.Node) *node {
	r.nodes++
	r.depth++
	defer func() { r.depth-- }()
	if r.nodes > maxNodes || r.depth > maxDepth {
		if r.nodes != maxNodes+2 { // say it once
			r.nodes = maxNodes + 1
			r.fail(n, "more than %d values or %d levels: aliases that hold aliases?", maxNodes, maxDepth)
			r.nodes++
		}
		return null(r.at(n))
	}
	switch n := n.(type) {
	case *ast.MappingNode:
		return r.mapping(n, n.Values)
	case *ast.MappingValueNode:
		return r.mapping(n, []*ast.MappingValueNode{n})
	case *ast.SequenceNode:
		out := &node{kind: sequence, src: r.at(n)}
		for _, v := range n.Values {
			out.list = append(out.list, r.read(v))
		}
		return out
	case *ast.AnchorNode:
		r.anchors[n.Name.GetToken().Value] = n.Value
		return r.read(n.Value)
	case *ast.AliasNode:
		target, ok := r.anchors[n.Value.GetToken().Value]
		if !ok {
			r.fail(n, "the alias *%s has no anchor above it", n.Value.GetToken().Value)
			return null(r.at(n))
		}
		return r.read(target)
	case *ast.TagNode:
		return r.read(n.Value)
	case *ast.NullNode, nil:
		return null(r.at(n))
	case *ast.StringNode:
		return r.text(n, n.Value)
	case *ast.LiteralNode:
		return r.text(n, n.Value.Value)
	}
	// Numbers and booleans: their own text.
	return text(n.GetToken().Value, r.at(n))
}

func (r *yamlReader) mapping(at ast.Node, values []*ast.MappingValueNode) *node {
	out := &node{src: r.at(at)}
	merged := &node{}
	for _, v := range values {
		if v.Key.Type() == ast.MergeKeyType {
			m := r.read(v.Value)
			parts := []*node{m}
			if m.kind == sequence {
				parts = m.list
			}
			for _, p := range parts {
				if p.kind != mapping {
					r.fail(v, "<< takes a mapping or a list of them")
					continue
				}
				merged = p.merge(merged)
			}
			continue
		}
		key := v.Key.GetToken().Value
		if out.child(key) != nil {
			r.fail(v.Key, "the key %q stands here a second time", key)
			continue
		}
		val := r.read(v.Value)
		// A scalar may start on a later line than its key; the key is what
		// people look for.
		val.src.Line = r.at(v.Key).Line
		out.put(key, val)
	}
	src := out.src
	out = merged.merge(out)
	out.src = src
	return out
}

// text expands ${NAME} in a string. A string that is nothing but one such
// reference follows env()'s rules: the word null in the variable is null.
func (r *yamlReader) text(at ast.Node, s string) *node {
	exp, err := expand(s, r.env)
	src := r.at(at)
	src.Name = strings.Join(exp.names, ", ")
	if err != "" {
		r.errs = append(r.errs, &Error{Source: r.at(at), Err: err})
		return null(src)
	}
	if exp.whole {
		v, isNull := envWord(exp.text)
		if isNull {
			return null(src)
		}
		return text(v, src)
	}
	return text(exp.text, src)
}
