package memqueue_test

import (
	"bytes"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/spoolq/spool/driver"
)

// naive is a queue of one list of jobs that is searched from the start for
// everything: the contract, written down as directly as possible.
type naive struct {
	mu   sync.Mutex
	jobs []*naiveJob // in the order of being pushed or put back

	deliveries int
}

type naiveJob struct {
	queue    string
	id       string
	body     []byte
	attempts int
	due      time.Time // may be reserved from then on: delay, or end of the lease
	delivery int       // which delivery holds it; 0 for none
}

func (n *naive) Traits() driver.Traits {
	return driver.Traits{Driver: "naive", Lease: lease, Renew: lease / 2, Resolution: 1}
}

func (n *naive) Close() error { return nil }

func (n *naive) Push(_ context.Context, queue string, ms []driver.Message) ([]string, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	var ids []string
	for _, m := range ms {
		n.jobs = append(n.jobs, &naiveJob{queue: queue, id: m.ID, body: bytes.Clone(m.Body), due: time.Now().Add(m.Delay)})
		ids = append(ids, m.ID)
	}
	return ids, nil
}

func (n *naive) Reserve(_ context.Context, queue string, max int) ([]driver.Reservation, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := time.Now()
	var rs []driver.Reservation
	for _, j := range n.jobs {
		if len(rs) < max && j.queue == queue && !j.due.After(now) {
			n.deliveries++
			j.attempts++
			j.due, j.delivery = now.Add(lease), n.deliveries
			rs = append(rs, driver.Reservation{ID: j.id, Queue: queue, Body: bytes.Clone(j.body), Attempts: j.attempts, Receipt: n.deliveries})
		}
	}
	return rs, nil
}

// settle calls do with the job of each reservation that still holds it.
func (n *naive) settle(rs []driver.Reservation, do func(*naiveJob)) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	errs := make([]error, len(rs))
	for i, r := range rs {
		k := slices.IndexFunc(n.jobs, func(j *naiveJob) bool { return j.delivery == r.Receipt.(int) })
		if k < 0 {
			errs[i] = driver.ErrLost
			continue
		}
		do(n.jobs[k])
	}
	return driver.Outcomes(errs)
}

func (n *naive) remove(j *naiveJob) {
	n.jobs = slices.DeleteFunc(n.jobs, func(k *naiveJob) bool { return k == j })
}

func (n *naive) putBack(j *naiveJob, delay time.Duration) {
	j.due, j.delivery = time.Now().Add(delay), 0
	n.remove(j)
	n.jobs = append(n.jobs, j)
}

func (n *naive) Delete(_ context.Context, rs []driver.Reservation) error {
	return n.settle(rs, n.remove)
}

func (n *naive) Release(_ context.Context, rs []driver.Reservation, delay time.Duration) error {
	return n.settle(rs, func(j *naiveJob) { n.putBack(j, delay) })
}

func (n *naive) Return(_ context.Context, rs []driver.Reservation, delay time.Duration) error {
	return n.settle(rs, func(j *naiveJob) {
		j.attempts--
		n.putBack(j, delay)
	})
}

func (n *naive) Extend(_ context.Context, rs []driver.Reservation) error {
	return n.settle(rs, func(j *naiveJob) { j.due = time.Now().Add(lease) })
}

func (n *naive) Size(_ context.Context, queue string) (s driver.Size, _ error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, j := range n.jobs {
		switch {
		case j.queue != queue:
		case j.delivery > 0:
			s.Reserved++
		case j.due.After(time.Now()):
			s.Delayed++
		default:
			s.Pending++
		}
	}
	return s, nil
}

func (n *naive) Clear(_ context.Context, queue string) (int64, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	before := len(n.jobs)
	n.jobs = slices.DeleteFunc(n.jobs, func(j *naiveJob) bool { return j.queue == queue })
	return int64(before - len(n.jobs)), nil
}
