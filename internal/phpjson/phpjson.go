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
