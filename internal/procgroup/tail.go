package procgroup

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// Tail is a writer that keeps the last bytes written to it. It is not safe
// for concurrent use.
type Tail struct {
	buf  []byte // a ring once it is full
	at   int    // where the next byte goes
	full bool
}

// NewTail returns a Tail that keeps size bytes.
func NewTail(size int) *Tail { return &Tail{buf: make([]byte, max(size, 1))} }

// Write keeps the end of b. It never fails.
func (t *Tail) Write(b []byte) (int, error) {
	n := len(b)
	if len(b) >= len(t.buf) {
		copy(t.buf, b[len(b)-len(t.buf):])
		t.at, t.full = 0, true
		return n, nil
	}
	k := copy(t.buf[t.at:], b)
	if k < len(b) {
		copy(t.buf, b[k:])
	}
	if t.at += len(b); t.at >= len(t.buf) {
		t.at -= len(t.buf)
		t.full = true
	}
	return n, nil
}

// Bytes returns a copy of what was kept.
func (t *Tail) Bytes() []byte {
	if !t.full {
		return bytes.Clone(t.buf[:t.at])
	}
	return append(bytes.Clone(t.buf[t.at:]), t.buf[:t.at]...)
}

// Text returns what was kept as text for a message: valid UTF-8 without
// control characters other than line breaks and tabs, trimmed, with an
// ellipsis where its beginning is missing.
func (t *Tail) Text() string {
	b := t.Bytes()
	if t.full {
		for len(b) > 0 && !utf8.RuneStart(b[0]) {
			b = b[1:] // the rest of a character that was cut
		}
	}
	s := strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' && r != '\t' || r == 0x7f {
			return -1
		}
		return r
	}, strings.ToValidUTF8(string(b), "\uFFFD"))
	if s = strings.TrimSpace(s); t.full {
		return "…" + s
	}
	return s
}
