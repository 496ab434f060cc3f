package drivertest

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/spoolq/spool/driver"
)

// note remembers what was done, for the report of a difference.
func (l *lane) note(format string, args ...any) {
	if len(l.lines) >= 60 {
		l.lines = slices.Delete(l.lines, 0, 20)
	}
	l.lines = append(l.lines, time.Now().Format("15:04:05.000 ")+fmt.Sprintf(format, args...))
}

func (l *lane) story() string { return strings.Join(l.lines, "\n") }

// step reserves everything that can be reserved and then does some things at random.
func (l *lane) step() error {
	if err := l.drain(); err != nil {
		return err
	}
	for range 1 + l.rng.IntN(3) {
		var err error
		switch n := l.rng.IntN(100); {
		case n < 40:
			err = l.push()
		case n < 97:
			err = l.settle()
		default:
			err = l.clearQueue()
		}
		if err != nil {
			return err
		}
	}
	return l.compareSize(false)
}

// finish deletes what is left, once everything has become available.
func (l *lane) finish() error {
	for id, j := range l.jobs {
		if _, ok := l.held[id]; !ok && !j.hi.IsZero() && j.hi.After(time.Now()) {
			return l.try(time.Until(j.hi), l.finish)
		}
	}
	if err := l.drain(); err != nil {
		return err
	}
	if err := l.settleWith(verbDelete, slices.Sorted(maps.Keys(l.held)), 0); err != nil {
		return err
	}
	if len(l.jobs) > 0 {
		return fmt.Errorf("%d jobs were pushed and never delivered", len(l.jobs))
	}
	return l.compareSize(false)
}

func (l *lane) delay() time.Duration {
	return []time.Duration{0, 0, 0, time.Second, 2 * time.Second, 3500 * time.Millisecond}[l.rng.IntN(6)]
}

func (l *lane) push() error {
	ss := l.f.newSamples(1 + l.rng.IntN(6))
	for i := range ss {
		ss[i].Delay = l.delay()
	}
	l.note("push %s", short(sampleIDs(ss)))
	from := time.Now()
	_, err := l.f.c.Push(l.f.Context(), l.q, messages(ss))
	if err != nil {
		return fmt.Errorf("Push: %w", err)
	}
	if _, err := l.model.Push(l.f.Context(), l.q, messages(ss)); err != nil {
		return err
	}
	to := time.Now()
	for _, s := range ss {
		j := &tracked{fresh: s.Delay <= 0}
		l.waitsFor(j, from, to, s.Delay)
		l.jobs[s.ID] = j
	}
	return nil
}

// reserving returns how to reserve: by Reserve, or at times by a selection that
// every body matches.
func (l *lane) reserving() func(max int) ([]driver.Reservation, error) {
	s, ok := l.f.c.(driver.Selector)
	if !ok || l.rng.IntN(2) == 0 {
		return func(max int) ([]driver.Reservation, error) { return l.f.c.Reserve(l.f.Context(), l.q, max) }
	}
	return func(max int) ([]driver.Reservation, error) {
		return s.ReserveMatching(l.f.Context(), l.q, max, everything)
	}
}

// everything matches what all bodies of the suite have in them: "id".
var everything = &driver.Selection{Keys: []string{`"i`}, Names: []string{"d"}, End: `"`}

// drain reserves all that is available from both and compares it.
func (l *lane) drain() error {
	from, reserve := time.Now(), l.reserving()
	var got []driver.Reservation
	for len(got) <= len(l.jobs) { // or the driver delivers some twice
		max := 1 + l.rng.IntN(12)
		rs, err := reserve(max)
		if err != nil {
			return fmt.Errorf("Reserve: %w", err)
		}
		if len(rs) == 0 {
			break
		}
		got = append(got, rs...)
	}
	want, err := l.model.Reserve(l.f.Context(), l.q, math.MaxInt)
	if err != nil {
		return err
	}
	to := time.Now()
	l.note("reserve %s", short(l.f.idsOf(want)))
	if err := l.compare(got, want); err != nil {
		return err
	}
	l.deliveries += len(got)
	var stale []pair
	for _, id := range l.f.idsOf(want) {
		if p, ok := l.held[id]; ok {
			stale = append(stale, p)
		}
		j := l.jobs[id]
		j.fresh = false
		l.leasedFrom(j, from, to)
	}
	l.hold(got, want)
	if err := l.lose(stale); err != nil {
		return err
	}
	return l.compareSize(true)
}

func (l *lane) hold(got, want []driver.Reservation) {
	for _, r := range got {
		l.held[l.f.id(r.Body)] = pair{driver: r}
	}
	for _, r := range want {
		id := l.f.id(r.Body)
		l.held[id] = pair{l.held[id].driver, r}
	}
}

// lose tries a verb with reservations whose jobs others hold by now.
func (l *lane) lose(stale []pair) error {
	if len(stale) == 0 || l.f.h.BestEffortFencing {
		return nil
	}
	return l.both(l.verb(), stale, 0)
}

// A modelVerb is a verb over reservations, by name.
type modelVerb string

const (
	verbDelete  modelVerb = "delete"
	verbRelease modelVerb = "release"
	verbReturn  modelVerb = "return"
	verbExtend  modelVerb = "extend"
)

// verb chooses one that the driver has.
func (l *lane) verb() modelVerb {
	v := []modelVerb{verbDelete, verbDelete, verbRelease, verbReturn, verbExtend}[l.rng.IntN(5)]
	if v == verbReturn && !is[driver.Returner](l.f.c) || v == verbExtend && !is[driver.Extender](l.f.c) {
		return verbRelease
	}
	return v
}

func (v modelVerb) do(l *lane, c driver.Conn, rs []driver.Reservation, delay time.Duration) error {
	ctx := l.f.Context()
	switch v {
	case verbDelete:
		return c.Delete(ctx, rs)
	case verbRelease:
		return c.Release(ctx, rs, delay)
	case verbReturn:
		return c.(driver.Returner).Return(ctx, rs, delay)
	default:
		return c.(driver.Extender).Extend(ctx, rs)
	}
}

// settle does a verb to some of the held jobs.
func (l *lane) settle() error {
	ids := slices.Sorted(maps.Keys(l.held))
	l.rng.Shuffle(len(ids), func(i, k int) { ids[i], ids[k] = ids[k], ids[i] })
	ids = ids[:min(len(ids), 1+l.rng.IntN(8))]
	if len(ids) == 0 {
		return nil
	}
	return l.settleWith(l.verb(), ids, l.delay())
}

func (l *lane) settleWith(v modelVerb, ids []string, delay time.Duration) error {
	l.note("%s %s after %v", v, short(ids), delay)
	ps := make([]pair, len(ids))
	for i, id := range ids {
		ps[i] = l.held[id]
	}
	if n := len(l.dead); n > 0 && !l.f.h.BestEffortFencing && l.rng.IntN(3) == 0 {
		ps = slices.Insert(ps, l.rng.IntN(len(ps)+1), l.dead[l.rng.IntN(n)])
	}
	from := time.Now()
	if err := l.both(v, ps, delay); err != nil {
		return err
	}
	to := time.Now()
	for _, id := range ids {
		switch v {
		case verbDelete:
			l.bury(id)
			delete(l.jobs, id)
			delete(l.held, id)
		case verbExtend:
			l.leasedFrom(l.jobs[id], from, to)
		default:
			l.waitsFor(l.jobs[id], from, to, delay)
			delete(l.held, id)
		}
	}
	return nil
}

// bury keeps the reservation of a job that is gone, to be tried again later.
func (l *lane) bury(id string) {
	if len(l.dead) == 50 {
		l.dead = slices.Delete(l.dead, 0, 10)
	}
	l.dead = append(l.dead, l.held[id])
	l.f.forget(id)
}

func (l *lane) clearQueue() error {
	c, ok := l.f.c.(driver.Clearer)
	if !ok {
		return nil
	}
	l.note("clear")
	got, err := c.Clear(l.f.Context(), l.q)
	if errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("Clear: %w", err)
	}
	want, err := l.model.Clear(l.f.Context(), l.q)
	if err != nil {
		return err
	}
	if got != want {
		return fmt.Errorf("Clear dropped %d jobs, the model %d", got, want)
	}
	for _, id := range slices.Sorted(maps.Keys(l.held)) {
		l.bury(id)
	}
	clear(l.jobs)
	clear(l.held)
	return nil
}

// short shortens ids for messages.
func short(ids []string) string {
	s := make([]string, len(ids))
	for i, id := range ids {
		s[i] = id[:min(5, len(id))]
	}
	return "[" + strings.Join(s, " ") + "]"
}
