package schedule

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spoolq/spool"
)

// RunDue dispatches the jobs of all ticks that are due now and returns how many.
// What another scheduler has at hand is left to it. An entry that fails doesn't
// keep the others from being run.
//
// To call it every minute, as cron does, is a way to run a schedule of whole
// minutes.
func (s *Scheduler) RunDue(ctx context.Context) (int, error) {
	if err := s.Check(); err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.round(ctx)
	return r.ran, r.err
}

// poll is how often a scheduler looks whether something has changed: an entry
// was paused, another scheduler has died, the clock was set.
const poll = 15 * time.Second

// Run dispatches jobs as they are due, until ctx ends or a key of
// [Options.Restart] changes; then it returns nil. An error is one of
// [Scheduler.Check]. What fails is logged and tried again.
func (s *Scheduler) Run(ctx context.Context) error {
	if err := s.Check(); err != nil {
		return err
	}
	var first map[string]string // the values at the first look
	lasting := ""               // the error that was logged last
	pause := time.Second
	for {
		s.mu.Lock()
		r := s.round(ctx)
		s.mu.Unlock()
		if ctx.Err() != nil {
			return nil
		}
		if r.readErr != nil {
			if text := r.readErr.Error(); text != lasting {
				lasting = text
				s.o.Logger.Error("the schedule can't be run", "error", r.readErr)
			}
		} else {
			lasting = ""
			if first == nil {
				first = r.values
			}
			for _, key := range s.o.Restart {
				if r.values[key] != first[key] {
					return nil
				}
			}
		}
		if r.err != nil || r.busy {
			r.wait = min(r.wait, pause)
			pause = min(2*pause, poll)
		} else {
			pause = time.Second
		}
		timer := time.NewTimer(r.wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
	}
}

// result is what a round has done.
type result struct {
	ran     int
	wait    time.Duration // until the next tick, or poll
	busy    bool          // another scheduler has an entry that is due
	values  map[string]string
	readErr error // nothing could be read
	err     error // that, or what failed
}

// round deals with all that is due. The caller holds mu.
func (s *Scheduler) round(ctx context.Context) result {
	r := result{wait: poll}
	states, values, err := s.read(ctx, s.entries, s.o.Restart...)
	if err != nil {
		r.readErr, r.err = err, err
		return r
	}
	r.values = values
	var errs []error
	for i, e := range s.entries {
		st, fresh := &states[i], states[i].fresh(e)
		if e.plan(st.settled(), fresh, s.now(), s.o.Late).idle(fresh) {
			continue
		}
		ran, busy, err := s.settle(ctx, e)
		r.ran += ran
		r.busy = r.busy || busy
		s.report(e, err)
		errs = append(errs, err)
	}
	now := s.now()
	for i, e := range s.entries {
		from := states[i].settled()
		if from.Before(now) {
			from = now
		}
		if next := e.when.next(from, e.zone); !next.IsZero() {
			r.wait = min(r.wait, max(next.Sub(now), 0))
		}
	}
	r.err = errors.Join(errs...)
	return r
}

// report logs what keeps an entry from being run, once.
func (s *Scheduler) report(e *Entry, err error) {
	switch {
	case err == nil:
		e.failing = ""
	case err.Error() != e.failing && !errors.Is(err, context.Canceled):
		e.failing = err.Error()
		s.o.Logger.Error("a schedule can't be run, and is tried again", "schedule", e.name, "error", err)
	}
}

// settle deals with an entry under its lock. busy says that another scheduler
// has it.
func (s *Scheduler) settle(ctx context.Context, e *Entry) (ran int, busy bool, err error) {
	ctx, leave, ok, err := s.hold(ctx, e)
	if err != nil || !ok {
		return 0, err == nil, err
	}
	defer leave()
	states, _, err := s.read(ctx, []*Entry{e})
	if err != nil {
		return 0, false, err
	}
	st := states[0]
	p := e.plan(st.settled(), st.fresh(e), s.now(), s.o.Late)
	if p.idle(st.fresh(e)) {
		return 0, false, nil // another scheduler was faster
	}
	if st.paused {
		p.run, p.missed = nil, nil
	}
	s.tell(ctx, e, p.missed)
	for _, tick := range p.run {
		// What this process has dispatched, but couldn't note, isn't again.
		if tick.After(e.sent) {
			if _, err := s.dispatch(ctx, e, tick, false); err != nil {
				return ran, false, err
			}
			e.sent = tick
			ran++
		}
		st.Settled, st.Run, st.UUID = tick.Unix(), tick.Unix(), s.UUID(e.name, tick)
		if err := s.write(ctx, e, st); err != nil {
			return ran, false, fmt.Errorf("schedule %s: what was done can't be noted: %w", e.name, err)
		}
	}
	if settled := p.settled.Unix(); settled > st.Settled || len(p.run) == 0 {
		st.Settled = max(settled, st.Settled)
		if err := s.write(ctx, e, st); err != nil {
			return ran, false, fmt.Errorf("schedule %s: what was done can't be noted: %w", e.name, err)
		}
	}
	return ran, false, nil
}

// tell raises the event of ticks that are missed. It comes before they are
// noted as settled: a crash tells them twice, and never not at all.
func (s *Scheduler) tell(ctx context.Context, e *Entry, missed []time.Time) {
	if len(missed) == 0 || !missed[len(missed)-1].After(e.told) {
		return
	}
	missed = missed[max(0, len(missed)-maxMissed):]
	m := spool.ScheduleMissed{Name: e.name, First: missed[0], Last: missed[len(missed)-1], Count: len(missed)}
	e.told = m.Last
	s.o.Logger.Warn("ticks of a schedule were missed", "schedule", e.name, "count", m.Count, "first", m.First, "last", m.Last)
	spool.Emit(ctx, s.client.Manager().Events(), m)
}

// releaseTime bounds how long the release of a lock may take.
const releaseTime = 5 * time.Second

// hold takes the lock of an entry and keeps it until leave is called. The context
// it returns ends when the lock may be lost. A push that was begun then goes on to
// its end; it is what may be done twice.
func (s *Scheduler) hold(ctx context.Context, e *Entry) (held context.Context, leave func(), ok bool, err error) {
	name, lease := lockKey+e.name, s.o.Lease
	since := time.Now()
	limited, cancel := context.WithTimeout(ctx, lease/2)
	ok, err = s.store.Acquire(limited, name, s.owner, lease)
	cancel()
	if err != nil {
		return nil, nil, false, fmt.Errorf("schedule %s: its lock: %w", e.name, err)
	}
	if !ok {
		return nil, nil, false, nil
	}
	held, lose := context.WithCancelCause(ctx)
	kept := make(chan struct{})
	go func() { // leave waits for it
		defer close(kept)
		s.keep(held, name, since, lose)
	}()
	return held, func() {
		lose(context.Canceled)
		<-kept
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTime)
		defer cancel()
		_, _ = s.store.Release(ctx, name, s.owner) // or it ends by itself
	}, true, nil
}

var errLost = errors.New("the lock of the schedule was lost: another scheduler may have it")

// keep renews a lock until ctx ends, and ends ctx where it can't.
func (s *Scheduler) keep(ctx context.Context, name string, since time.Time, lose context.CancelCauseFunc) {
	lease := s.o.Lease
	tick := time.NewTicker(lease / 6)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		began := time.Now()
		limited, cancel := context.WithDeadline(ctx, since.Add(lease/2))
		ok, err := s.store.Acquire(limited, name, s.owner, lease)
		cancel()
		switch {
		case err == nil && ok:
			since = began
		case err == nil, time.Since(since) >= lease/2:
			lose(errLost)
			return
		}
	}
}
