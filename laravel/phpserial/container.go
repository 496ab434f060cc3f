package phpserial

import "strings"

// minEntry is the length of the shortest entry, `i:0;N;`.
const minEntry = 6

// open reads `count:{` and returns the count.
func (d *decoder) open() (int, error) {
	if d.depth--; d.depth < 0 {
		return 0, d.fail("nested too deep")
	}
	n, err := d.size((len(d.s) - d.pos) / minEntry)
	if err != nil {
		return 0, err
	}
	if n > d.values {
		return 0, d.fail("too many values")
	}
	return n, d.expect('{')
}

// close reads "}" and returns the value to be stored for the container with
// the given slot: a reference from within may have wrapped it.
func (d *decoder) close(slot int, v any) (any, error) {
	d.depth++
	if d.track {
		if s, ok := d.slots[slot].ref.(*Shared); ok {
			v = s
		}
	}
	return v, d.expect('}')
}

// firstEntries is how much room a container gets before its first entry is
// read: a count is only a claim, and nested ones would add up.
const firstEntries = 16

func (d *decoder) array() (any, error) {
	n, err := d.open()
	if err != nil {
		return nil, err
	}
	a := new(Array)
	if n > 0 {
		a.Entries = make([]Entry, 0, min(n, firstEntries))
	}
	slotNo := d.adopt(a)
	for i := range n {
		k, err := d.key()
		if err != nil {
			return nil, err
		}
		if k.IsStr {
			k = StrKey(k.Str)
		}
		v, err := d.value(slot{arr: a, i: i})
		if err != nil {
			return nil, err
		}
		a.Entries = append(a.Entries, Entry{k, v})
	}
	return d.close(slotNo, a)
}

// class reads `len:"Class"`, followed by end.
func (d *decoder) class(end byte) (string, error) {
	start := d.pos
	s, err := d.str()
	if err != nil {
		return "", err
	}
	if s == "" || strings.IndexByte(s, 0) >= 0 {
		d.pos = start
		return "", d.fail("no class name")
	}
	return s, d.expect(end)
}

func (d *decoder) object() (any, error) {
	class, err := d.class(':')
	if err != nil {
		return nil, err
	}
	n, err := d.open()
	if err != nil {
		return nil, err
	}
	o := &Object{Class: class}
	if n > 0 {
		o.Props = make([]Prop, 0, min(n, firstEntries))
	}
	slotNo := d.adopt(o)
	for i := range n {
		p, err := d.prop()
		if err != nil {
			return nil, err
		}
		if p.Value, err = d.value(slot{obj: o, i: i}); err != nil {
			return nil, err
		}
		o.Props = append(o.Props, p)
	}
	return d.close(slotNo, o)
}

// prop reads the name of a property: "name", "\0*\0name" or "\0Class\0name".
func (d *decoder) prop() (Prop, error) {
	start := d.pos
	k, err := d.key()
	switch {
	case err != nil:
		return Prop{}, err
	case !k.IsStr:
		return Prop{Name: k.String(), Index: true}, nil
	case k.Str == "" || k.Str[0] != 0:
		return Prop{Name: k.Str}, nil
	}
	class, name, ok := strings.Cut(k.Str[1:], "\x00")
	if !ok || class == "" {
		d.pos = start
		return Prop{}, d.fail("no property name")
	}
	if class == "*" {
		return Prop{Name: name, Visibility: Protected}, nil
	}
	return Prop{Name: name, Visibility: Private, Class: class}, nil
}

func (d *decoder) enum() (any, error) {
	start := d.pos
	name, err := d.class(';')
	if err != nil {
		return nil, err
	}
	class, c, ok := strings.Cut(name, ":")
	if !ok || class == "" || c == "" {
		d.pos = start
		return nil, d.fail("no enum case")
	}
	e := &Enum{class, c}
	d.adopt(e)
	return e, nil
}

func (d *decoder) customObject() (any, error) {
	class, err := d.class(':')
	if err != nil {
		return nil, err
	}
	n, err := d.size(len(d.s) - d.pos)
	if err != nil {
		return nil, err
	}
	if err := d.expect('{'); err != nil {
		return nil, err
	}
	if n > len(d.s)-d.pos-1 {
		return nil, d.fail("object of %d bytes is longer than the input", n)
	}
	c := &Custom{class, d.s[d.pos : d.pos+n]}
	d.pos += n
	d.adopt(c)
	d.custom = min(d.custom, len(d.slots))
	return c, d.expect('}')
}
