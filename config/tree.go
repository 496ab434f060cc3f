package config

import (
	"slices"
	"strings"
)

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
