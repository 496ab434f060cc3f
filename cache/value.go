package cache

import (
	"fmt"
	"strconv"
	"strings"
)

// Text renders a value as [Store.Many] returns it: integers in decimal, true
// as "1", false as "", strings as they are. Other types are an error.
func Text(value any) (string, error) {
	switch v := value.(type) {
	case string:
		return v, nil
	case bool:
		if v {
			return "1", nil
		}
		return "", nil
	case int, int8, int16, int32, int64, uint8, uint16, uint32:
		return fmt.Sprint(v), nil
	case uint, uint64:
		if s := fmt.Sprint(v); len(s) < 19 || len(s) == 19 && s <= "9223372036854775807" {
			return s, nil
		}
	}
	return "", fmt.Errorf("cache: a value of type %T can't be stored: use a string, a bool or an integer of up to 63 bits", value)
}

// Serialize renders a value as PHP's serialize() does, the form that Laravel's
// file and SQL stores keep, and its Redis store for all but numbers.
func Serialize(value any) (string, error) {
	text, err := Text(value)
	if err != nil {
		return "", err
	}
	switch value.(type) {
	case string:
		return "s:" + strconv.Itoa(len(text)) + `:"` + text + `";`, nil
	case bool:
		if text == "" {
			return "b:0;", nil
		}
		return "b:1;", nil
	}
	return "i:" + text + ";", nil
}

// Unserialize renders PHP-serialized text as [Store.Many] returns it; ok is
// false for PHP's null and for text that is cut off or not serialized at all.
// An array or an object is returned as it stands.
func Unserialize(stored string) (text string, ok bool) {
	if len(stored) < 4 || stored[1] != ':' {
		return "", false
	}
	body, closed := strings.CutSuffix(stored[2:], ";")
	switch stored[0] {
	case 'i', 'd':
		return body, closed && body != ""
	case 'b':
		if body == "0" {
			body = ""
		}
		return body, closed && (body == "" || body == "1")
	case 's':
		size, rest, found := strings.Cut(body, ":")
		n, err := strconv.Atoi(size)
		if !closed || !found || err != nil || n < 0 || len(rest) != n+2 || rest[0] != '"' || rest[n+1] != '"' {
			return "", false
		}
		return rest[1 : n+1], true
	case 'a', 'O', 'C', 'E':
		return stored, closed || strings.HasSuffix(body, "}")
	}
	return "", false
}
