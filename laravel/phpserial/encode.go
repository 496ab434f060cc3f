package phpserial

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Marshaler is implemented by Go types that know their PHP form.
type Marshaler interface {
	// MarshalPHP returns a value that [Append] takes.
	MarshalPHP() (any, error)
}

// Encode returns v as PHP's serialize() writes it; see [Append].
func Encode(v any) (string, error) {
	b, err := Append(nil, v)
	return string(b), err
}

// Append appends v as PHP's serialize() writes it. Besides the types of the
// tree, v may hold ordinary Go values: integers and floats of any size, named
// types, pointers (nil is null), []byte (a string), slices and arrays (a
// list), and maps with string or integer keys (an array in sorted order).
// A [Marshaler] is asked for its PHP form; other structs are refused, because
// their PHP class is unknown: use an *Object.
//
// References are numbered anew, so a decoded tree may be changed before it is
// written. If the error is not nil, dst is returned as it was.
func Append(dst []byte, v any) ([]byte, error) {
	e := encoder{b: dst}
	if hasRef(v, defaultDepth) {
		e.slots = make(map[any]int)
	}
	if err := e.value(v, defaultDepth); err != nil {
		return dst, err
	}
	return e.b, nil
}

type encoder struct {
	b []byte
	n int // values written so far that take a number
	// slots are the numbers of pointers written so far; nil if nothing refers to
	// any.
	slots map[any]int
}

// hasRef reports whether the tree holds a [Ref] or a [Shared]. Too deep a tree,
// maybe in a circle, counts as one: that ends the search, and value refuses it.
func hasRef(v any, depth int) bool {
	if depth == 0 {
		return true
	}
	switch v := v.(type) {
	case *Ref, *Shared:
		return true
	case *Array:
		if v != nil {
			for i := range v.Entries {
				if hasRef(v.Entries[i].Value, depth-1) {
					return true
				}
			}
		}
	case *Object:
		if v != nil {
			for i := range v.Props {
				if hasRef(v.Props[i].Value, depth-1) {
					return true
				}
			}
		}
	case []any:
		return slices.ContainsFunc(v, func(v any) bool { return hasRef(v, depth-1) })
	case map[string]any:
		for _, v := range v {
			if hasRef(v, depth-1) {
				return true
			}
		}
	}
	return false
}

func (e *encoder) value(v any, depth int) error {
	if depth == 0 {
		return fmt.Errorf("PHP serialize: nested deeper than %d, or in a circle", defaultDepth)
	}
	switch t := v.(type) {
	case *Ref:
		return e.reference(t, depth)
	case *Shared:
		if t == nil {
			return e.value(nil, depth)
		}
		if n, ok := e.slots[t]; ok {
			e.number('R', n)
			return nil
		}
		e.mark(t, e.n+1)
		return e.value(t.Value, depth-1)
	}
	e.n++
	return e.plain(v, depth)
}

// plain writes a value that has been counted.
func (e *encoder) plain(v any, depth int) error {
	switch v := v.(type) {
	case nil:
		e.b = append(e.b, "N;"...)
	case bool:
		e.bool(v)
	case int64:
		e.int(v)
	case int:
		e.int(int64(v))
	case float64:
		e.float(v)
	case string:
		e.str('s', v)
		e.b = append(e.b, ';')
	case *Array:
		return e.array(v, depth)
	case *Object:
		return e.object(v, depth)
	case *Enum:
		e.mark(v, e.n)
		e.str('E', v.Class+":"+v.Case)
		e.b = append(e.b, ';')
	case Marshaler:
		e.n--
		form, err := v.MarshalPHP()
		if err != nil {
			return err
		}
		return e.value(form, depth-1)
	case *Custom:
		e.mark(v, e.n)
		e.str('C', v.Class)
		e.b = append(e.b, ':')
		e.b = strconv.AppendInt(e.b, int64(len(v.Data)), 10)
		e.b = append(e.b, ":{"...)
		e.b = append(e.b, v.Data...)
		e.b = append(e.b, '}')
	default:
		e.n--
		return e.other(reflect.ValueOf(v), depth)
	}
	return nil
}

// mark notes that p is the n-th value.
func (e *encoder) mark(p any, n int) {
	if e.slots != nil {
		e.slots[p] = n
	}
}

func (e *encoder) reference(r *Ref, depth int) error {
	switch r.To.(type) {
	case *Object, *Enum, *Custom, *Shared:
	default:
		return fmt.Errorf("PHP serialize: reference to a %T", r.To)
	}
	_, shared := r.To.(*Shared)
	n, ok := e.slots[r.To]
	switch {
	case !ok || shared:
		// The value it repeated is gone from the tree, so it stands here.
		return e.value(r.To, depth-1)
	case r.Hard:
		e.number('R', n)
	default:
		e.n++
		e.number('r', n)
	}
	return nil
}

func (e *encoder) number(kind byte, n int) {
	e.b = append(e.b, kind, ':')
	e.b = strconv.AppendInt(e.b, int64(n), 10)
	e.b = append(e.b, ';')
}

func (e *encoder) bool(v bool) {
	if v {
		e.b = append(e.b, "b:1;"...)
	} else {
		e.b = append(e.b, "b:0;"...)
	}
}

func (e *encoder) int(i int64) {
	e.b = append(e.b, "i:"...)
	e.b = strconv.AppendInt(e.b, i, 10)
	e.b = append(e.b, ';')
}

func (e *encoder) float(f float64) {
	e.b = append(e.b, "d:"...)
	e.b = AppendFloat(e.b, f)
	e.b = append(e.b, ';')
}

// str writes `kind:len:"s"`.
func (e *encoder) str(kind byte, s string) {
	e.b = append(e.b, kind, ':')
	e.b = strconv.AppendInt(e.b, int64(len(s)), 10)
	e.b = append(e.b, `:"`...)
	e.b = append(e.b, s...)
	e.b = append(e.b, '"')
}

func (e *encoder) key(k Key) {
	if !k.IsStr {
		e.int(k.Int)
		return
	}
	e.str('s', k.Str)
	e.b = append(e.b, ';')
}

func (e *encoder) open(kind byte, n int) {
	e.b = append(e.b, kind, ':')
	e.b = strconv.AppendInt(e.b, int64(n), 10)
	e.b = append(e.b, ":{"...)
}

func (e *encoder) array(a *Array, depth int) error {
	if a == nil {
		e.b = append(e.b, "N;"...)
		return nil
	}
	e.open('a', len(a.Entries))
	for i := range a.Entries {
		e.key(a.Entries[i].Key)
		if err := e.value(a.Entries[i].Value, depth-1); err != nil {
			return err
		}
	}
	e.b = append(e.b, '}')
	return nil
}

func (e *encoder) object(o *Object, depth int) error {
	if o == nil {
		e.b = append(e.b, "N;"...)
		return nil
	}
	if o.Class == "" || strings.IndexByte(o.Class, 0) >= 0 {
		return fmt.Errorf("PHP serialize: %q is no class name", o.Class)
	}
	e.mark(o, e.n)
	e.str('O', o.Class)
	e.b = append(e.b, ':')
	e.b = strconv.AppendInt(e.b, int64(len(o.Props)), 10)
	e.b = append(e.b, ":{"...)
	for i := range o.Props {
		if err := e.prop(&o.Props[i], o.Class); err != nil {
			return err
		}
		if err := e.value(o.Props[i].Value, depth-1); err != nil {
			return err
		}
	}
	e.b = append(e.b, '}')
	return nil
}

func (e *encoder) prop(p *Prop, class string) error {
	switch {
	case p.Index:
		i, ok := canonicalInt(p.Name)
		if !ok {
			return fmt.Errorf("PHP serialize: property %q is no integer", p.Name)
		}
		e.int(i)
		return nil
	case strings.HasPrefix(p.Name, "\x00"):
		return fmt.Errorf("PHP serialize: property name %q begins with NUL", p.Name)
	}
	name := p.Name
	switch p.Visibility {
	case Protected:
		name = "\x00*\x00" + name
	case Private:
		if p.Class != "" {
			class = p.Class
		}
		name = "\x00" + class + "\x00" + name
	}
	e.str('s', name)
	e.b = append(e.b, ';')
	return nil
}
