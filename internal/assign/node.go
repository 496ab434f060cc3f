package assign

import (
	"encoding"
	"encoding/json"
	"reflect"
	"strconv"
)

// node stores n in dst.
func (a *assigner) node(dst reflect.Value, n Node) error {
	switch dst.Kind() {
	case reflect.Struct:
		if n.List() && n.Len() > 0 {
			return mismatch(n, dst)
		}
		return a.structure(dst, n)
	case reflect.Map:
		return a.mapping(dst, n)
	case reflect.Slice:
		if !n.List() && n.Len() > 0 {
			return mismatch(n, dst)
		}
		return a.slice(dst, n)
	case reflect.Array:
		if !n.List() && n.Len() > 0 {
			return mismatch(n, dst)
		}
		return a.array(dst, n)
	case reflect.Interface:
		if dst.NumMethod() > 0 {
			return mismatch(n, dst)
		}
		v, err := a.inside(n)
		if err == nil {
			dst.Set(reflect.ValueOf(v))
		}
		return err
	}
	return mismatch(n, dst)
}

func index(i int) string { return "[" + strconv.Itoa(i) + "]" }

func (a *assigner) slice(dst reflect.Value, n Node) error {
	// Grown as elements arrive: the length of a list costs its sender little, a
	// large element type much.
	s := reflect.MakeSlice(dst.Type(), 0, min(n.Len(), 64))
	for i := range n.Len() {
		_, v := n.At(i)
		s = reflect.Append(s, reflect.Zero(dst.Type().Elem()))
		if err := a.value(s.Index(i), v); err != nil {
			return within(index(i), err)
		}
	}
	dst.Set(s)
	return nil
}

func (a *assigner) array(dst reflect.Value, n Node) error {
	if n.Len() > dst.Len() {
		return fail("a list of %d doesn't fit %s", n.Len(), dst.Type())
	}
	dst.SetZero()
	for i := range n.Len() {
		_, v := n.At(i)
		if err := a.value(dst.Index(i), v); err != nil {
			return within(index(i), err)
		}
	}
	return nil
}

func (a *assigner) mapping(dst reflect.Value, n Node) error {
	kt, vt := dst.Type().Key(), dst.Type().Elem()
	// To PHP a list is a map whose keys are numbers; to JSON it is not.
	if n.List() && n.Len() > 0 && (!a.php || !isInteger(kt.Kind())) {
		return mismatch(n, dst)
	}
	m := reflect.MakeMap(dst.Type())
	for i := range n.Len() {
		name, v := n.At(i)
		key := reflect.New(kt).Elem()
		if err := setKey(key, name); err != nil {
			return within(name, err)
		}
		value := reflect.New(vt).Elem()
		if err := a.value(value, v); err != nil {
			return within(name, err)
		}
		m.SetMapIndex(key, value)
	}
	dst.Set(m)
	return nil
}

func isInteger(k reflect.Kind) bool { return k >= reflect.Int && k <= reflect.Uintptr }

func setKey(key reflect.Value, name string) error {
	if t, ok := key.Addr().Interface().(encoding.TextUnmarshaler); ok {
		if err := t.UnmarshalText([]byte(name)); err != nil {
			return fail("%v", err)
		}
		return nil
	}
	switch {
	case key.Kind() == reflect.String:
		key.SetString(name)
		return nil
	case isInteger(key.Kind()):
		return setInteger(key, json.Number(name))
	}
	return fail("a %s can't be the key of a map here", key.Type())
}

// structure stores the elements of n in the fields of their names. A field
// takes the best of several names that fit it.
func (a *assigner) structure(dst reflect.Value, n Node) error {
	fields := fieldsOf(dst.Type())
	type pick struct {
		at    int
		match match
	}
	picks := make([]pick, len(fields.list))
	for i := range n.Len() {
		name, _ := n.At(i)
		if f, m := fields.find(name, a.php); m > 0 && m >= picks[f].match {
			picks[f] = pick{i, m}
		}
	}
	for f, p := range picks {
		if p.match == 0 {
			continue
		}
		name, v := n.At(p.at)
		if err := a.field(dst, &fields.list[f], v); err != nil {
			return within(name, err)
		}
	}
	return nil
}

func (a *assigner) field(dst reflect.Value, f *field, src any) error {
	for i, x := range f.index {
		if i > 0 && dst.Kind() == reflect.Pointer {
			if dst.IsNil() {
				if !dst.CanSet() {
					return fail("can't be set: it is in an embedded pointer to an unexported type")
				}
				dst.Set(reflect.New(dst.Type().Elem()))
			}
			dst = dst.Elem()
		}
		dst = dst.Field(x)
	}
	if text, ok := textOf(src); ok && f.quoted {
		switch {
		case text == "true" || text == "false":
			src = text == "true"
		case json.Valid([]byte(text)) && text[0] != '"':
			src = json.Number(text)
		}
	}
	return a.value(dst, src)
}

// natural is what an empty interface gets: as from encoding/json, but PHP's
// integers stay integers.
func (a *assigner) natural(src any) (any, error) {
	switch s := src.(type) {
	case Raw:
		return string(s), nil
	case json.Number:
		f, err := s.Float64()
		if err != nil {
			return nil, fail("%s doesn't fit float64", s)
		}
		return f, nil
	}
	n := nodeOf(src)
	switch {
	case n == nil:
		return src, nil
	case a.circle(src):
		return nil, nil
	}
	if err := a.enter(n); err != nil {
		return nil, err
	}
	defer a.leave()
	return a.inside(n)
}

// inside is natural for a node that has been entered.
func (a *assigner) inside(n Node) (any, error) {
	if err := a.spend(n.Len()); err != nil {
		return nil, err
	}
	if n.List() && n.Class() == "" {
		l := make([]any, n.Len())
		for i := range l {
			_, v := n.At(i)
			var err error
			if l[i], err = a.natural(v); err != nil {
				return nil, within(index(i), err)
			}
		}
		return l, nil
	}
	m := make(map[string]any, n.Len())
	for i := range n.Len() {
		name, v := n.At(i)
		var err error
		if m[name], err = a.natural(v); err != nil {
			return nil, within(name, err)
		}
	}
	return m, nil
}
