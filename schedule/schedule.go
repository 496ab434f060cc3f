// Package schedule dispatches jobs at set times: by cron expressions, every so
// often, once at a moment.
//
//	s := schedule.New(client, store, nil)
//	s.Cron("0 8 * * 1-5", Report{}, spool.OnQueue("reports")).In("Asia/Shanghai").Name("daily-report")
//	s.Every(10*time.Minute, Sync{})
//	err := s.Run(ctx)
//
// A tick is a moment at which an entry is due. It dispatches the entry's job, as
// any dispatch does; workers run it. The job's uuid is made of the entry's name
// and the tick, and its handler finds the tick with [TickFrom].
//
// Any number of schedulers may run the same entries: each tick is dispatched by
// one of them. What they share is a cache store: a lock for each entry, held
// while its ticks are dealt with, and up to which tick that was done. One that
// dies in between leaves its lock to its lease; another one takes over, and
// dispatches again what isn't known to be dispatched, under the same uuid. So a
// tick is never lost, and a crash between two steps may dispatch it twice.
//
// Ticks follow the clock of the scheduler that deals with them, and one whose
// clock is ahead runs them that much early. Each is run once all the same, as
// long as clocks differ by less than half of [Options.Lease].
//
// The package imports spool, its cache and a parser of cron expressions.
package schedule

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/cache"
)

// Store is where schedulers share what was done: a store of package cache that
// reaches all of them.
type Store interface {
	cache.Store
	cache.Locker
}

// Options are the options of [New].
type Options struct {
	// Location is the time zone of entries that name none; nil means UTC, which is
	// the same on every host.
	Location *time.Location
	// Late is how long after its time a tick is run without further ado: while a
	// scheduler is replaced, say. What is later is missed, see [Entry.CatchUp]. 0
	// means 5 minutes.
	Late time.Duration
	// Lease is for how long a scheduler that died holds up an entry. 0 means 30
	// seconds.
	Lease time.Duration
	// App tells applications apart that share queues: it goes into the uuids.
	App string
	// Restart are keys of the store, such as spool.LaravelKeys().Restart:
	// [Scheduler.Run] ends when the value of one changes.
	Restart []string
	// Logger is told what keeps ticks from being run; nil means slog.Default().
	Logger *slog.Logger
}

// Scheduler holds entries and runs them. Entries are added before it is used;
// its other methods are safe for concurrent use.
type Scheduler struct {
	client  *spool.Client
	store   Store
	o       Options
	owner   string // of its locks
	host    string
	entries []*Entry
	now     func() time.Time // the clock on the wall

	mu     sync.Mutex // one round at a time
	warned bool       // of a clock that is ahead
}

// New returns a Scheduler without entries.
func New(client *spool.Client, store Store, opts *Options) *Scheduler {
	s := &Scheduler{client: client, store: store, owner: spool.NewUUID(), now: time.Now}
	if opts != nil {
		s.o = *opts
	}
	s.host, _ = os.Hostname()
	s.o.Late = cmp.Or(s.o.Late, 5*time.Minute)
	s.o.Lease = cmp.Or(s.o.Lease, 30*time.Second)
	if s.o.Location == nil {
		s.o.Location = time.UTC
	}
	if s.o.Logger == nil {
		s.o.Logger = slog.Default()
	}
	return s
}

// Cron adds a job that is due by a cron expression of five fields: minute, hour,
// day of the month, month, day of the week. It knows *, lists, ranges, steps,
// names of months and days, L (the last day of the month), 15W (the weekday
// nearest to the 15th), 5L (the last Friday), MON#2 (the second Monday), and
// @yearly, @monthly, @weekly, @daily and @hourly. If both the day of the month
// and that of the week are given, either will do.
//
// When clocks are put forward, what was due in the hour that is left out is due,
// once, when it would have begun. When they are put back, an expression whose
// hour is * is due in both of the hours; one that names hours in the first only.
//
// The job may be a [spool.Optioned] with a name given by hand
// ([spool.WithName]). A mistake is told by [Scheduler.Check] and whatever runs
// the schedule.
func (s *Scheduler) Cron(expr string, job any, opts ...spool.DispatchOption) *Entry {
	when, err := parseCron(expr)
	return s.add(when, err, job, opts)
}

// Every adds a job that is due every d, in whole seconds, at multiples of d since
// the beginning of 1970 in UTC: every hour is at the full hour, and a restart
// changes nothing. For days and weeks on the clock of a place there is Cron.
func (s *Scheduler) Every(d time.Duration, job any, opts ...spool.DispatchOption) *Entry {
	var err error
	if d < time.Second || d%time.Second != 0 {
		err = fmt.Errorf("every %v: want whole seconds, one at least", d)
	}
	return s.add(every(d), err, job, opts)
}

// At adds a job that is due once, in whole seconds. If nothing runs the schedule
// then, it is run late, unless CatchUp(0) says otherwise. A time that has passed
// when the entry is first seen is missed. A different time makes it a new entry.
func (s *Scheduler) At(t time.Time, job any, opts ...spool.DispatchOption) *Entry {
	var err error
	if t.IsZero() {
		err = errors.New("at: no time")
	}
	return s.add(at{t.Truncate(time.Second)}, err, job, opts).CatchUp(1)
}

func (s *Scheduler) add(when times, err error, job any, opts []spool.DispatchOption) *Entry {
	e := &Entry{when: when, job: job, opts: opts, zone: s.o.Location}
	var nameErr error
	e.jobName, nameErr = spool.JobName(job)
	e.name = e.jobName
	for _, err := range []error{err, nameErr} {
		if err != nil {
			e.errs = append(e.errs, err)
		}
	}
	s.entries = append(s.entries, e)
	return e
}

// Check returns what is wrong with the entries.
func (s *Scheduler) Check() error {
	var errs []error
	seen := map[string]bool{}
	for _, e := range s.entries {
		if err := e.Check(); err != nil {
			errs = append(errs, fmt.Errorf("schedule %s: %w", cmp.Or(e.name, "without a name"), err))
		}
		if seen[e.name] && e.name != "" {
			errs = append(errs, fmt.Errorf("schedule %s: two entries have this name: give one of them another, see Name", e.name))
		}
		seen[e.name] = true
	}
	return errors.Join(errs...)
}

// entry returns the entry of a name.
func (s *Scheduler) entry(name string) (*Entry, error) {
	for _, e := range s.entries {
		if e.name == name {
			return e, nil
		}
	}
	return nil, &UnknownError{Name: name, Known: s.Names()}
}

// Names returns the names of the entries, in the order they were added.
func (s *Scheduler) Names() []string {
	names := make([]string, len(s.entries))
	for i, e := range s.entries {
		names[i] = e.name
	}
	return names
}
