package schedule

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/adhocore/gronx"
)

// times are the moments at which an entry is due, on whole seconds.
type times interface {
	// next returns the first moment after another one, zero if there is none.
	next(after time.Time, zone *time.Location) time.Time
	String() string
}

// latest returns the last moments, at most so many, after one and up to another,
// in order. There must be one.
func latest(when times, zone *time.Location, after, upTo time.Time, most int) []time.Time {
	for span := time.Minute; ; span *= 4 {
		from := upTo.Add(-span)
		all := from.Before(after)
		if all {
			from = after
		}
		var found []time.Time
		for t := when.next(from, zone); !t.IsZero() && !t.After(upTo); t = when.next(t, zone) {
			found = append(found, t)
		}
		if all || len(found) >= most {
			return found[max(0, len(found)-most):]
		}
	}
}

// at is one moment.
type at struct{ time.Time }

func (a at) next(after time.Time, _ *time.Location) time.Time {
	if a.After(after) {
		return a.Time
	}
	return time.Time{}
}

func (a at) String() string { return "at " + a.UTC().Format(time.RFC3339) }

// every is a number of seconds.
type every time.Duration

func (e every) next(after time.Time, zone *time.Location) time.Time {
	d, s := int64(time.Duration(e)/time.Second), after.Unix()
	n := s / d
	if s < 0 && s%d != 0 {
		n--
	}
	return time.Unix((n+1)*d, 0).In(zone)
}

func (e every) String() string {
	text := time.Duration(e).String()
	for _, zero := range []string{"m0s", "h0m"} {
		if s, ok := strings.CutSuffix(text, zero); ok {
			text = s + zero[:1]
		}
	}
	return "every " + text
}

// cron is an expression. The library finds moments on a clock that is never
// changed; what is made of them where clocks are, is decided here.
type cron struct {
	expr   string
	hourly bool // its hour is *
}

func (c cron) String() string { return c.expr }

// part is an element of a field's list, as far as its form goes: the library
// checks what it says only when it meets it.
var part = regexp.MustCompile(`^(\?|\*(/\d+)?|\w+(-\w+)?(/\d+)?|\w+#\d)$`)

var (
	lettered = regexp.MustCompile(`[A-Za-z_]`)
	monthDay = regexp.MustCompile(`^([lL]|\d+[wW])$`) // the letters of a day of the month
)

// shorthands stand for expressions.
var shorthands = map[string]string{
	"@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
	"@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
}

// fieldNames are those of the fields of an expression.
var fieldNames = []string{"minute", "hour", "day of the month", "month", "day of the week"}

// parseCron reads an expression.
func parseCron(expr string) (cron, error) {
	c := cron{expr: strings.Join(strings.Fields(expr), " ")}
	full := c.expr
	if strings.HasPrefix(full, "@") {
		var ok bool
		if full, ok = shorthands[strings.ToLower(full)]; !ok {
			return c, fmt.Errorf("cron %q: there is %s", c.expr, strings.Join(slices.Sorted(maps.Keys(shorthands)), ", "))
		}
	}
	fields := strings.Fields(full)
	if len(fields) != len(fieldNames) {
		return c, fmt.Errorf("cron %q has %d fields: want 5, minute, hour, day of the month, month, day of the week", c.expr, len(fields))
	}
	for i, f := range fields {
		for p := range strings.SplitSeq(f, ",") {
			if err := checkPart(i, p); err != nil {
				return c, fmt.Errorf("cron %q: %s %q: %w", c.expr, fieldNames[i], p, err)
			}
		}
	}
	c.expr, c.hourly = full, fields[1] == "*"
	if _, ok := c.wall(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC), true); !ok {
		return c, fmt.Errorf("cron %q: there is no such day", c.expr)
	}
	return c, nil
}

// checkPart checks an element of a field's list.
func checkPart(field int, p string) error {
	letters := lettered.MatchString(p)
	switch {
	case !part.MatchString(p):
		return errors.New("is neither *, a number, a range nor a step")
	case letters && field < 2, letters && field == 2 && !monthDay.MatchString(p), strings.Contains(p, "#") && field != 4:
		return errors.New("has letters or signs that mean nothing here")
	}
	all := []string{"0", "*", "*", "*", "*", "*"} // with a field of seconds
	all[field+1] = p
	segments, err := gronx.Segments(strings.Join(all, " "))
	if err != nil {
		return err
	}
	var c gronx.SegmentChecker
	c.SetRef(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC))
	if _, err = c.CheckDue(segments[field+1], field+1); err != nil {
		return errors.New("means nothing here, or is out of its range")
	}
	return nil
}

// wall returns the next moment, or this one, on a clock that is never changed.
func (c cron) wall(t time.Time, this bool) (time.Time, bool) {
	next, err := gronx.NextTickAfter(c.expr, t, this)
	return next, err == nil
}

// far is beyond any change of a clock.
const far = 48 * time.Hour

func (c cron) next(after time.Time, zone *time.Location) time.Time {
	t, this := after.Truncate(time.Second).In(zone), false
	for {
		offset := offsetAt(t)
		wall, ok := c.wall(t.UTC().Add(offset), this)
		if !ok {
			return time.Time{}
		}
		due := wall.Add(-offset).In(zone)
		_, end := t.ZoneBounds()
		if end.IsZero() || due.Before(end) {
			if c.hourly || !repeated(due) {
				return due
			}
			t, this = due, false
			continue
		}
		// The clock is changed before that.
		switch jump := offsetAt(end) - offset; {
		case jump > 0 && !due.After(end.Add(jump)): // over this moment
			return end
		case due.Sub(end) > far:
			t, this = due.Add(-far), false
		default:
			t, this = end, true
		}
	}
}

func offsetAt(t time.Time) time.Duration {
	_, seconds := t.Zone()
	return time.Duration(seconds) * time.Second
}

// repeated says whether the clock of t's zone has shown the same before, because
// it was put back.
func repeated(t time.Time) bool {
	start, _ := t.ZoneBounds()
	if start.IsZero() {
		return false
	}
	back := offsetAt(start.Add(-time.Second)) - offsetAt(t)
	return t.Before(start.Add(back))
}
