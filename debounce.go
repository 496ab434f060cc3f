package spool

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// debounce are the options of a job that is debounced.
type debounce struct {
	on   bool
	wait time.Duration
	id   string
	most time.Duration
}

// Debounce dispatches a job to run after a quiet time: one of the same name and
// id that was dispatched before, and has not begun, is dropped in favour of this
// one (Laravel 13's DebounceFor). A delay of the dispatch wins over wait. A chain
// that begins with the job is dropped with it, unless it is part of a batch.
//
// Each job has a mark that says when it was dispatched, and the cache the mark
// of the last one; a worker drops a job whose mark is older and raises
// [JobDebounced]. What the cache doesn't know runs: a crash, or a cache that is
// down, may have a job run that another takes the place of, but never loses one.
func Debounce(wait time.Duration, id string) DispatchOption {
	return dispatchOption(func(d *dispatch) { d.debounce.on, d.debounce.wait, d.debounce.id = true, max(wait, 0), id })
}

// MaxWait bounds how long further dispatches can put off a job that is
// debounced: the first one after d goes out without a delay. The default is no
// bound.
func MaxWait(d time.Duration) DispatchOption {
	return dispatchOption(func(s *dispatch) { s.debounce.most = max(d, 0) })
}

// DebouncedBy tells a handler the id of jobs that PHP has dispatched with
// DebounceFor, which PHP stores nowhere.
func DebouncedBy(id func(job *Job) (string, error)) HandlerOption {
	return handlerOption(func(h *Handler) { h.debounceID = id })
}

// mark returns the owner of a job that is debounced: 40 characters, as
// Laravel's, of which the first 20 are the time in nanoseconds, or a later one
// than that of the mark before.
func (m *Manager) mark() string {
	for {
		last := m.lastMark.Load()
		next := max(time.Now().UnixNano(), last+1)
		if m.lastMark.CompareAndSwap(last, next) {
			return fmt.Sprintf("%020d%s", next, rand.Text()[:20])
		}
	}
}

// firstOf names the time at which the first of several jobs was dispatched.
func firstOf(key string) string { return key + ":first_dispatched_at" }

// debounced returns the claim of a job that is debounced, nil if it isn't, and
// its delay.
func (c *Client) debounced(ctx context.Context, conn *Connection, w wanted, i int) (*Claim, time.Duration, error) {
	d, delay := w.o.debounce, w.o.delay
	if !d.on {
		return nil, delay, nil
	}
	if c.manager.signals == nil {
		return nil, delay, ErrNoLocks
	}
	key := KeysOf(conn.Format).Debounced(w.names[i], w.o.display, d.id)
	if delay <= 0 {
		delay = d.wait
	}
	if d.most > 0 {
		values, err := c.manager.signals.Many(ctx, firstOf(key))
		if err != nil {
			return nil, delay, err
		}
		if first, err := strconv.ParseInt(values[firstOf(key)], 10, 64); err != nil {
			err = c.manager.signals.Put(ctx, firstOf(key), w.now.Unix(), markFor(d.wait+d.most))
			if err != nil {
				return nil, delay, err
			}
		} else if w.now.Sub(time.Unix(first, 0)) >= d.most {
			delay = 0
			if err := c.manager.signals.Forget(ctx, firstOf(key)); err != nil {
				return nil, delay, err
			}
		}
	}
	return &Claim{Key: key, Owner: c.manager.mark()}, delay, nil
}

// markFor is how long the last mark is kept: ten times the wait, and at least
// five minutes, as in Laravel.
func markFor(wait time.Duration) time.Duration { return max(10*wait, 5*time.Minute) }

// markLast makes jobs that were stored the last ones. That comes after the
// push: before it, a push that fails would drop both the job and the one before.
func (c *Client) markLast(ctx context.Context, jobs []prepared) {
	for _, j := range jobs {
		if j.debounced == nil {
			continue
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), unlockTimeout)
		// If it fails the job before this one runs too.
		_ = c.manager.signals.Put(ctx, j.debounced.Key, j.debounced.Owner, markFor(j.msg.Delay))
		cancel()
	}
}

// debouncedClaim returns the mark of a job that is debounced, nil if it isn't.
func (j *Job) debouncedClaim() (*Claim, error) {
	p, h := j.Payload, j.Handler
	if p == nil || p.Debounced == nil {
		return nil, nil //nolint:nilnil // none, and no error
	}
	if p.Debounced.Key != "" {
		return p.Debounced, nil
	}
	if h == nil || h.debounceID == nil {
		return nil, nil //nolint:nilnil // as above
	}
	id, err := h.debounceID(j)
	if err != nil {
		return nil, err
	}
	return &Claim{Key: KeysOf(j.Format).Debounced(p.Name, p.DisplayName, id), Owner: p.Debounced.Owner}, nil
}

// supersede drops a job that another one has taken the place of.
func (m *Manager) supersede(ctx context.Context, e JobProcessing) {
	c, err := e.Job.debouncedClaim()
	if err != nil || c == nil || e.Job.Attempt > 1 { // one that has begun goes on
		return
	}
	ctx, cancel := context.WithTimeout(ctx, unlockTimeout)
	defer cancel()
	values, err := m.signals.Many(ctx, c.Key)
	last, ok := values[c.Key]
	switch {
	case errors.Is(err, context.Canceled):
		return
	case err == nil && ok && last != c.Owner && !older(last, c.Owner):
		// Its chain ends here, for that one brings its own; but not the chain of a
		// batch, which waits for each of its links.
		e.Job.stale = e.Job.Payload.BatchID == ""
		e.Job.Delete()
		Emit(ctx, m.events, JobDebounced{Job: e.Job, Key: c.Key})
	default:
		_ = m.signals.Forget(ctx, firstOf(c.Key)) // or it ends by itself
	}
}

// older says whether mark a was made before mark b. PHP's marks have no order.
func older(a, b string) bool {
	t1, err1 := strconv.ParseInt(a[:min(20, len(a))], 10, 64)
	t2, err2 := strconv.ParseInt(b[:min(20, len(b))], 10, 64)
	return err1 == nil && err2 == nil && t1 < t2
}
