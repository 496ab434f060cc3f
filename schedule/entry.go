package schedule

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/spoolq/spool"
)

// Entry is a job and when it is due. Its methods change it and return it; they
// are called before the schedule runs.
type Entry struct {
	name    string
	when    times
	zone    *time.Location
	catchUp int
	job     any
	jobName string
	opts    []spool.DispatchOption
	errs    []error

	// What this process remembers, whether or not the store took it; guarded by
	// the scheduler's mu.
	sent    time.Time // the tick that it dispatched last
	told    time.Time // the last tick that it told to be missed
	failing string    // the error that was logged last
}

// maxName is how long a name may be: keys of caches are not unbounded.
const maxName = 100

// Name names the entry: where it is kept how far it has come, and in commands.
// The default is the name of the job; two entries of one job need names. An
// entry that gets another name is a new one.
func (e *Entry) Name(name string) *Entry {
	bad := !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsGraphic(r) })
	if name == "" || len(name) > maxName || bad {
		e.errs = append(e.errs, fmt.Errorf("%.120q is no good name: want 1 to %d bytes of text", name, maxName))
	}
	e.name = name
	return e
}

// In has the entry follow the clocks of a time zone, e.g. "Asia/Shanghai".
func (e *Entry) In(zone string) *Entry {
	loc, err := Zone(zone)
	if err != nil {
		e.errs = append(e.errs, err)
		return e
	}
	e.zone = loc
	return e
}

// Zone returns a time zone by its name, as an entry takes it: "Local" is none,
// because that differs from host to host.
func Zone(name string) (*time.Location, error) {
	loc, err := time.LoadLocation(name)
	switch {
	case name == "" || name == "Local":
		return nil, fmt.Errorf("time zone %q: name a place, e.g. Europe/Berlin, or UTC: that is the same on every host", name)
	case err != nil:
		return nil, fmt.Errorf("time zone %q is not known here: %w", name, err)
	}
	return loc, nil
}

// CatchUp says how many of the ticks that nothing has run in time are run late,
// at most: 0, the default, is none, 1 the last one, however many there were, n
// the last n, the oldest first. All others are told as missed
// ([spool.ScheduleMissed]).
func (e *Entry) CatchUp(n int) *Entry {
	if n < 0 || n > maxCatchUp {
		e.errs = append(e.errs, fmt.Errorf("catch up %d: want 0 to %d", n, maxCatchUp))
	}
	e.catchUp = n
	return e
}

// Check returns what is wrong with the entry by itself.
func (e *Entry) Check() error { return errors.Join(e.errs...) }

// String returns what the entry is due by: an expression and its zone.
func (e *Entry) String() string { return e.when.String() + " " + e.zone.String() }

// The most ticks that are run late, and that are counted as missed.
const (
	maxCatchUp = 1000
	maxMissed  = 1000
)

// plan is what is to be done about an entry now.
type plan struct {
	run     []time.Time // to be dispatched, the oldest first
	missed  []time.Time
	settled time.Time // up to when nothing is left to do after that
}

// plan decides about the ticks since those that are settled. fresh says that the
// store doesn't know the entry.
func (e *Entry) plan(settled time.Time, fresh bool, now time.Time, late time.Duration) plan {
	now = now.Truncate(time.Second)
	p := plan{settled: settled}
	if fresh {
		// Nobody has promised ticks from before it was known, but those of this
		// minute: a program that cron starts every minute begins behind the full one.
		from := now.Truncate(time.Minute).Add(-time.Second)
		if a, once := e.when.(at); once && a.After(settled) && !a.After(from) {
			p.missed = []time.Time{a.Time}
		}
		if from.After(settled) {
			settled = from
		}
		p.settled = now
	}
	if next := e.when.next(settled, e.zone); next.IsZero() || next.After(now) {
		return p
	}
	most := max(e.catchUp, 1)
	ticks := latest(e.when, e.zone, settled, now, most+maxMissed)
	p.settled = ticks[len(ticks)-1]
	n := len(ticks) - min(len(ticks), most)
	if e.catchUp == 0 && now.Sub(p.settled) > late {
		n = len(ticks)
	}
	switch {
	case fresh:
		p.run = ticks[len(ticks)-1:]
	default:
		p.missed, p.run = ticks[:n], ticks[n:]
	}
	return p
}

// idle says that there is nothing to do.
func (p plan) idle(fresh bool) bool { return !fresh && len(p.run)+len(p.missed) == 0 }
