package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/driver"
)

// ErrNotTaken says that a job is not among those that the worker was told to
// take.
var ErrNotTaken = errors.New("not one of the names that this worker takes")

// only is what a worker knows that takes the jobs of some names only. Its last
// three fields are the loop's own.
type only struct {
	names    map[string]bool
	handlers map[*spool.Handler]bool

	from driver.Selector // nil: the backend, or the format, can't select
	jobs *driver.Selection
	took time.Duration // the last look
	pace time.Duration // least time between looks in vain
}

// A look at a queue in which nothing is wanted is in vain however many jobs it
// holds, and costs the store time. So the pace of such looks slows down, and
// they never take more than a small share of the time.
const (
	shortestPace = 20 * time.Millisecond
	longestPace  = time.Second
	lookShare    = 20 // of the time, one part for looks
)

// limit prepares Options.Only.
func (w *Worker) limit() error {
	if len(w.o.Only) == 0 {
		return nil
	}
	o := &only{names: map[string]bool{}, handlers: map[*spool.Handler]bool{}, pace: shortestPace}
	var names []string
	add := func(name string) {
		if !o.names[name] {
			o.names[name] = true
			names = append(names, name)
		}
	}
	for _, name := range w.o.Only {
		h := w.mux.Lookup(name)
		if h == nil {
			return fmt.Errorf("no handler has the name %q, the only jobs of which should be taken; there are handlers for %q", name, w.mux.Names())
		}
		o.handlers[h] = true
		add(name)
		for _, other := range h.Names() {
			if w.mux.Lookup(other) == h {
				add(other)
			}
		}
	}
	if f, ok := w.conn.Format.(spool.NameSelector); ok {
		if s, ok := f.SelectNames(names); ok {
			o.from, _ = w.drv.(driver.Selector)
			o.jobs = s
		}
	}
	w.only = o
	return nil
}

// take reserves up to n jobs of a queue: those that the worker was told to take,
// where the store can tell them from the others.
func (w *Worker) take(ctx context.Context, queue string, n int) ([]driver.Reservation, error) {
	o := w.only
	if o == nil || o.from == nil {
		return w.drv.Reserve(ctx, queue, n)
	}
	begun := time.Now()
	rs, err := o.from.ReserveMatching(ctx, queue, n, o.jobs)
	o.took = max(o.took, time.Since(begun))
	if errors.Is(err, errors.ErrUnsupported) {
		o.from = nil
		return w.drv.Reserve(ctx, queue, n)
	}
	return rs, err
}

// handlerOf returns the handler of a job; nil if there is none, or if the job is
// not to be taken.
func (w *Worker) handlerOf(name string) (*spool.Handler, error) {
	h := w.mux.Lookup(name)
	switch o := w.only; {
	case o != nil && !o.names[name] && !o.handlers[h]:
		return nil, ErrNotTaken
	case h == nil:
		return nil, ErrUnknownJob
	}
	return h, nil
}

// spare keeps looks in vain apart, after a wait that took so long. A wait that
// was cut short by jobs that aren't wanted makes them rarer.
func (w *Worker) spare(ctx context.Context, waited time.Duration, begun time.Time) {
	o := w.only
	if o == nil || o.from == nil {
		return
	}
	least := min(max(o.pace, lookShare*o.took), w.o.Sleep)
	o.took = 0
	if waited >= least {
		o.pace = shortestPace
		return
	}
	o.pace = min(2*o.pace, longestPace)
	w.sleep(ctx, nil, least-waited, begun)
}

// foundSome has the next look in vain be followed by another one soon.
func (o *only) foundSome() {
	if o != nil {
		o.pace, o.took = shortestPace, 0
	}
}
