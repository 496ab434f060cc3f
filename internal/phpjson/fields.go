package phpjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
)

// Fields calls fn with each key of the JSON object b, the offset of its value
// and the bytes of the value, which share b's memory. It returns an error if b
// is not valid JSON or not an object; fn's error ends the walk. Where b turns
// out to be invalid, fn may have been called with what came before.
func Fields(b []byte, fn func(key string, at int, value []byte) error) error {
	if !utf8.Valid(b) {
		return errors.New("not JSON: it is not UTF-8")
	}
	i := skipSpace(b, 0)
	if i >= len(b) || b[i] != '{' {
		if json.Valid(b) {
			return errors.New("JSON, but not an object")
		}
		return invalid(b)
	}
	end, err := fields(b, i, fn)
	if err != nil {
		return err
	}
	if end < 0 || skipSpace(b, end) != len(b) {
		return invalid(b)
	}
	return nil
}

// fields walks the object that begins at i and returns the index after it,
// negative if it is invalid.
func fields(b []byte, i int, fn func(key string, at int, value []byte) error) (int, error) {
	i = skipSpace(b, i+1)
	if i < len(b) && b[i] == '}' {
		return i + 1, nil
	}
	for {
		from := i
		at := member(b, from)
		if at < 0 {
			return -1, nil
		}
		end := valueEnd(b, at, 1)
		if end < 0 {
			return -1, nil
		}
		key, err := unquote(b[from:stringEnd(b, from)])
		if err == nil {
			err = fn(key, at, b[at:end:end])
		}
		if err != nil {
			return -1, err
		}
		if i = skipSpace(b, end); i >= len(b) {
			return -1, nil
		}
		switch b[i] {
		case '}':
			return i + 1, nil
		case ',':
			i = skipSpace(b, i+1)
		default:
			return -1, nil
		}
	}
}

// invalid says in encoding/json's words why b is not JSON.
func invalid(b []byte) error {
	var v any
	err := json.Unmarshal(b, &v)
	if err == nil {
		err = errors.New("cannot be read")
	}
	return fmt.Errorf("not JSON: %w", err)
}

// unquote decodes a JSON string, quotes included.
func unquote(b []byte) (string, error) {
	if in := b[1 : len(b)-1]; bytes.IndexByte(in, '\\') < 0 {
		return name(in), nil
	}
	var s string
	err := json.Unmarshal(b, &s)
	return s, err
}

// name returns a key as a string. Those that every payload has cost nothing.
func name(b []byte) string {
	for _, known := range [...]string{
		"uuid", "displayName", "job", "maxTries", "maxExceptions", "failOnTimeout", "backoff", "timeout",
		"data", "createdAt", "id", "attempts", "delay", "retryUntil", "commandName", "command",
	} {
		if string(b) == known {
			return known
		}
	}
	return string(b)
}
