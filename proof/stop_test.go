package proof

import (
	"testing"
	"time"

	"github.com/spoolq/spool/driver"
)

// SIGTERM in the middle of work: what ends within the grace is done, the rest
// is handed back as if it had never been taken, and nothing stays reserved.
func TestStoppedWorkersHandBack(t *testing.T) {
	const quick, slow, waiting = 20, 10, 30
	for _, kind := range returning() {
		t.Run(kind, func(t *testing.T) {
			p := newPlace(t, kind, 90*time.Second)
			s := p.use(t)
			f := newFleet(t, program{Place: p, Concurrency: (quick + slow) / 2, Grace: 1500 * time.Millisecond})
			f.startReady(2)
			work := make([]Work, quick+slow+waiting)
			for i := range work {
				switch {
				case i < quick:
					work[i].Take = 1000 * time.Millisecond
				default:
					work[i].Take = 20 * time.Second
				}
			}
			// Those that can't start wait behind those that have.
			uuids := s.dispatch(t, work[:quick+slow])
			eventually(t, 10*time.Second, func() bool { return len(s.list(t, driver.Reserved)) == quick+slow }, func() string {
				return "not all jobs have been taken"
			})
			uuids = append(uuids, s.dispatch(t, work[quick+slow:])...)
			f.stop()

			if got := s.list(t, driver.Reserved); len(got) != 0 {
				t.Errorf("%d jobs are still reserved", len(got))
			}
			left := append(s.list(t, driver.Pending), s.list(t, driver.Delayed)...)
			if len(left) != slow+waiting {
				t.Errorf("%d jobs are left, want %d", len(left), slow+waiting)
			}
			for _, e := range left {
				if e.Attempts != 0 {
					t.Errorf("a job that was handed back has %d attempts: %s", e.Attempts, e.Body)
				}
			}
			h := f.history()
			h.handedBack(t, uuids, quick, slow)
		})
	}
}

// The same where the server counts deliveries and can't take one back: what was
// cut off has one attempt behind it, what was waiting has none.
func TestStoppedWorkersHandBackCounted(t *testing.T) {
	const quick, slow, waiting = 20, 10, 30
	p := newPlace(t, onBeanstalkd, 90*time.Second)
	s := p.use(t)
	f := newFleet(t, program{Place: p, Concurrency: (quick + slow) / 2, Grace: 1500 * time.Millisecond})
	f.startReady(2)
	work := make([]Work, quick+slow+waiting)
	for i := range work {
		if work[i].Take = time.Second; i >= quick {
			work[i].Take = 20 * time.Second
		}
	}
	uuids := s.dispatch(t, work[:quick+slow])
	size := func() driver.Size {
		size, err := s.conn.Size(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		return size
	}
	eventually(t, 10*time.Second, func() bool { return size().Reserved == quick+slow }, func() string { return "not all jobs have been taken" })
	uuids = append(uuids, s.dispatch(t, work[quick+slow:])...)
	f.stop()

	if got := size(); got.Reserved != 0 || got.Total() != slow+waiting {
		t.Errorf("left are %+v, want %d, none of them reserved", got, slow+waiting)
	}
	attempts := map[int]int{}
	eventually(t, 30*time.Second, func() bool {
		rs, err := s.conn.Driver().Reserve(t.Context(), s.conn.Queue, slow+waiting)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range rs {
			attempts[r.Attempts]++
		}
		return attempts[1]+attempts[2] == slow+waiting
	}, func() string { return "not all that was left has come again" })
	if attempts[1] != waiting || attempts[2] != slow {
		t.Errorf("by attempt the jobs that were left are %v, want %d at the first and %d at the second", attempts, waiting, slow)
	}
	f.history().handedBack(t, uuids, quick, slow)
}

// handedBack checks that the first jobs ended, the next were cut off, and the
// rest never ran.
func (h *history) handedBack(t *testing.T, uuids []string, quick, slow int) {
	t.Helper()
	for i, uuid := range uuids {
		rs := h.runs[uuid]
		switch {
		case i < quick && (len(rs) != 1 || rs[0].how != ended):
			t.Errorf("a job that ends within the grace: %+v", rs)
		case i >= quick && i < quick+slow && (len(rs) != 1 || rs[0].how != cancelled || rs[0].attempt != 1):
			t.Errorf("a job that doesn't: %+v", rs)
		case i >= quick+slow && len(rs) != 0:
			t.Errorf("a job that was waiting: %+v", rs)
		}
	}
}

// list returns the jobs of a state; there must be fewer than 1000.
func (s *store) list(t *testing.T, state driver.State) []driver.Entry {
	t.Helper()
	es, next, err := s.conn.List(t.Context(), "", state, "", 1000)
	if err != nil || next != "" {
		t.Fatalf("list %s: %v (next page %q)", state, err, next)
	}
	return es
}
