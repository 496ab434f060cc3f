package phpserial

import (
	"cmp"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// other writes a Go value that is not of the tree's own types.
func (e *encoder) other(v reflect.Value, depth int) error {
	switch v.Kind() {
	case reflect.Bool:
		return e.value(v.Bool(), depth)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return e.value(v.Int(), depth)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		if v.Uint() > math.MaxInt64 {
			return fmt.Errorf("PHP serialize: %d is over PHP's largest integer: use a string", v.Uint())
		}
		return e.value(int64(v.Uint()), depth)
	case reflect.Float64:
		return e.value(v.Float(), depth)
	case reflect.Float32:
		// Through the text, so that float32(0.1) stays 0.1.
		f, _ := strconv.ParseFloat(strconv.FormatFloat(v.Float(), 'g', -1, 32), 64)
		return e.value(f, depth)
	case reflect.String:
		return e.value(v.String(), depth)
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return e.value(nil, depth)
		}
		return e.value(v.Elem().Interface(), depth-1)
	case reflect.Slice, reflect.Array:
		return e.list(v, depth)
	case reflect.Map:
		return e.mapping(v, depth)
	}
	return fmt.Errorf("PHP serialize: no PHP form for a %s", v.Type())
}

func (e *encoder) list(v reflect.Value, depth int) error {
	if v.Kind() == reflect.Slice {
		if v.IsNil() {
			return e.value(nil, depth)
		}
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return e.value(string(v.Bytes()), depth)
		}
	}
	e.n++
	e.open('a', v.Len())
	for i := range v.Len() {
		e.int(int64(i))
		if err := e.value(v.Index(i).Interface(), depth-1); err != nil {
			return err
		}
	}
	e.b = append(e.b, '}')
	return nil
}

func (e *encoder) mapping(v reflect.Value, depth int) error {
	if v.IsNil() {
		return e.value(nil, depth)
	}
	a := &Array{Entries: make([]Entry, 0, v.Len())}
	for it := v.MapRange(); it.Next(); {
		var k Key
		switch key := it.Key(); {
		case key.Kind() == reflect.String:
			k = StrKey(key.String())
		case key.CanInt():
			k = IntKey(key.Int())
		case key.CanUint() && key.Uint() <= math.MaxInt64:
			k = IntKey(int64(key.Uint()))
		default:
			return fmt.Errorf("PHP serialize: %v can't be the key of a PHP array", key)
		}
		a.Entries = append(a.Entries, Entry{k, it.Value().Interface()})
	}
	slices.SortFunc(a.Entries, func(x, y Entry) int {
		if x.Key.IsStr != y.Key.IsStr {
			if y.Key.IsStr {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(x.Key.Int, y.Key.Int), strings.Compare(x.Key.Str, y.Key.Str))
	})
	return e.value(a, depth)
}
