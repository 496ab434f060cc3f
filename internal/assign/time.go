package assign

import (
	"encoding/json"
	"math"
	"strconv"
	"time"
)

// layouts are the texts of a time that PHP applications write, beside RFC
// 3339: those of SQL columns and of date().
var layouts = []string{
	time.RFC3339Nano,
	"2006-01-02 15:04:05.999999999",
	"2006-01-02T15:04:05.999999999",
	"2006-01-02 15:04:05.999999999Z07:00",
	"2006-01-02T15:04:05.999999999Z0700",
	"2006-01-02 15:04",
	"2006-01-02",
}

func readTime(src any) (time.Time, error) {
	switch s := src.(type) {
	case string:
		return parseTime(s)
	case Raw:
		return parseTime(string(s))
	case int64:
		return time.Unix(s, 0).UTC(), nil
	case float64:
		return unixTime(s)
	case json.Number:
		if i, err := strconv.ParseInt(string(s), 10, 64); err == nil {
			return time.Unix(i, 0).UTC(), nil
		}
		f, err := s.Float64()
		if err != nil {
			return time.Time{}, fail("%s is no time", s)
		}
		return unixTime(f)
	}
	if n := nodeOf(src); n != nil {
		t, ok, err := dateTime(n)
		if ok || err != nil {
			return t, err
		}
		return time.Time{}, fail("%s is no time", describe(n))
	}
	return time.Time{}, fail("a bool is no time")
}

func parseTime(s string) (time.Time, error) {
	for _, l := range layouts {
		if t, err := time.Parse(l, s); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fail("%.40q is no time", s)
}

// unixTime reads seconds with a fraction, kept to the microsecond.
func unixTime(f float64) (time.Time, error) {
	if math.IsNaN(f) || math.Abs(f) > 1<<40 {
		return time.Time{}, fail("%v is no time", f)
	}
	return time.UnixMicro(int64(math.Round(f * 1e6))).UTC(), nil
}

// dateTime reads what PHP's DateTime and its children (Carbon) serialize: the
// local time, and a zone given as an offset (type 1), an abbreviation (2) or a
// name (3). ok is false if n is something else.
func dateTime(n Node) (t time.Time, ok bool, err error) {
	var date, zone string
	var have int
	for i := range n.Len() {
		name, v := n.At(i)
		text, isText := textOf(v)
		switch {
		case name == "date" && isText:
			date = text
			have++
		case name == "timezone" && isText:
			zone = text
			have++
		case name == "timezone_type" && isNumber(v):
			have++
		}
	}
	if have != 3 {
		return time.Time{}, false, nil
	}
	loc, err := location(zone)
	if err != nil {
		return time.Time{}, true, err
	}
	t, err = time.ParseInLocation("2006-01-02 15:04:05.999999", date, loc)
	if err != nil {
		return time.Time{}, true, fail("%.40q is no time", date)
	}
	return t, true, nil
}

func location(zone string) (*time.Location, error) {
	if zone == "UTC" || zone == "Z" || zone == "+00:00" {
		return time.UTC, nil
	}
	if t, err := time.Parse("-07:00", zone); err == nil {
		_, offset := t.Zone()
		return time.FixedZone("", offset), nil
	}
	if zone != "" && zone != "Local" {
		if loc, err := time.LoadLocation(zone); err == nil {
			return loc, nil
		}
	}
	return nil, fail("time zone %.40q is unknown here; zone names need the system's zone files, or import _ \"time/tzdata\"", zone)
}
