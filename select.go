package spool

import (
	"slices"
	"strings"
	"unicode/utf16"

	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/internal/phpjson"
)

// NameSelector is implemented by formats in whose bodies the name of a job can
// be told by text, without decoding them. A worker that takes only some names
// leaves the other jobs where they are then.
type NameSelector interface {
	// SelectNames returns what the bodies of jobs of these names have in them. It
	// may match others as well, but misses none that this format's frameworks or
	// Redis scripts write. ok is false if that can't be told of a name.
	SelectNames(names []string) (s *driver.Selection, ok bool)
}

var _ NameSelector = native{}

// SelectNames implements [NameSelector]. A body with blanks between its keys and
// values, as no framework writes it, isn't matched.
func (native) SelectNames(names []string) (*driver.Selection, bool) {
	s := &driver.Selection{Keys: []string{`"job":"`}, End: `"`}
	for _, name := range names {
		forms, ok := jsonForms(name)
		if !ok {
			return nil, false
		}
		s.Names = append(s.Names, forms...)
	}
	slices.Sort(s.Names)
	s.Names = slices.Compact(s.Names)
	return s, true
}

// jsonForms returns how a name may stand in a JSON string: slashes escaped, as
// PHP does, or not, letters beyond ASCII escaped, as PHP does unless it is told
// otherwise, or not. Names with a quote or a control character have no form that
// ends at the next quote, or too many.
func jsonForms(name string) ([]string, bool) {
	if name == "" || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == '"' || r == 0x7f }) {
		return nil, false
	}
	b, err := phpjson.AppendString(nil, name)
	if err != nil {
		return nil, false
	}
	raw := string(b[1 : len(b)-1])
	var forms []string
	for _, f := range []string{raw, escaped(raw)} {
		forms = append(forms, f, strings.ReplaceAll(f, `\/`, `/`))
	}
	return forms, true
}

// escaped writes letters beyond ASCII as \u and four digits.
func escaped(s string) string {
	const hex = "0123456789abcdef"
	var b strings.Builder
	for _, r := range s {
		if r < 0x80 {
			b.WriteRune(r)
			continue
		}
		for _, u := range utf16.Encode([]rune{r}) {
			b.WriteString(`\u`)
			for shift := 12; shift >= 0; shift -= 4 {
				b.WriteByte(hex[u>>shift&15])
			}
		}
	}
	return b.String()
}
