package think

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"unicode/utf8"

	"github.com/spoolq/spool/internal/phpjson"
)

// maxDepth is how deep PHP decodes JSON, the payload itself included.
const maxDepth = 512

// style is how JSON is written: as PHP's json_encode does without options.
type style struct {
	// arrays writes what is left after PHP has decoded to arrays and encoded
	// again: empty objects, and those whose keys are 0, 1, 2 …, become lists.
	arrays bool
}

// value appends v. Text that isn't UTF-8, and what PHP couldn't decode, is
// refused: it would not come back as it went in.
func (s style) value(dst []byte, v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return dst, err
	}
	if _, raw := v.(json.RawMessage); !utf8.Valid(buf.Bytes()) || !raw && bytes.Contains(buf.Bytes(), []byte(`\ufffd`)) {
		return dst, phpjson.ErrText
	}
	w := &rewriter{in: bytes.TrimSuffix(buf.Bytes(), []byte{'\n'}), out: dst, style: s}
	if err := w.value(1); err != nil {
		return dst, err
	}
	return w.out, nil
}

// rewriter walks compact, valid JSON and writes it in PHP's style.
type rewriter struct {
	in    []byte
	at    int
	out   []byte
	style style
}

func (w *rewriter) value(depth int) error {
	switch c := w.in[w.at]; c {
	case '{', '[':
		if depth >= maxDepth {
			return fmt.Errorf("data is nested deeper than PHP can decode (%d levels)", maxDepth)
		}
		if c == '{' {
			return w.object(depth)
		}
		return w.list(depth)
	case '"':
		_, err := w.text()
		return err
	case 't', 'f', 'n':
		n := len("true")
		if c == 'f' {
			n = len("false")
		}
		w.out = append(w.out, w.in[w.at:w.at+n]...)
		w.at += n
		return nil
	}
	return w.number()
}

func (w *rewriter) list(depth int) error {
	w.out = append(w.out, '[')
	for w.at++; w.in[w.at] != ']'; {
		if w.in[w.at] == ',' {
			w.out = append(w.out, ',')
			w.at++
		}
		if err := w.value(depth + 1); err != nil {
			return err
		}
	}
	w.at++
	w.out = append(w.out, ']')
	return nil
}

func (w *rewriter) object(depth int) error {
	start := len(w.out)
	var values []byte // the same as a list, as long as it may be one
	asList, n := w.style.arrays, 0
	w.out = append(w.out, '{')
	for w.at++; w.in[w.at] != '}'; n++ {
		if w.in[w.at] == ',' {
			w.out = append(w.out, ',')
			values = append(values, ',')
			w.at++
		}
		key, err := w.text()
		if err != nil {
			return err
		}
		asList = asList && key == strconv.Itoa(n)
		w.out = append(w.out, ':')
		w.at++
		from := len(w.out)
		if err := w.value(depth + 1); err != nil {
			return err
		}
		if asList {
			values = append(values, w.out[from:]...)
		}
	}
	w.at++
	if !asList {
		w.out = append(w.out, '}')
		return nil
	}
	w.out = append(append(append(w.out[:start], '['), values...), ']')
	return nil
}

var errSurrogate = errors.New("text holds half of a character (a lone surrogate), which PHP can't decode")

// text writes the string at hand and returns it decoded.
func (w *rewriter) text() (string, error) {
	end := w.at + 1
	escaped := false
	for ; w.in[end] != '"'; end++ {
		if w.in[end] == '\\' {
			escaped = true
			end++
		}
	}
	quoted := w.in[w.at : end+1]
	w.at = end + 1
	s := string(quoted[1 : len(quoted)-1])
	if escaped {
		if err := json.Unmarshal(quoted, &s); err != nil {
			return "", err
		}
		// Decoding puts U+FFFD for a lone surrogate.
		if bytes.Count(quoted, []byte("\ufffd"))+bytes.Count(bytes.ToLower(quoted), []byte(`\ufffd`)) < bytes.Count([]byte(s), []byte("\ufffd")) {
			return "", errSurrogate
		}
	}
	w.out = appendText(w.out, s)
	return s, nil
}

// appendText appends s, which is UTF-8, as a JSON string in PHP's style.
func appendText(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	unit := func(u rune) {
		dst = append(dst, '\\', 'u', hex[u>>12&15], hex[u>>8&15], hex[u>>4&15], hex[u&15])
	}
	dst = append(dst, '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\' || r == '/':
			dst = append(dst, '\\', byte(r))
		case r >= ' ' && r < utf8.RuneSelf:
			dst = append(dst, byte(r))
		case r == '\b':
			dst = append(dst, '\\', 'b')
		case r == '\f':
			dst = append(dst, '\\', 'f')
		case r == '\n':
			dst = append(dst, '\\', 'n')
		case r == '\r':
			dst = append(dst, '\\', 'r')
		case r == '\t':
			dst = append(dst, '\\', 't')
		case r > 0xffff:
			unit(0xd800 + (r-0x10000)>>10)
			unit(0xdc00 + (r-0x10000)&0x3ff)
		default:
			unit(r)
		}
	}
	return append(dst, '"')
}

// number writes the number at hand: integers as they are, as far as PHP has
// them; everything else as PHP writes a float.
func (w *rewriter) number() error {
	end := w.at
	whole := true
	for end < len(w.in) && w.in[end] != ',' && w.in[end] != ']' && w.in[end] != '}' {
		whole = whole && w.in[end] != '.' && w.in[end] != 'e' && w.in[end] != 'E'
		end++
	}
	token := string(w.in[w.at:end])
	w.at = end
	f, err := strconv.ParseFloat(token, 64)
	if err != nil {
		return fmt.Errorf("the number %.40s is too large for PHP", token)
	}
	if f == 0 && w.style.arrays {
		w.out = append(w.out, '0') // it writes -0, which it reads as the integer 0
		return nil
	}
	if _, err := strconv.ParseInt(token, 10, 64); whole && err == nil {
		w.out = append(w.out, token...)
		return nil
	}
	w.out = appendFloat(w.out, f)
	return nil
}

// appendFloat appends f as PHP does with serialize_precision -1: the shortest
// digits that read back, an exponent from 1.0e-5 down and from 1.0e+17 up.
func appendFloat(dst []byte, f float64) []byte {
	if f == 0 {
		if math.Signbit(f) {
			dst = append(dst, '-')
		}
		return append(dst, '0')
	}
	sci := strconv.AppendFloat(nil, f, 'e', -1, 64)
	mantissa, power, _ := bytes.Cut(sci, []byte{'e'})
	exp, _ := strconv.Atoi(string(power)) // what AppendFloat wrote
	if exp >= -4 && exp < 17 {
		return strconv.AppendFloat(dst, f, 'f', -1, 64)
	}
	dst = append(dst, mantissa...)
	if !bytes.Contains(mantissa, []byte{'.'}) {
		dst = append(dst, '.', '0')
	}
	dst = append(dst, 'e')
	if exp > 0 {
		dst = append(dst, '+')
	}
	return strconv.AppendInt(dst, int64(exp), 10)
}
