package config

import (
	"errors"
	"fmt"
	"slices"
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

// node is one value of a configuration source before it is given a type: a
// scalar, a list or a mapping, with the place it stands at.
type node struct {
	kind    nodeKind
	text    string // of a scalar, as written
	null    bool   // of a scalar
	derived bool   // follows from another setting: a part of a URL, a prefix
	list    []*node
	keys    []string // of a mapping, in order
	fields  map[string]*node
	src     Source
}

type nodeKind int

const (
	mapping nodeKind = iota // the zero node is an empty mapping
	scalar
	sequence
)

func (k nodeKind) String() string {
	return [...]string{"a mapping", "a single value", "a list"}[k]
}

func text(s string, src Source) *node { return &node{kind: scalar, text: s, src: src} }

func null(src Source) *node { return &node{kind: scalar, null: true, src: src} }

// derive returns a scalar like n that follows from it.
func (n *node) derive() *node {
	if n == nil {
		return nil
	}
	c := *n
	c.derived = true
	return &c
}

// child returns the field of a mapping, nil if there is none.
func (n *node) child(key string) *node {
	if n == nil {
		return nil
	}
	return n.fields[key]
}

// at returns the node below n, nil if there is none.
func (n *node) at(path ...string) *node {
	for _, key := range path {
		n = n.child(key)
	}
	return n
}

// value returns the text of the scalar below n; "" if there is none or it is
// null.
func (n *node) value(path ...string) string {
	n = n.at(path...)
	if n == nil || n.kind != scalar || n.null {
		return ""
	}
	return n.text
}

// put sets a field of a mapping.
func (n *node) put(key string, v *node) {
	if n.fields == nil {
		n.fields = map[string]*node{}
	}
	if _, ok := n.fields[key]; !ok {
		n.keys = append(n.keys, key)
	}
	n.fields[key] = v
}

// remove takes a field out of a mapping.
func (n *node) remove(key string) {
	if _, ok := n.child(key), n != nil; ok {
		delete(n.fields, key)
		n.keys = slices.DeleteFunc(n.keys, func(k string) bool { return k == key })
	}
}

// set puts v at a path, making the mappings on the way.
func (n *node) set(v *node, path ...string) {
	for _, key := range path[:len(path)-1] {
		next := n.child(key)
		if next == nil || next.kind != mapping {
			next = &node{src: v.src}
			n.put(key, next)
		}
		n = next
	}
	n.put(path[len(path)-1], v)
}

// setKey is set with a dotted key.
func (n *node) setKey(key string, v *node) { n.set(v, strings.Split(key, ".")...) }

// merge lays over upon n and returns the result; mappings are merged key by
// key, everything else is replaced. Neither argument is changed.
func (n *node) merge(over *node) *node {
	switch {
	case over == nil:
		return n
	case n == nil || n.kind != mapping || over.kind != mapping:
		return over
	}
	out := &node{src: over.src}
	for _, k := range n.keys {
		out.put(k, n.fields[k].merge(over.child(k)))
	}
	for _, k := range over.keys {
		if n.child(k) == nil {
			out.put(k, over.fields[k])
		}
	}
	return out
}
