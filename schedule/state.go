package schedule

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// The names of what schedulers share in the cache.
const (
	stateKey  = "spool:schedule:"
	pausedKey = "spool:schedule-paused:" // and the name of an entry; without one: all
	lockKey   = "spool:schedule-lock:"
)

// UnknownError is a name that no entry has.
type UnknownError struct {
	Name  string
	Known []string
}

func (e *UnknownError) Error() string {
	if len(e.Known) == 0 {
		return fmt.Sprintf("there is no schedule %q: there is none at all", e.Name)
	}
	return fmt.Sprintf("there is no schedule %q; there are: %s", e.Name, strings.Join(e.Known, ", "))
}

// state is how far an entry has come.
type state struct {
	Of      string `json:"of"`             // what the entry was due by
	Settled int64  `json:"settled"`        // the tick up to which all is done
	Run     int64  `json:"run,omitempty"`  // the tick that was dispatched last
	UUID    string `json:"uuid,omitempty"` // of its job
	By      string `json:"by,omitempty"`   // the host that has written this
	At      int64  `json:"at"`             // when, by its clock

	paused bool
}

func (st *state) settled() time.Time {
	if st.Settled == 0 {
		return time.Time{}
	}
	return time.Unix(st.Settled, 0)
}

// fresh says that the entry isn't known as it is.
func (st *state) fresh(e *Entry) bool { return st.Of != e.String() || st.Settled <= 0 }

// read reads how far entries have come, and further keys, in one round trip.
func (s *Scheduler) read(ctx context.Context, entries []*Entry, more ...string) ([]state, map[string]string, error) {
	keys := append([]string{pausedKey}, more...)
	for _, e := range entries {
		keys = append(keys, stateKey+e.name, pausedKey+e.name)
	}
	values, err := s.store.Many(ctx, keys...)
	if err != nil {
		return nil, nil, fmt.Errorf("schedule: the cache can't be read: %w", err)
	}
	states := make([]state, len(entries))
	for i, e := range entries {
		if text, ok := values[stateKey+e.name]; ok {
			if err := json.Unmarshal([]byte(text), &states[i]); err != nil {
				s.o.Logger.Warn("what the cache holds of a schedule can't be read: it begins anew", "schedule", e.name, "error", err)
				states[i] = state{}
			}
		}
		_, one := values[pausedKey+e.name]
		_, all := values[pausedKey]
		states[i].paused = one || all
		s.compare(e, &states[i])
	}
	return states, values, nil
}

// ahead is how far another clock may be ahead without a word.
const ahead = 5 * time.Second

// compare warns of a clock that is ahead of this one.
func (s *Scheduler) compare(e *Entry, st *state) {
	if d := time.Unix(st.At, 0).Sub(s.now()); d > ahead && !s.warned {
		s.warned = true
		s.o.Logger.Warn("the clocks of schedulers differ: ticks come early by that", "schedule", e.name, "by", d.Round(time.Second), "ahead", st.By, "behind", s.host)
	}
}

// write notes how far an entry has come, unless its lock is lost.
func (s *Scheduler) write(ctx context.Context, e *Entry, st state) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	st.Of, st.By, st.At = e.String(), s.host, s.now().Unix()
	text, err := json.Marshal(st)
	if err != nil {
		return err
	}
	return s.store.Put(ctx, stateKey+e.name, string(text), 0)
}

// Status is how an entry stands.
type Status struct {
	Name   string
	Job    string // the name of its job
	When   string // "0 8 * * 1-5", "every 10m", "at 2030-01-31T06:00:00Z"
	Zone   string
	Next   time.Time // zero: never again
	Last   time.Time // the tick that was dispatched last; zero: none
	UUID   string    // of its job
	Paused bool
	// Overdue says that a tick should have been dealt with long ago: no scheduler
	// runs, or none that has this entry, or its dispatches fail.
	Overdue bool
}

// List tells how all entries stand, in the order they were added.
func (s *Scheduler) List(ctx context.Context) ([]Status, error) {
	if err := s.Check(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	states, _, err := s.read(ctx, s.entries)
	if err != nil {
		return nil, err
	}
	now := s.now()
	all := make([]Status, len(s.entries))
	for i, e := range s.entries {
		st := &states[i]
		v := Status{Name: e.name, Job: e.jobName, When: e.when.String(), Zone: e.zone.String(), UUID: st.UUID, Paused: st.paused}
		from := now
		if st.settled().After(from) {
			from = st.settled()
		}
		if v.Next = e.when.next(from, e.zone); !v.Next.IsZero() {
			v.Next = v.Next.In(e.zone)
		}
		if st.Run > 0 {
			v.Last = time.Unix(st.Run, 0).In(e.zone)
		}
		if !st.fresh(e) && !st.paused {
			due := e.when.next(st.settled(), e.zone)
			v.Overdue = !due.IsZero() && now.Sub(due) > s.o.Late
		}
		all[i] = v
	}
	return all, nil
}

// Pause has an entry dispatch nothing until [Scheduler.Resume]; "" means all
// entries, those of later too. Its ticks until then are neither run late nor
// told as missed.
func (s *Scheduler) Pause(ctx context.Context, name string) error {
	if err := s.known(name); err != nil {
		return err
	}
	return s.store.Put(ctx, pausedKey+name, s.now().Unix(), 0)
}

// Resume ends Pause of the same name and says whether there was one. What is
// paused by its own name as well stays so, and while all are paused each is.
func (s *Scheduler) Resume(ctx context.Context, name string) (was bool, err error) {
	if err := s.known(name); err != nil {
		return false, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	states, values, err := s.read(ctx, s.entries, pausedKey+name)
	if err != nil {
		return false, err
	}
	if _, was = values[pausedKey+name]; !was {
		return false, nil
	}
	for i, e := range s.entries {
		if states[i].paused && (name == "" || e.name == name) {
			// Another scheduler that has the entry now leaves it as it would be.
			if _, _, err := s.settle(ctx, e); err != nil {
				return false, err
			}
		}
	}
	return true, s.store.Forget(ctx, pausedKey+name)
}

func (s *Scheduler) known(name string) error {
	err := s.Check()
	if err == nil && name != "" {
		_, err = s.entry(name)
	}
	return err
}
