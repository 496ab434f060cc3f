package phpserial

// slot is where a value stands: in an entry of arr, a property of obj, or,
// with neither, at the top. ref is the value itself if it is a pointer type.
type slot struct {
	arr *Array
	obj *Object
	i   int
	ref any
}

// adopt notes that v is the value of the newest slot, and returns its number.
func (d *decoder) adopt(v any) int {
	n := len(d.slots) - 1
	if d.track {
		d.slots[n].ref = v
	}
	return n
}

func (d *decoder) reference(hard bool) (any, error) {
	start := d.pos
	n, err := d.integer(';')
	if err != nil {
		return nil, err
	}
	last := int64(len(d.slots))
	if !hard {
		last-- // its own slot
	}
	d.pos, start = start, d.pos // errors point at the number
	if n < 1 || n > last {
		return nil, d.fail("reference to value %d of %d", n, max(last, 0))
	}
	if n > int64(d.custom) {
		return nil, d.fail("reference to value %d, past an object of its own format", n)
	}
	t := &d.slots[n-1]
	if !hard {
		if t.ref == nil || isArray(t.ref) {
			return nil, d.fail("reference to value %d, which is no object", n)
		}
		d.adopt(t.ref)
	} else if t.ref == nil || isArray(t.ref) {
		t.share()
	}
	d.pos = start
	if s, ok := t.ref.(*Shared); ok && !hard {
		return nil, d.fail("reference to value %d, which is no object", n)
	} else if ok {
		return &Ref{To: s, Hard: true}, nil
	}
	return &Ref{To: t.ref, Hard: hard}, nil
}

func isArray(v any) bool {
	_, ok := v.(*Array)
	return ok
}

// share wraps the value at t, an array or a scalar, where it stands. An array
// that is still being read is put there by close.
func (t *slot) share() {
	s := &Shared{Value: t.ref}
	switch {
	case t.arr != nil && t.i < len(t.arr.Entries):
		s.Value = t.arr.Entries[t.i].Value
		t.arr.Entries[t.i].Value = s
	case t.obj != nil && t.i < len(t.obj.Props):
		s.Value = t.obj.Props[t.i].Value
		t.obj.Props[t.i].Value = s
	}
	t.ref = s
}
