package beanstalkqueue

import (
	"fmt"
	"time"

	"github.com/spoolq/spool/driver"
)

// A receipt ties a reservation to the connection that made it. The server
// knows only connections and jobs, so a connection that reserves a job again
// must tell its holders apart: the latest is in session.held.
type receipt struct {
	s     *session
	id    uint64
	queue string
	pri   uint32
	ttr   time.Duration

	// Under the lock of s.
	until time.Time // the lease ends no earlier; zero while it isn't known
	busy  *request  // a verb whose answer is on its way
}

// margin is how long before its end a lease is no longer relied on.
const margin = time.Second

// current says whether the reservation may still be the caller's. The lock of
// r.s is held.
func (r *receipt) current() bool { return r.s.err == nil && r.s.held[r.id] == r }

// doubtful says whether the lease may have ended, so that the job may be ready
// again, or somebody else's. The lock of r.s is held.
func (r *receipt) doubtful(now time.Time) bool { return now.After(r.until.Add(-margin)) }

// register notes the jobs that a request has reserved, whose queue is known
// ("" if it isn't), and returns their receipts and bodies in order. It is part
// of a finish: the session is locked, and the answers are in the order in
// which the server gave the jobs.
func (s *session) register(r *request, queue string) (receipts []*receipt, bodies [][]byte) {
	n := 0
	for _, a := range r.answers {
		if a.word == wordReserved {
			n++
		}
	}
	if n == 0 {
		return nil, nil
	}
	made := make([]receipt, n)
	receipts, bodies = make([]*receipt, 0, n), make([][]byte, 0, n)
	for _, a := range r.answers {
		if a.word != wordReserved {
			continue
		}
		rc := &made[len(receipts)]
		*rc = receipt{s: s, id: a.id, queue: queue}
		s.held[a.id] = rc
		receipts, bodies = append(receipts, rc), append(bodies, a.body)
	}
	if s.pulse == nil {
		s.pulse = time.AfterFunc(pulseEvery, s.beat)
	}
	return receipts, bodies
}

// pulseEvery is how often a connection that holds jobs is used at least.
// beanstalkd (1.12, and later ones so far) looks whether a lease has ended at the
// microsecond in which it does, finds that it hasn't, and doesn't look again
// until that connection sends something: a third of the leases of a quiet
// connection never end.
const pulseEvery = 500 * time.Millisecond

// beat sends something if nothing was sent for a while, as long as jobs are
// held.
func (s *session) beat() {
	now := time.Now()
	s.mu.Lock()
	quiet := s.err == nil && len(s.held) > 0 && now.Sub(s.sent) >= pulseEvery
	s.prune(now)
	if s.err == nil && len(s.held) > 0 {
		s.pulse.Reset(pulseEvery)
	} else {
		s.pulse = nil
	}
	s.mu.Unlock()
	if quiet {
		_ = s.send(&request{n: 1, text: []byte("list-tube-used\r\n")}) // if it fails, all is lost anyway
	}
}

// prune forgets jobs that nobody has settled, once the server must have taken
// them back. The session is locked.
func (s *session) prune(now time.Time) {
	for _, r := range s.held {
		if !r.until.IsZero() && r.busy == nil && now.After(r.until.Add(2*margin)) {
			delete(s.held, r.id)
		}
	}
}

// forget drops a reservation that is not the caller's any more. The session is
// locked.
func (s *session) forget(r *receipt) {
	if s.held[r.id] == r {
		delete(s.held, r.id)
	}
}

// holds says whether the connection holds jobs.
func (s *session) holds(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.prune(now)
	return len(s.held) > 0
}

// receipts returns those of reservations.
func receipts(rs []driver.Reservation) ([]*receipt, error) {
	held := make([]*receipt, len(rs))
	for i := range rs {
		r, ok := rs[i].Receipt.(*receipt)
		if !ok {
			return nil, fmt.Errorf("beanstalkqueue: item %d has the receipt %T of another driver", i, rs[i].Receipt)
		}
		held[i] = r
	}
	return held, nil
}
