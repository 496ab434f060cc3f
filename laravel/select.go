package laravel

import (
	"github.com/spoolq/spool"
	"github.com/spoolq/spool/driver"
)

var _ spool.NameSelector = (*Format)(nil)

// SelectNames implements [spool.NameSelector]: a name is that of a string job, or
// of the class of a class job, encrypted or not.
func (f *Format) SelectNames(names []string) (*driver.Selection, bool) {
	s, ok := spool.Native.(spool.NameSelector).SelectNames(names)
	if ok {
		s.Keys = append(s.Keys, `"commandName":"`)
	}
	return s, ok
}
