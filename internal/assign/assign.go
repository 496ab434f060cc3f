// Package assign maps a loose tree, JSON or a PHP object, onto a Go value by
// the names that encoding/json uses.
//
// It is as strict about types as encoding/json, with the exceptions that data
// written by PHP or rewritten by Redis (lua-cjson) needs:
//
//   - {} fits a slice and [] a map or struct: both have one empty array;
//   - a float fits an integer if it is one exactly, such as 1.5e+3. (Redis keeps
//     14 digits of a larger integer; that the others were lost can't be seen.);
//   - null is the zero value, whatever the type;
//   - time.Time is read from a DateTime or Carbon object, from ISO 8601 and
//     SQL text (UTC where it names no zone), and from Unix seconds;
//   - in PHP trees, a property also fits a field whose name differs only in
//     case and underscores (userId, UserID, user_id), and []byte takes the raw
//     bytes of a string.
//
// A number is never read from a string, except for fields tagged ",string",
// and a string never from a number. json.Unmarshaler and
// encoding.TextUnmarshaler are honoured. Names without a field are ignored.
//
// The package imports only the standard library.
package assign

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strconv"
)

// Raw is a string of bytes of no particular encoding, as PHP has it.
type Raw string

// Node is an array, object or map of a tree.
type Node interface {
	// Class is the PHP class of an object, else empty.
	Class() string
	// Len is the number of elements.
	Len() int
	// At returns the i-th element: its value is nil, bool, int64, float64,
	// json.Number, string, Raw, []any, map[string]any or a Node.
	At(i int) (name string, value any)
	// List says that the names are 0, 1, 2 and so on; true for an empty array.
	List() bool
	// Identity tells one object from another and says whether it was reached by
	// a reference. A reference to an object that contains it reads as null.
	Identity() (id any, ref bool)
}

// Error is a value that doesn't fit.
type Error struct {
	Path   string // e.g. options.weights[3]; empty for the whole
	Reason string
}

func (e *Error) Error() string {
	if e.Path == "" {
		return e.Reason
	}
	return e.Path + ": " + e.Reason
}

func fail(format string, args ...any) error { return &Error{Reason: fmt.Sprintf(format, args...)} }

// within puts a step in front of the path of err.
func within(step string, err error) error {
	if e, ok := err.(*Error); ok { //nolint:errorlint // made by this package, never wrapped
		if e.Path != "" && e.Path[0] != '[' {
			step += "."
		}
		e.Path = step + e.Path
	}
	return err
}

// JSON stores the JSON text data in v, a pointer that is not nil.
func JSON(data []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var src any
	if err := dec.Decode(&src); err != nil {
		return err
	}
	if _, err := dec.Token(); err != io.EOF {
		return fail("more than one JSON value")
	}
	return into(src, v, false)
}

// PHP stores a tree of a PHP value in v, a pointer that is not nil.
func PHP(src, v any) error { return into(src, v, true) }

func into(src, v any, php bool) error {
	dst := reflect.ValueOf(v)
	if dst.Kind() != reflect.Pointer || dst.IsNil() {
		return fail("can't store in a %T: it must be a pointer that is not nil", v)
	}
	a := &assigner{php: php}
	return a.value(dst.Elem(), src)
}

// The bounds of a walk. References make a small input a large tree.
const (
	maxDepth  = 5000
	maxUnfold = 1 << 18
)

// walk bounds the way through a tree and finds circles.
type walk struct {
	path   []step // to the current node
	refs   int    // steps of path that are references
	unfold int    // values seen again through a reference
}

type step struct {
	id  any
	ref bool
}

// spend counts n values.
func (w *walk) spend(n int) error {
	if w.refs == 0 {
		return nil
	}
	if w.unfold += n; w.unfold > maxUnfold {
		return fail("the references of this value unfold to too much data")
	}
	return nil
}

// circle reports whether src refers back to a node that contains it.
func (w *walk) circle(src any) bool {
	n, ok := src.(Node)
	if !ok {
		return false
	}
	id, ref := n.Identity()
	return ref && slices.ContainsFunc(w.path, func(s step) bool { return s.id == id })
}

// enter steps into n, which is no circle. Unless it fails, leave must follow.
func (w *walk) enter(n Node) error {
	if len(w.path) >= maxDepth {
		return fail("nested too deep")
	}
	id, ref := n.Identity()
	w.path = append(w.path, step{id, ref})
	if ref {
		w.refs++
	}
	return nil
}

func (w *walk) leave() {
	last := len(w.path) - 1
	if w.path[last].ref {
		w.refs--
	}
	w.path = w.path[:last]
}

// nodeOf returns src as a Node, or nil if it is none.
func nodeOf(src any) Node {
	switch s := src.(type) {
	case Node:
		return s
	case []any:
		return list(s)
	case map[string]any:
		return object{s, slices.Sorted(maps.Keys(s))}
	}
	return nil
}

type list []any

func (l list) Class() string          { return "" }
func (l list) Len() int               { return len(l) }
func (l list) At(i int) (string, any) { return strconv.Itoa(i), l[i] }
func (l list) List() bool             { return true }
func (l list) Identity() (any, bool)  { return nil, false }

type object struct {
	m     map[string]any
	names []string
}

func (o object) Class() string          { return "" }
func (o object) Len() int               { return len(o.names) }
func (o object) At(i int) (string, any) { return o.names[i], o.m[o.names[i]] }
func (o object) List() bool             { return false }
func (o object) Identity() (any, bool)  { return nil, false }
