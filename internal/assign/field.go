package assign

import (
	"reflect"
	"slices"
	"strings"
	"sync"
)

// field is a struct field that JSON can name.
type field struct {
	name   string
	index  []int
	tagged bool
	quoted bool // ",string"
}

// fieldSet are the fields of a struct type, by name and by looser names.
type fieldSet struct {
	list               []field
	exact, fold, loose map[string]int
}

// match says how well a name fits a field; 0 is not at all.
type match uint8

const (
	loosely match = iota + 1 // but for case and underscores
	folded                   // but for case
	exactly
)

// fieldSets remembers the fields of types: a pure function's results.
var fieldSets sync.Map // reflect.Type to *fieldSet

func fieldsOf(t reflect.Type) *fieldSet {
	if s, ok := fieldSets.Load(t); ok {
		return s.(*fieldSet)
	}
	s := newFieldSet(t)
	fieldSets.Store(t, s)
	return s
}

func newFieldSet(t reflect.Type) *fieldSet {
	s := &fieldSet{exact: map[string]int{}, fold: map[string]int{}, loose: map[string]int{}}
	all := collect(t, nil, []reflect.Type{t}, nil)
	for _, f := range all {
		if !dominant(f, all) {
			continue
		}
		i := len(s.list)
		s.list = append(s.list, f)
		s.exact[f.name] = i
		for _, m := range []struct {
			names map[string]int
			name  string
		}{{s.fold, fold(f.name)}, {s.loose, loosen(f.name)}} {
			if _, taken := m.names[m.name]; !taken {
				m.names[m.name] = i
			}
		}
	}
	return s
}

func fold(s string) string   { return strings.ToLower(s) }
func loosen(s string) string { return strings.ReplaceAll(fold(s), "_", "") }

// find returns the number of the field that name fits best.
func (s *fieldSet) find(name string, loose bool) (int, match) {
	if i, ok := s.exact[name]; ok {
		return i, exactly
	}
	if i, ok := s.fold[fold(name)]; ok {
		return i, folded
	}
	if loose {
		if i, ok := s.loose[loosen(name)]; ok {
			return i, loosely
		}
	}
	return 0, 0
}

// collect appends the fields of t and of the structs it embeds. path holds the
// types that are being collected, so that a type within itself ends.
func collect(t reflect.Type, index []int, path []reflect.Type, out []field) []field {
	for i := range t.NumField() {
		sf := t.Field(i)
		tag := sf.Tag.Get("json")
		if tag == "-" {
			continue
		}
		name, options, _ := strings.Cut(tag, ",")
		at := append(slices.Clone(index), i)
		ft := sf.Type
		if sf.Anonymous && ft.Kind() == reflect.Pointer {
			ft = ft.Elem()
		}
		if sf.Anonymous && name == "" && ft.Kind() == reflect.Struct {
			if !slices.Contains(path, ft) {
				out = collect(ft, at, append(slices.Clone(path), ft), out)
			}
			continue
		}
		if !sf.IsExported() {
			continue
		}
		f := field{name: name, index: at, tagged: name != "", quoted: slices.Contains(strings.Split(options, ","), "string")}
		if name == "" {
			f.name = sf.Name
		}
		out = append(out, f)
	}
	return out
}

// dominant reports whether f is the one field of its name: the least deep,
// then the tagged one; two equals hide each other, as in encoding/json.
func dominant(f field, all []field) bool {
	for _, g := range all {
		switch {
		case g.name != f.name || slices.Equal(g.index, f.index):
		case len(g.index) < len(f.index):
			return false
		case len(g.index) == len(f.index) && (g.tagged || !f.tagged):
			return false
		}
	}
	return true
}
