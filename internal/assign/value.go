package assign

import (
	"encoding"
	"encoding/base64"
	"encoding/json"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// assigner stores one tree.
type assigner struct {
	walk
	php bool
}

// value stores src in dst, which can be set.
func (a *assigner) value(dst reflect.Value, src any) error {
	if err := a.spend(1); err != nil {
		return err
	}
	if src == nil || a.circle(src) {
		dst.SetZero()
		return nil
	}
	if dst.Kind() == reflect.Pointer {
		p := reflect.New(dst.Type().Elem())
		if err := a.value(p.Elem(), src); err != nil {
			return err
		}
		dst.Set(p)
		return nil
	}
	if done, err := a.custom(dst, src); done {
		return err
	}
	if n := nodeOf(src); n != nil {
		if err := a.enter(n); err != nil {
			return err
		}
		defer a.leave()
		return a.node(dst, n)
	}
	return a.scalar(dst, src)
}

// custom stores in types that know how to decode themselves.
func (a *assigner) custom(dst reflect.Value, src any) (done bool, err error) {
	if !dst.CanAddr() || !dst.Addr().CanInterface() {
		return false, nil
	}
	switch p := dst.Addr().Interface().(type) {
	case *time.Time:
		t, err := readTime(src)
		if err == nil {
			*p = t
		}
		return true, err
	case json.Unmarshaler:
		text, err := render(nil, src, &a.walk)
		if err == nil {
			if err = p.UnmarshalJSON(text); err != nil {
				err = fail("%v", err)
			}
		}
		return true, err
	case encoding.TextUnmarshaler:
		text, ok := textOf(src)
		if !ok {
			return true, mismatch(src, dst)
		}
		if err := p.UnmarshalText([]byte(text)); err != nil {
			return true, fail("%v", err)
		}
		return true, nil
	}
	return false, nil
}

func textOf(src any) (string, bool) {
	switch s := src.(type) {
	case string:
		return s, true
	case Raw:
		return string(s), true
	}
	return "", false
}

func (a *assigner) scalar(dst reflect.Value, src any) error {
	switch dst.Kind() {
	case reflect.Interface:
		if dst.NumMethod() > 0 {
			return mismatch(src, dst)
		}
		v, err := a.natural(src)
		if err == nil {
			dst.Set(reflect.ValueOf(v))
		}
		return err
	case reflect.Bool:
		b, ok := src.(bool)
		if !ok {
			return mismatch(src, dst)
		}
		dst.SetBool(b)
		return nil
	case reflect.String:
		return setString(dst, src)
	case reflect.Slice:
		return a.setBytes(dst, src)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return setInteger(dst, src)
	case reflect.Float32, reflect.Float64:
		return setFloat(dst, src)
	}
	return mismatch(src, dst)
}

func setString(dst reflect.Value, src any) error {
	s, ok := textOf(src)
	if !ok {
		if dst.Type() != reflect.TypeFor[json.Number]() || !isNumber(src) {
			return mismatch(src, dst)
		}
		s = numberText(src)
	}
	dst.SetString(s)
	return nil
}

// setBytes takes the bytes of a PHP string as they are; in JSON they are
// base64, as for encoding/json.
func (a *assigner) setBytes(dst reflect.Value, src any) error {
	if dst.Type().Elem().Kind() != reflect.Uint8 {
		return mismatch(src, dst)
	}
	var b []byte
	switch s := src.(type) {
	case Raw:
		b = []byte(s)
	case string:
		var err error
		if b, err = base64.StdEncoding.DecodeString(s); err != nil {
			return fail("no base64: %v", err)
		}
	default:
		return mismatch(src, dst)
	}
	if err := a.spend(len(b) / 16); err != nil {
		return err
	}
	dst.SetBytes(b)
	return nil
}

func isNumber(src any) bool {
	switch src.(type) {
	case int64, float64, json.Number:
		return true
	}
	return false
}

func numberText(src any) string {
	switch n := src.(type) {
	case int64:
		return strconv.FormatInt(n, 10)
	case float64:
		return strconv.FormatFloat(n, 'g', -1, 64)
	case json.Number:
		return string(n)
	}
	return ""
}

func setInteger(dst reflect.Value, src any) error {
	if !isNumber(src) {
		return mismatch(src, dst)
	}
	digits, ok := exactInteger(numberText(src))
	if !ok {
		return fail("%s is no whole number", numberText(src))
	}
	if dst.CanInt() {
		n, err := strconv.ParseInt(digits, 10, dst.Type().Bits())
		if err != nil {
			return fail("%s doesn't fit %s", digits, dst.Type())
		}
		dst.SetInt(n)
		return nil
	}
	n, err := strconv.ParseUint(digits, 10, dst.Type().Bits())
	if err != nil {
		return fail("%s doesn't fit %s", digits, dst.Type())
	}
	dst.SetUint(n)
	return nil
}

// exactInteger returns the digits of the integer that a number's text means,
// exactly; ok is false for fractions and what no Go integer can hold.
func exactInteger(text string) (digits string, ok bool) {
	mantissa, exp := text, 0
	if i := strings.IndexAny(text, "eE"); i >= 0 {
		e, err := strconv.Atoi(text[i+1:])
		if err != nil || e > 40 || e < -400 {
			return "", false
		}
		mantissa, exp = text[:i], e
	}
	sign := ""
	if strings.HasPrefix(mantissa, "-") {
		sign, mantissa = "-", mantissa[1:]
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	all := whole + fraction
	switch point := len(whole) + exp; {
	case strings.Trim(all, "0123456789") != "" || all == "":
		return "", false
	case strings.Trim(all, "0") == "":
		return "0", true
	case point > len(all):
		all += strings.Repeat("0", point-len(all))
	case point <= 0 || strings.Trim(all[point:], "0") != "":
		return "", false
	default:
		all = all[:point]
	}
	return sign + all, true
}

func setFloat(dst reflect.Value, src any) error {
	var f float64
	switch n := src.(type) {
	case int64:
		f = float64(n)
	case float64:
		f = n
	case json.Number:
		var err error
		if f, err = strconv.ParseFloat(string(n), 64); err != nil {
			return fail("%s doesn't fit %s", n, dst.Type())
		}
	default:
		return mismatch(src, dst)
	}
	if !math.IsInf(f, 0) && dst.OverflowFloat(f) {
		return fail("%v doesn't fit %s", f, dst.Type())
	}
	dst.SetFloat(f)
	return nil
}

// mismatch says what stands where something else was expected.
func mismatch(src any, dst reflect.Value) error {
	what := "a string"
	switch s := src.(type) {
	case bool:
		what = "a bool"
	case int64, float64, json.Number:
		what = "a number"
	default:
		if n := nodeOf(s); n != nil {
			what = describe(n)
		}
	}
	return fail("%s doesn't fit %s", what, dst.Type())
}

func describe(n Node) string {
	switch {
	case n.Class() != "":
		return "an object of class " + n.Class()
	case n.List():
		return "a list"
	}
	return "a map"
}
