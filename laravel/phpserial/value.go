// Package phpserial reads and writes the format of PHP's serialize(), as a
// plain tree: no PHP class is ever instantiated and no code is run.
//
// What it reads is taken for an attacker's: depth, size and number of values
// are bounded ([Options]), a length is checked against the input before
// anything is allocated for it, and back-references are nodes of the tree
// ([Ref]), so that walking it always ends.
//
// The tree is made of
//
//	nil, bool, int64, float64   null, bool, int, float
//	string                      a string of bytes, of no particular encoding
//	*Array                      an array: an ordered map
//	*Object                     an object with its properties
//	*Enum                       a case of an enum (PHP 8.1)
//	*Custom                     an object of a class with its own format (C:)
//	*Ref, *Shared               a back-reference, and what a hard one refers to
//
// [Append] also takes ordinary Go values. The format is that of PHP 8.2
// (php.net has no specification of it; ext/standard/var.c is the source), with
// serialize_precision -1, the default since PHP 7.1.
//
// The package imports only the standard library.
package phpserial

import "strconv"

// Array is a PHP array: a map in order of insertion. Entries that were decoded
// have distinct keys if PHP wrote them; of doubles the last one counts.
type Array struct {
	Entries []Entry
}

// Entry is one element of an [Array].
type Entry struct {
	Key   Key
	Value any
}

// Key is a key of an array: an integer, or a string where IsStr is set. The
// zero Key is the integer 0.
type Key struct {
	Str   string
	Int   int64
	IsStr bool
}

// IntKey returns the key i.
func IntKey(i int64) Key { return Key{Int: i} }

// StrKey returns the key s. As in PHP, the canonical digits of an integer are
// that integer.
func StrKey(s string) Key {
	if i, ok := canonicalInt(s); ok {
		return Key{Int: i}
	}
	return Key{Str: s, IsStr: true}
}

// String returns the key as text.
func (k Key) String() string {
	if k.IsStr {
		return k.Str
	}
	return strconv.FormatInt(k.Int, 10)
}

// canonicalInt reads "0", "7", "-3", but not "07", "-0", "+1" or what
// doesn't fit: PHP keeps those as strings.
func canonicalInt(s string) (int64, bool) {
	if s == "" || len(s) > 20 || s[0] != '-' && (s[0] < '0' || s[0] > '9') {
		return 0, false
	}
	i, err := strconv.ParseInt(s, 10, 64)
	if err != nil || strconv.FormatInt(i, 10) != s {
		return 0, false
	}
	return i, true
}

// List returns an array with the keys 0, 1, 2 and so on.
func List(values ...any) *Array {
	a := &Array{Entries: make([]Entry, len(values))}
	for i, v := range values {
		a.Entries[i] = Entry{Key: IntKey(int64(i)), Value: v}
	}
	return a
}

// IsList reports whether the keys are 0, 1, 2 and so on, in that order. An
// empty array is a list.
func (a *Array) IsList() bool {
	for i, e := range a.Entries {
		if e.Key.IsStr || e.Key.Int != int64(i) {
			return false
		}
	}
	return true
}

// Get returns the value with the given key, resolved as by [Resolve].
func (a *Array) Get(key Key) (any, bool) {
	for i := len(a.Entries) - 1; i >= 0; i-- {
		if a.Entries[i].Key == key {
			return Resolve(a.Entries[i].Value), true
		}
	}
	return nil, false
}

// Set replaces the value with the given key, or appends it.
func (a *Array) Set(key Key, value any) {
	for i := len(a.Entries) - 1; i >= 0; i-- {
		if a.Entries[i].Key == key {
			a.Entries[i].Value = value
			return
		}
	}
	a.Entries = append(a.Entries, Entry{key, value})
}

// Visibility says who may see a property.
type Visibility uint8

// The visibilities of PHP.
const (
	Public Visibility = iota
	Protected
	Private
)

// Object is a PHP object that was not instantiated: its class and what it
// stored.
type Object struct {
	Class string
	Props []Prop
}

// Prop is one property of an [Object].
type Prop struct {
	Name string
	// Visibility is written as part of the name.
	Visibility Visibility
	// Class declares a private property; empty for the others. It differs from
	// the object's for a property that a parent class keeps to itself. Empty for
	// a private one, it means the object's when that is written.
	Class string
	// Index says that the key is an integer, as some classes with __serialize()
	// write it; Name holds its digits.
	Index bool
	Value any
}

// Get returns the value of the named property, resolved as by [Resolve],
// whatever its visibility. A private property of a parent class is found only
// if the object has no other of that name.
func (o *Object) Get(name string) (any, bool) {
	if p := o.prop(name); p != nil {
		return Resolve(p.Value), true
	}
	return nil, false
}

// Set replaces the value of the named property, or appends it as a public one.
func (o *Object) Set(name string, value any) {
	if p := o.prop(name); p != nil {
		p.Value = value
		return
	}
	o.Props = append(o.Props, Prop{Name: name, Value: value})
}

func (o *Object) prop(name string) *Prop {
	var parents *Prop
	for i := len(o.Props) - 1; i >= 0; i-- {
		p := &o.Props[i]
		switch {
		case p.Name != name:
		case p.Visibility != Private || p.Class == o.Class || p.Class == "":
			return p
		case parents == nil:
			parents = p
		}
	}
	return parents
}

// Enum is a case of an enum. PHP stores its name, not its backing value.
type Enum struct {
	Class string
	Case  string
}

// Custom is an object of a class that implements PHP's old Serializable
// interface: bytes in a format of its own.
type Custom struct {
	Class string
	Data  string
}

// Ref is a back-reference to a value that stands earlier in the tree, maybe to
// one that contains it: who follows it must bound the walk.
type Ref struct {
	// To is an *Object, *Enum or *Custom, or a *Shared if Hard is set.
	To any
	// Hard marks a PHP reference (&, written R:); else it is the same object
	// again (r:).
	Hard bool
}

// Shared is the first place of a value, other than an object, that a hard
// [Ref] refers to.
type Shared struct {
	Value any
}

// Resolve follows a [Ref] and unwraps a [Shared]; other values are returned
// as they are.
func Resolve(v any) any {
	if r, ok := v.(*Ref); ok {
		v = r.To
	}
	if s, ok := v.(*Shared); ok {
		v = s.Value
	}
	return v
}
