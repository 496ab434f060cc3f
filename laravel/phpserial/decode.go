package phpserial

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Options bounds what [Decode] accepts. Nil and zero fields mean the defaults.
type Options struct {
	// MaxDepth is how deep arrays and objects may nest; 0 means 4096, PHP's own
	// unserialize_max_depth.
	MaxDepth int
	// MaxBytes is the size of the input; 0 means 64 MiB.
	MaxBytes int
	// MaxValues is the number of values, nested ones included; 0 means 1048576.
	MaxValues int
}

const (
	defaultDepth  = 4096
	defaultBytes  = 64 << 20
	defaultValues = 1 << 20
)

// Error says where and why a text is not what PHP's serialize() writes, or
// that it is over a limit of [Options].
type Error struct {
	Offset int // in bytes
	Reason string
}

func (e *Error) Error() string {
	return fmt.Sprintf("PHP serialized data: %s at byte %d", e.Reason, e.Offset)
}

// Decode reads one value, which must be the whole of s. Strings of the tree
// share the memory of s. The error is an [*Error].
func Decode(s string, opt *Options) (any, error) {
	var o Options
	if opt != nil {
		o = *opt
	}
	d := &decoder{s: s, depth: o.MaxDepth, values: o.MaxValues, custom: math.MaxInt}
	if d.depth <= 0 {
		d.depth = defaultDepth
	}
	if d.values <= 0 {
		d.values = defaultValues
	}
	if o.MaxBytes <= 0 {
		o.MaxBytes = defaultBytes
	}
	if len(s) > o.MaxBytes {
		return nil, &Error{0, fmt.Sprintf("%d bytes are over the limit of %d", len(s), o.MaxBytes)}
	}
	// A value that is not the outermost follows the ";" of its key.
	d.track = strings.Contains(s, ";r:") || strings.Contains(s, ";R:")
	v, err := d.value(slot{})
	if err != nil {
		return nil, err
	}
	if d.pos != len(s) {
		return nil, d.fail("%d bytes too many", len(s)-d.pos)
	}
	return v, nil
}

// decoder reads values from left to right. Its methods leave pos where an
// error was found.
type decoder struct {
	s      string
	pos    int
	depth  int // levels left
	values int // values left
	track  bool
	// slots are the values that references may name by number, from 1; kept only
	// if track is set, because most inputs have no reference.
	slots []slot
	// custom is the number of slots up to the first C: body. What that body holds
	// may have taken numbers too, so references past it can't be followed.
	custom int
}

func (d *decoder) fail(format string, args ...any) error {
	return &Error{d.pos, fmt.Sprintf(format, args...)}
}

// value reads the value that is to stand at the given place.
func (d *decoder) value(at slot) (any, error) {
	if d.pos >= len(d.s) {
		return nil, d.fail("unexpected end")
	}
	if d.values--; d.values < 0 {
		return nil, d.fail("too many values")
	}
	kind := d.s[d.pos]
	if d.track && kind != 'R' {
		d.slots = append(d.slots, at)
	}
	if kind == 'N' {
		d.pos++
		return nil, d.expect(';')
	}
	if d.pos+1 >= len(d.s) || d.s[d.pos+1] != ':' {
		return nil, d.fail("no value")
	}
	d.pos += 2
	switch kind {
	case 'b':
		return d.boolean()
	case 'i':
		return d.integer(';')
	case 'd':
		return d.float()
	case 's':
		s, err := d.str()
		if err != nil {
			return nil, err
		}
		return s, d.expect(';')
	case 'a':
		return d.array()
	case 'O':
		return d.object()
	case 'E':
		return d.enum()
	case 'C':
		return d.customObject()
	case 'r', 'R':
		return d.reference(kind == 'R')
	}
	d.pos -= 2
	return nil, d.fail("no value of type %q", kind)
}

func (d *decoder) expect(c byte) error {
	if d.pos >= len(d.s) || d.s[d.pos] != c {
		return d.fail("no %q", c)
	}
	d.pos++
	return nil
}

// until returns the text up to c, at most max bytes of it, and skips c.
func (d *decoder) until(c byte, max int) (string, error) {
	rest := d.s[d.pos:]
	i := strings.IndexByte(rest[:min(len(rest), max+1)], c)
	if i < 0 {
		return "", d.fail("no %q", c)
	}
	d.pos += i + 1
	return rest[:i], nil
}

func (d *decoder) boolean() (any, error) {
	start := d.pos
	text, err := d.until(';', 1)
	if err == nil && text != "0" && text != "1" {
		d.pos = start
		err = d.fail("no bool")
	}
	return text == "1", err
}

func (d *decoder) integer(end byte) (int64, error) {
	start := d.pos
	text, err := d.until(end, 24)
	if err != nil {
		return 0, err
	}
	i, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		d.pos = start
		return 0, d.fail("no integer of 64 bits")
	}
	return i, nil
}

// size reads a length or a count, which is at most max.
func (d *decoder) size(max int) (int, error) {
	start := d.pos
	text, err := d.until(':', 12)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(text, 10, 40)
	if err != nil {
		d.pos = start
		return 0, d.fail("no length")
	}
	if n > uint64(max) {
		d.pos = start
		return 0, d.fail("length %d is more than the input holds", n)
	}
	return int(n), nil
}

func (d *decoder) float() (any, error) {
	start := d.pos
	text, err := d.until(';', 400)
	if err != nil {
		return nil, err
	}
	switch text {
	case "INF":
		return math.Inf(1), nil
	case "-INF":
		return math.Inf(-1), nil
	case "NAN":
		return math.NaN(), nil
	}
	f, err := strconv.ParseFloat(text, 64)
	// ParseFloat also knows words and hexadecimal digits. Out of range it gives
	// infinity or zero, which is what PHP makes of it.
	if strings.Trim(text, "0123456789+-.eE") != "" || err != nil && !math.IsInf(f, 0) {
		d.pos = start
		return nil, d.fail("no float")
	}
	return f, nil
}

// str reads `len:"bytes"`.
func (d *decoder) str() (string, error) {
	n, err := d.size(len(d.s) - d.pos)
	if err != nil {
		return "", err
	}
	if err := d.expect('"'); err != nil {
		return "", err
	}
	if n > len(d.s)-d.pos-1 {
		return "", d.fail("string of %d bytes is longer than the input", n)
	}
	s := d.s[d.pos : d.pos+n]
	d.pos += n
	return s, d.expect('"')
}

// key reads a key of an array or object: an integer or a string.
func (d *decoder) key() (Key, error) {
	if d.pos+1 >= len(d.s) || d.s[d.pos+1] != ':' {
		return Key{}, d.fail("no key")
	}
	switch d.s[d.pos] {
	case 'i':
		d.pos += 2
		i, err := d.integer(';')
		return IntKey(i), err
	case 's':
		d.pos += 2
		s, err := d.str()
		if err != nil {
			return Key{}, err
		}
		return Key{Str: s, IsStr: true}, d.expect(';')
	}
	return Key{}, d.fail("no key")
}
