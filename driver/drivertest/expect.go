package drivertest

import (
	"errors"
	"fmt"
	"slices"

	"github.com/spoolq/spool/driver"
)

// sameSet compares ids whatever their order.
func (f *fixture) sameSet(got, want []string) {
	f.Helper()
	got, want = slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))
	if !slices.Equal(got, want) {
		f.Errorf("jobs are %s", diff(got, want))
	}
}

// sameOrder compares ids in order, or as sets if the backend promises none.
func (f *fixture) sameOrder(got, want []string) {
	f.Helper()
	if f.h.Unordered {
		f.sameSet(got, want)
	} else if !slices.Equal(got, want) {
		f.Errorf("jobs are %s", diff(got, want))
	}
}

func diff(got, want []string) string {
	if len(got)+len(want) < 40 {
		return fmt.Sprintf("%q, want %q", got, want)
	}
	return fmt.Sprintf("%d, want %d, or differ in order or kind", len(got), len(want))
}

// must fails the case if a verb did.
func (f *fixture) must(verb string, err error) {
	f.Helper()
	if err != nil {
		f.Fatalf("%s: %v", verb, err)
	}
}

// lost fails the case unless every one of n items is ErrLost.
func (f *fixture) lost(verb string, err error, n int) {
	f.Helper()
	if err == nil {
		f.Errorf("%s succeeded, want ErrLost", verb)
		return
	}
	f.checkOutcomes(verb, err, n)
	for i := range n {
		if got := itemError(err, i); !errors.Is(got, driver.ErrLost) {
			f.Errorf("%s: item %d is %v, want ErrLost", verb, i, got)
		}
	}
}

// checkOutcomes fails the case unless err speaks of n items one by one.
func (f *fixture) checkOutcomes(verb string, err error, n int) {
	f.Helper()
	items, ok := err.(driver.ItemErrors) //nolint:errorlint // the contract returns the type bare
	if !ok {
		f.Fatalf("%s returned %T (%v), want a driver.ItemErrors", verb, err, err)
	}
	if len(items) != n {
		f.Fatalf("%s returned the outcome of %d items, want %d", verb, len(items), n)
	}
}

// itemError is driver.ItemError that survives a short ItemErrors.
func itemError(err error, i int) error {
	if items, ok := err.(driver.ItemErrors); ok && i >= len(items) { //nolint:errorlint // the contract returns the type bare
		return fmt.Errorf("no outcome for item %d of %d", i, len(items))
	}
	return driver.ItemError(err, i)
}
