package drivertest

import (
	"time"

	"github.com/spoolq/spool/driver"
)

func returnCases() []testCase {
	needs := []capability{storage, returns}
	return []testCase{
		{name: "return gives the attempt back", needs: needs, run: returnGivesBack},
		{name: "return gives back only its own attempt", needs: needs, run: returnAfterRelease},
		{name: "return waits for its delay", needs: needs, slow: true, run: func(f *fixture) {
			f.putBackDelayed(func(rs []driver.Reservation, delay time.Duration) error {
				return f.c.(driver.Returner).Return(f.ctx(), rs, delay)
			}, 1)
		}},
	}
}

func returnGivesBack(f *fixture) {
	q := f.queue("return")
	f.push(f.c, q, 3, 0)
	for range 3 {
		rs := f.reserveN(f.c, q, 3)
		for _, r := range rs {
			if r.Attempts != 1 {
				f.Errorf("after Return the delivery has %d attempts, want 1", r.Attempts)
			}
		}
		f.must("Return", f.c.(driver.Returner).Return(f.ctx(), rs, 0))
	}
	f.must("Delete", f.c.Delete(f.ctx(), f.reserveN(f.c, q, 3)))
	f.none(f.c, q, "deleted after it had been returned")
}

func returnAfterRelease(f *fixture) {
	q := f.queue("return")
	f.push(f.c, q, 1, 0)
	f.must("Release", f.c.Release(f.ctx(), []driver.Reservation{f.one(f.c, q, 1)}, 0))
	for range 2 {
		f.must("Return", f.c.(driver.Returner).Return(f.ctx(), []driver.Reservation{f.one(f.c, q, 2)}, 0))
	}
	f.must("Release", f.c.Release(f.ctx(), []driver.Reservation{f.one(f.c, q, 2)}, 0))
	f.one(f.other(), q, 3)
}
