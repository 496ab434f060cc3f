package drivertest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/spoolq/spool/driver"
)

// compare compares what was reserved: which jobs, how often delivered, with
// which bytes, and in order as far as it is known.
func (l *lane) compare(got, want []driver.Reservation) error {
	attempts := map[string]int{}
	for _, r := range want {
		attempts[l.f.id(r.Body)] = r.Attempts
	}
	var fresh []string
	for _, r := range got {
		if err := l.f.checkReservation(r, l.q); err != nil {
			return err
		}
		id := l.f.id(r.Body)
		n, ok := attempts[id]
		if !ok {
			return fmt.Errorf("the driver delivers %s, the model doesn't (or not twice)", short([]string{id}))
		}
		if n != r.Attempts {
			return fmt.Errorf("the driver delivers %s with %d attempts, the model with %d", short([]string{id}), r.Attempts, n)
		}
		delete(attempts, id)
		if l.jobs[id].fresh {
			fresh = append(fresh, id)
		}
	}
	if len(attempts) > 0 {
		return fmt.Errorf("the model delivers %s, the driver doesn't", short(slices.Sorted(maps.Keys(attempts))))
	}
	inOrder := slices.DeleteFunc(l.f.idsOf(want), func(id string) bool { return !l.jobs[id].fresh })
	if !l.f.h.Unordered && !slices.Equal(fresh, inOrder) {
		return fmt.Errorf("the driver delivers new jobs in the order %s, the model %s", short(fresh), short(inOrder))
	}
	return nil
}

// both does the verb to both and compares the outcomes, item by item.
func (l *lane) both(v modelVerb, ps []pair, delay time.Duration) error {
	mine, theirs := make([]driver.Reservation, len(ps)), make([]driver.Reservation, len(ps))
	for i, p := range ps {
		mine[i], theirs[i] = p.driver, p.model
	}
	got, want := v.do(l, l.f.c, mine, delay), v.do(l, l.model, theirs, delay)
	for i, p := range ps {
		g, w := itemError(got, i), itemError(want, i)
		if w == nil && g != nil || w != nil && !errors.Is(g, w) {
			return fmt.Errorf("%s of %s: the driver says %s, the model %s", v, short([]string{l.f.id(p.model.Body)}), fmt.Sprint(g), fmt.Sprint(w))
		}
	}
	return nil
}

// compareSize compares the number of jobs, after a drain by state too. (At
// other times a job released without delay may still count as delayed.)
func (l *lane) compareSize(byState bool) error {
	c, ok := l.f.c.(driver.Sizer)
	if !ok {
		return nil
	}
	got, err := c.Size(l.f.Context(), l.q)
	if errors.Is(err, errors.ErrUnsupported) || got.Approximate {
		return nil
	}
	if err != nil {
		return fmt.Errorf("Size: %w", err)
	}
	want, err := l.model.Size(l.f.Context(), l.q)
	if err != nil {
		return err
	}
	got.Oldest, want.Oldest = time.Time{}, time.Time{}
	if got.Total() != want.Total() || byState && got != want {
		return fmt.Errorf("Size is %+v, the model's %+v", got, want)
	}
	return nil
}
