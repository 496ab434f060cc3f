package schedule

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/spoolq/spool"
)

// tickKey is the key of a payload that says what tick its job is of. PHP passes
// over it.
const tickKey = "spoolTick"

// Tick is what the job of an entry is told of why it runs.
type Tick struct {
	Name   string    // of the entry
	At     time.Time // when it was due, in UTC
	ByHand bool      // it was told to run now, at this time
}

// tickBody is the value of tickKey. A number is what stays the same when Redis
// writes a payload anew.
type tickBody struct {
	Name   string `json:"name"`
	At     int64  `json:"at"` // Unix time
	ByHand bool   `json:"byHand,omitempty"`
}

// TickFrom returns the tick that the job of a handler is of; false if no
// schedule has dispatched it. A retry of the job is of the same tick.
func TickFrom(ctx context.Context) (Tick, bool) {
	job := spool.JobFrom(ctx)
	if job == nil {
		return Tick{}, false
	}
	var body struct {
		Tick *tickBody `json:"spoolTick"`
	}
	if json.Unmarshal(job.Body, &body) != nil || body.Tick == nil {
		return Tick{}, false
	}
	b := body.Tick
	return Tick{Name: b.Name, At: time.Unix(b.At, 0).UTC(), ByHand: b.ByHand}, true
}

// UUID returns the uuid of the job of a tick: the same whoever dispatches it.
func (s *Scheduler) UUID(name string, tick time.Time) string {
	return spool.UUIDOf(fmt.Sprintf("schedule %s %s %d", s.o.App, name, tick.Unix()))
}

// dispatch dispatches the job of a tick.
func (s *Scheduler) dispatch(ctx context.Context, e *Entry, tick time.Time, byHand bool) (spool.Ref, error) {
	uuid := s.UUID(e.name, tick)
	if byHand {
		uuid = spool.NewUUID()
	}
	events := s.client.Manager().Events()
	opts := append(e.opts[:len(e.opts):len(e.opts)], spool.Extra(tickKey, tickBody{Name: e.name, At: tick.Unix(), ByHand: byHand}))
	ref, err := spool.DispatchAs(ctx, s.client, uuid, e.job, opts...)
	if err != nil {
		err = fmt.Errorf("schedule %s: %w", e.name, err)
		spool.Emit(ctx, events, spool.ScheduleFailed{Name: e.name, Tick: tick, Err: err})
		return ref, err
	}
	spool.Emit(ctx, events, spool.ScheduleDispatched{Name: e.name, Tick: tick, ByHand: byHand, Ref: ref})
	return ref, nil
}

// RunNow dispatches the job of an entry at once, paused or not, and changes
// nothing about its ticks.
func (s *Scheduler) RunNow(ctx context.Context, name string) (spool.Ref, error) {
	if err := s.Check(); err != nil {
		return spool.Ref{}, err
	}
	e, err := s.entry(name)
	if err != nil {
		return spool.Ref{}, err
	}
	return s.dispatch(ctx, e, s.now().Truncate(time.Second), true)
}
