package assign

import (
	"encoding/json"
	"math"
	"strconv"
	"time"
	"unicode/utf8"
)

// maxRendered is the most that Render makes of one tree, in bytes.
const maxRendered = 64 << 20

// Render returns the tree as JSON. Times (DateTime, Carbon) become RFC 3339
// text, other objects their properties, whatever their class; bytes that are
// not UTF-8 become U+FFFD; NAN and INF, which JSON doesn't have, become text.
func Render(src any) ([]byte, error) {
	return render(nil, src, new(walk))
}

func render(dst []byte, src any, w *walk) ([]byte, error) {
	if err := w.spend(1); err != nil {
		return nil, err
	}
	if len(dst) > maxRendered {
		return nil, fail("the references of this value unfold to too much data")
	}
	switch s := src.(type) {
	case nil:
		return append(dst, "null"...), nil
	case bool:
		return strconv.AppendBool(dst, s), nil
	case int64:
		return strconv.AppendInt(dst, s, 10), nil
	case float64:
		return renderFloat(dst, s), nil
	case json.Number:
		return append(dst, s...), nil
	case string:
		return renderString(dst, s), nil
	case Raw:
		return renderString(dst, string(s)), nil
	}
	n := nodeOf(src)
	if n == nil {
		return nil, fail("no JSON for a %T", src)
	}
	if n.Class() != "" {
		if t, ok, err := dateTime(n); ok && err == nil {
			return append(t.AppendFormat(append(dst, '"'), time.RFC3339Nano), '"'), nil
		}
	}
	if w.circle(src) {
		return append(dst, "null"...), nil
	}
	if err := w.enter(n); err != nil {
		return nil, err
	}
	defer w.leave()
	return renderNode(dst, n, w)
}

func renderNode(dst []byte, n Node, w *walk) ([]byte, error) {
	asList := n.List() && n.Class() == ""
	brackets := "{}"
	if asList {
		brackets = "[]"
	}
	dst = append(dst, brackets[0])
	for i := range n.Len() {
		if i > 0 {
			dst = append(dst, ',')
		}
		name, v := n.At(i)
		if !asList {
			dst = append(renderString(dst, name), ':')
		}
		var err error
		if dst, err = render(dst, v, w); err != nil {
			return nil, within(name, err)
		}
	}
	return append(dst, brackets[1]), nil
}

func renderFloat(dst []byte, f float64) []byte {
	switch {
	case math.IsNaN(f):
		return append(dst, `"NAN"`...)
	case math.IsInf(f, 1):
		return append(dst, `"INF"`...)
	case math.IsInf(f, -1):
		return append(dst, `"-INF"`...)
	}
	format := byte('f')
	if a := math.Abs(f); a != 0 && (a < 1e-6 || a >= 1e21) {
		format = 'e'
	}
	return strconv.AppendFloat(dst, f, format, -1, 64)
}

func renderString(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		size := 1
		if c >= utf8.RuneSelf {
			var r rune
			if r, size = utf8.DecodeRuneInString(s[i:]); r != utf8.RuneError || size > 1 {
				i += size
				continue
			}
		}
		dst = append(dst, s[start:i]...)
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c == '\n':
			dst = append(dst, '\\', 'n')
		case c >= utf8.RuneSelf:
			dst = append(dst, "\ufffd"...)
		default:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
		i += size
		start = i
	}
	return append(append(dst, s[start:]...), '"')
}
