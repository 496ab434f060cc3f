package beanstalkqueue

import (
	"context"
	"strconv"
	"time"

	"github.com/spoolq/spool/driver"
)

// A verb is a command over reserved jobs.
type verb struct {
	name  string
	args  func(text []byte, r *receipt) []byte // behind the id; nil for none
	done  string                               // the answer if all went well
	keeps bool                                 // the job stays reserved
}

var (
	remove = verb{name: "delete", done: wordDeleted}
	touch  = verb{name: "touch", done: wordTouched, keeps: true}
	bury   = verb{name: "bury", args: priority, done: wordBuried}
)

func priority(text []byte, r *receipt) []byte {
	return strconv.AppendUint(append(text, ' '), uint64(r.pri), 10)
}

func release(delay time.Duration) verb {
	return verb{name: "release", done: wordReleased, args: func(text []byte, r *receipt) []byte {
		return appendSeconds(append(priority(text, r), ' '), delay)
	}}
}

// Delete removes the jobs for good. An item is [driver.ErrLost] if it was
// settled before, if its lease ran out, or if the connection that held it is gone.
func (c *Conn) Delete(ctx context.Context, rs []driver.Reservation) error {
	return c.settle(ctx, remove, rs)
}

// Release makes the jobs available again after delay, with the priority they
// had. One that is released without delay goes before jobs of its priority that
// were pushed later.
func (c *Conn) Release(ctx context.Context, rs []driver.Reservation, delay time.Duration) error {
	if delay > c.traits.MaxDelay {
		return &driver.LimitError{What: "delay", Have: int64(delay), Max: int64(c.traits.MaxDelay)}
	}
	return c.settle(ctx, release(delay), rs)
}

// Extend makes the leases end a full time to run from now, each its own. It
// answers at once for jobs whose connection is gone.
func (c *Conn) Extend(ctx context.Context, rs []driver.Reservation) error {
	return c.settle(ctx, touch, rs)
}

// Lost returns a channel that is closed when a connection ends next that holds
// jobs. By then Extend answers [driver.ErrLost] for them.
func (c *Conn) Lost() <-chan struct{} { return c.lost.next() }

// Bury sets the jobs aside, attempts counted: nobody gets them until they are
// kicked. Outcomes are as for Delete. Laravel has no way to get them back.
func (c *Conn) Bury(ctx context.Context, rs []driver.Reservation) error {
	return c.settle(ctx, bury, rs)
}

// settle does the verb to each reservation that is still the caller's, on the
// connection that holds it.
func (c *Conn) settle(ctx context.Context, v verb, rs []driver.Reservation) error {
	if err := c.check(ctx); err != nil {
		return err
	}
	held, err := receipts(rs)
	if err != nil || len(rs) == 0 {
		return err
	}
	var sessions []*session
	groups := map[*session][]int{}
	for i, r := range held {
		if groups[r.s] == nil {
			sessions = append(sessions, r.s)
		}
		groups[r.s] = append(groups[r.s], i)
	}
	errs := make([]error, len(rs))
	for _, s := range sessions {
		at := groups[s]
		group := make([]*receipt, len(at))
		for j, i := range at {
			group[j] = held[i]
		}
		outcomes, err := s.settle(ctx, v, group)
		if err != nil && len(sessions) == 1 {
			return err
		}
		for j, i := range at {
			switch {
			case err != nil: // unknown for these, known for the others
				errs[i] = err
			case outcomes != nil:
				errs[i] = outcomes[j]
			}
		}
	}
	return driver.Outcomes(errs)
}

// settle does the verb to jobs of this connection and returns their outcomes,
// nil if all went well, or an error if they are unknown.
func (s *session) settle(ctx context.Context, v verb, group []*receipt) ([]error, error) {
	if !v.keeps {
		// The server deletes jobs that are ready for anybody who asks, so what
		// it may have taken back must be renewed, or found lost, beforehand.
		if late := s.late(group); len(late) > 0 {
			if _, err := s.settle(ctx, touch, late); err != nil {
				return nil, err
			}
		}
	}
	for {
		r, outcomes, other := s.compose(v, group)
		switch {
		case other != nil: // an earlier call that was given up; it decides
			if err := other.wait(ctx); err != nil && ctx.Err() != nil {
				return nil, err
			}
			continue
		case r == nil:
			return outcomes.errs, nil
		}
		if err := s.do(ctx, r); err != nil {
			return nil, err
		}
		return outcomes.errs, nil
	}
}

// late returns those whose leases may have ended.
func (s *session) late(group []*receipt) []*receipt {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	var late []*receipt
	for _, r := range group {
		if r.current() && r.doubtful(now) {
			late = append(late, r)
		}
	}
	return late
}

// outcomes are the errors of a group; none are allocated while all goes well.
type outcomes struct {
	errs []error
	n    int
}

func (o *outcomes) set(i int, err error) {
	if o.errs == nil {
		o.errs = make([]error, o.n)
	}
	o.errs[i] = err
}

// compose makes the request that does the verb to those of a group that are
// held; nil if none is. If one of them has a request under way, it returns that
// instead.
func (s *session) compose(v verb, group []*receipt) (r *request, o *outcomes, other *request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, rc := range group {
		if rc.busy != nil && rc.current() {
			return nil, nil, rc.busy
		}
	}
	o = &outcomes{n: len(group)}
	r = &request{done: make(chan struct{}), text: make([]byte, 0, 32*len(group))}
	at := make([]int, 0, len(group))
	for i, rc := range group {
		if !rc.current() || rc.busy == r {
			o.set(i, driver.ErrLost)
			continue
		}
		rc.busy = r
		r.text = strconv.AppendUint(append(append(r.text, v.name...), ' '), rc.id, 10)
		if v.args != nil {
			r.text = v.args(r.text, rc)
		}
		r.text = append(r.text, "\r\n"...)
		at = append(at, i)
	}
	if r.n = len(at); r.n == 0 {
		return nil, o, nil
	}
	r.finish = func(s *session, r *request) {
		for j, i := range at {
			group[i].busy = nil
			if err := v.outcome(s, group[i], r.answers[j].word, r.sent); err != nil {
				o.set(i, err)
			}
		}
	}
	return r, o, nil
}

// outcome notes what the server answered for one job. The session is locked.
func (v verb) outcome(s *session, r *receipt, word string, sent time.Time) error {
	switch {
	case s.held[r.id] != r: // it ended, and this connection has reserved the job again
		return driver.ErrLost
	case word == v.done && v.keeps:
		r.until = sent.Add(r.ttr)
		return nil
	case word == v.done:
		s.forget(r)
		return nil
	case word == wordNotFound:
		s.forget(r)
		return driver.ErrLost
	case word == wordBuried:
		s.forget(r)
	}
	return &ServerError{Command: v.name + " " + strconv.FormatUint(r.id, 10), Word: word}
}
