// Package phpjson writes and reads JSON the way Laravel's payloads need it:
// written as PHP's json_encode does with unescaped unicode, and read key by
// key without disturbing the bytes of the values.
//
// It imports only the standard library; the payload formats share it.
package phpjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
)

// ErrText is returned for text that isn't valid UTF-8 and so would not come
// back as it went in.
var ErrText = errors.New("text is not valid UTF-8: store binary data as []byte (base64) instead")

// Append appends v as json_encode(v, JSON_UNESCAPED_UNICODE) would write it:
// slashes escaped, letters beyond ASCII as they are, nothing escaped for HTML.
func Append(dst []byte, v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return dst, err
	}
	b := bytes.TrimSuffix(buf.Bytes(), []byte{'\n'})
	_, raw := v.(json.RawMessage)
	return appendSlashed(dst, b, !raw)
}

// appendSlashed copies valid JSON, escaping the slashes that are not escaped
// yet. A replacement character in escaped form is what encoding/json writes
// for invalid UTF-8; with strict it is refused.
func appendSlashed(dst, b []byte, strict bool) ([]byte, error) {
	start := 0
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '\\':
			if strict && bytes.HasPrefix(b[i:], []byte(`\ufffd`)) {
				return dst, ErrText
			}
			i++
		case '/':
			dst = append(dst, b[start:i]...)
			dst = append(dst, '\\', '/')
			start = i + 1
		}
	}
	return append(dst, b[start:]...), nil
}

// AppendString appends s as a JSON string in the same style.
func AppendString(dst []byte, s string) ([]byte, error) {
	plain := true
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < ' ' || c >= 0x7f || c == '"' || c == '\\' || c == '/' {
			plain = false
			break
		}
	}
	if plain {
		dst = append(dst, '"')
		dst = append(dst, s...)
		return append(dst, '"'), nil
	}
	return Append(dst, s)
}

// Fields calls fn with each key of the JSON object b, the offset of its value
// and the bytes of the value, which share b's memory. It returns an error if b
// is not valid JSON or not an object; fn's error ends the walk.
func Fields(b []byte, fn func(key string, at int, value []byte) error) error {
	if !json.Valid(b) {
		var v any
		return fmt.Errorf("not JSON: %w", json.Unmarshal(b, &v))
	}
	if !utf8.Valid(b) {
		return errors.New("not JSON: it is not UTF-8")
	}
	i := skipSpace(b, 0)
	if b[i] != '{' {
		return errors.New("JSON, but not an object")
	}
	i = skipSpace(b, i+1)
	for b[i] != '}' {
		end := stringEnd(b, i)
		key, err := unquote(b[i:end])
		if err != nil {
			return err
		}
		i = skipSpace(b, skipSpace(b, end)+1) // past the colon
		end = valueEnd(b, i)
		if err := fn(key, i, b[i:end:end]); err != nil {
			return err
		}
		if i = skipSpace(b, end); b[i] == ',' {
			i = skipSpace(b, i+1)
		}
	}
	return nil
}

// unquote decodes a JSON string, quotes included.
func unquote(b []byte) (string, error) {
	if in := b[1 : len(b)-1]; bytes.IndexByte(in, '\\') < 0 {
		return string(in), nil
	}
	var s string
	err := json.Unmarshal(b, &s)
	return s, err
}

func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\t' || b[i] == '\r') {
		i++
	}
	return i
}

// stringEnd returns the index after the string that begins at i. b is valid.
func stringEnd(b []byte, i int) int {
	for i++; b[i] != '"'; i++ {
		if b[i] == '\\' {
			i++
		}
	}
	return i + 1
}

// valueEnd returns the index after the value that begins at i. b is valid.
func valueEnd(b []byte, i int) int {
	switch b[i] {
	case '"':
		return stringEnd(b, i)
	case '{', '[':
		for depth := 0; ; i++ {
			switch b[i] {
			case '"':
				i = stringEnd(b, i) - 1
			case '{', '[':
				depth++
			case '}', ']':
				if depth--; depth == 0 {
					return i + 1
				}
			}
		}
	}
	for i < len(b) && b[i] != ',' && b[i] != '}' && b[i] != ']' && b[i] > ' ' {
		i++
	}
	return i
}
