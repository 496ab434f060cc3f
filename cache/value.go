package cache

import (
	"fmt"
	"math"
	"strconv"

	"github.com/spoolq/spool/laravel/phpserial"
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
	}
	n, err := integer(value)
	if err != nil {
		return "", err
	}
	return strconv.FormatInt(n, 10), nil
}

// Serialize renders a value as PHP's serialize() does, the form that Laravel's
// file and SQL stores keep, and its Redis store for all but numbers.
func Serialize(value any) (string, error) {
	switch value.(type) {
	case string, bool:
		return phpserial.Encode(value)
	}
	n, err := integer(value)
	if err != nil {
		return "", err
	}
	return phpserial.Encode(n)
}

func integer(value any) (int64, error) {
	switch v := value.(type) {
	case int:
		return int64(v), nil
	case int8:
		return int64(v), nil
	case int16:
		return int64(v), nil
	case int32:
		return int64(v), nil
	case int64:
		return v, nil
	case uint8:
		return int64(v), nil
	case uint16:
		return int64(v), nil
	case uint32:
		return int64(v), nil
	case uint:
		if v <= math.MaxInt64 {
			return int64(v), nil
		}
	case uint64:
		if v <= math.MaxInt64 {
			return int64(v), nil
		}
	}
	return 0, fmt.Errorf("cache: a value of type %T can't be stored: use a string, a bool or an integer of up to 63 bits", value)
}

// Unserialize renders PHP-serialized text as [Store.Many] returns it; ok is
// false for PHP's null and for text that is cut off or not serialized at all.
// An array or an object is returned as it stands.
func Unserialize(stored string) (text string, ok bool) {
	value, err := phpserial.Decode(stored, nil)
	if err != nil || value == nil {
		return "", false
	}
	switch v := value.(type) {
	case string, bool, int64:
		text, err = Text(v)
		return text, err == nil
	case float64:
		return string(phpserial.AppendFloat(nil, v)), true
	}
	return stored, true
}
