package drivertest

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/spoolq/spool/driver"
)

const (
	bigBody       = 5 << 20  // every driver without a smaller limit must carry it
	largestBody   = 16 << 20 // limits up to this are tried with a body of just that size
	largestRefuse = 64 << 20 // limits up to this are tried with a body of one byte more
)

func limitCases() []testCase {
	return []testCase{
		{name: "a big body comes back as it was", needs: []capability{storage}, run: bigBodies},
		{name: "a body over the limit is refused with its batch", needs: []capability{bodyLimit}, run: bodyOverLimit},
		{name: "a body that isn't text is refused with its batch", needs: []capability{textLimit}, run: bodyNotText},
		{name: "a delay over the limit is refused with its batch", needs: []capability{delayLimit}, run: delayOverLimit},
	}
}

// sized returns a sample whose body has exactly size bytes.
func (f *fixture) sized(size int) sample {
	room := size - len(f.sample(`""`).Body)
	return f.sample(`"` + string(bytes.Repeat([]byte("x"), max(room, 0))) + `"`)
}

func bigBodies(f *fixture) {
	size := bigBody
	if m := f.traits.MaxBody; m > 0 && m <= largestBody {
		size = m
	}
	s := f.sized(size)
	if f.traits.MaxBody > 0 && len(s.Body) > f.traits.MaxBody {
		f.Fatalf("Traits.MaxBody is %d, too little for any job", f.traits.MaxBody)
	}
	f.roundTrip(s, fmt.Sprintf("%d bytes", size))
}

func bodyOverLimit(f *fixture) {
	size := f.traits.MaxBody + 1
	if f.traits.MaxBody > largestRefuse {
		f.Skipf("the limit of %d bytes is too large to try", f.traits.MaxBody)
	}
	e := f.refused(f.sized(size), "body")
	if e.Have != int64(size) || e.Max != int64(f.traits.MaxBody) {
		f.Errorf("LimitError says %d bytes of %d, want %d of %d", e.Have, e.Max, size, f.traits.MaxBody)
	}
}

func bodyNotText(f *fixture) {
	for _, bad := range []string{"\xff", "caf\xe9", "a\x00b", "\xed\xa0\x80"} {
		s := f.shaped(func(id string, n int) string {
			return fmt.Sprintf(`{"id":"%s","data":"%s","attempts":%d}`, id, bad, n)
		})
		_ = f.refused(s, "text") // it reports by itself
	}
}

func delayOverLimit(f *fixture) {
	s := f.sample(`1`)
	s.Delay = f.traits.MaxDelay + max(f.traits.Resolution, time.Second)
	e := f.refused(s, "delay")
	if e.Max != int64(f.traits.MaxDelay) {
		f.Errorf("LimitError says at most %v, want %v", time.Duration(e.Max), f.traits.MaxDelay)
	}
	if f.traits.Instant || f.h.Discards {
		return
	}
	q := f.queue("limit")
	f.push(f.c, q, 1, 0)
	rs := f.reserveN(f.c, q, 1)
	limit := cmp.Or(f.traits.MaxRelease, f.traits.MaxDelay)
	over := limit + max(f.traits.Resolution, time.Second)
	if err := f.c.Release(f.ctx(), rs, over); err == nil {
		f.Errorf("Release with a delay of %v was accepted, over the limit of %v", over, limit)
	}
}

// refused pushes bad in the middle of good messages and checks that a
// LimitError names it and that nothing was stored.
func (f *fixture) refused(bad sample, what string) *driver.LimitError {
	f.Helper()
	q := f.queue("limit")
	ids, err := f.c.Push(f.ctx(), q, messages([]sample{f.sample(`1`), f.sample(`2`), bad, f.sample(`3`)}))
	var e *driver.LimitError
	if !errors.As(err, &e) {
		f.Fatalf("Push returned %v, want a *driver.LimitError", err)
	}
	if e.What != what || e.Index != 2 {
		f.Errorf("LimitError is about the %s of message %d, want the %s of message 2", e.What, e.Index, what)
	}
	if len(ids) != 0 {
		f.Errorf("Push refused a message and returned %d ids", len(ids))
	}
	f.none(f.c, q, "the whole Push was refused")
	return e
}
