package proof

import (
	"cmp"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/spoolq/spool/failed"
)

// jobs is how many jobs the large runs have.
func jobs(t *testing.T) int {
	t.Helper()
	if testing.Short() {
		return 2_000
	}
	return 20_000 * scale(t)
}

// scale is how much larger than usual the large runs are.
func scale(t *testing.T) int {
	t.Helper()
	n, err := strconv.Atoi(cmp.Or(os.Getenv("SPOOL_PROOF_SCALE"), "1"))
	if err != nil || n < 1 {
		t.Fatalf("SPOOL_PROOF_SCALE must be a whole number from 1")
	}
	return n
}

// bound is how long a large run may take before something is wrong.
func bound(t *testing.T) time.Duration {
	t.Helper()
	return time.Duration(scale(t)) * time.Minute
}

// random returns random numbers whose seed is logged.
func random(t *testing.T) *rand.Rand {
	t.Helper()
	seed := rand.Uint64()
	if s := os.Getenv("SPOOL_PROOF_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatalf("SPOOL_PROOF_SEED: %v", err)
		}
	}
	t.Logf("SPOOL_PROOF_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// Two processes, and nothing goes wrong: every job runs exactly once.
func TestTwoWorkersRunEachJobOnce(t *testing.T) {
	for _, kind := range kinds() {
		t.Run(kind, func(t *testing.T) {
			p := newPlace(t, kind, 90*time.Second)
			s := p.use(t)
			f := newFleet(t, program{Place: p, Concurrency: 50})
			f.startReady(2)
			uuids := s.dispatch(t, make([]Work, jobs(t)))
			s.awaitEmpty(t, bound(t))
			f.stop()
			h := f.history()
			h.once(t, uuids)
			for _, p := range f.processes {
				if n := h.jobs[p.cmd.Process.Pid]; n < len(uuids)/20 {
					t.Errorf("worker %d ran only %d jobs", p.cmd.Process.Pid, n)
				}
			}
			t.Logf("%d jobs run by two processes: %.0f/s", h.n, h.rate())
		})
	}
}

// Random workers are killed all the time: no job is lost, and none runs twice
// at a time.
func TestKilledWorkers(t *testing.T) {
	for _, kind := range kinds() {
		t.Run(kind, func(t *testing.T) {
			t.Parallel() // most of the time they wait
			rnd := random(t)
			p := newPlace(t, kind, 5*time.Second)
			s := p.use(t)
			f := newFleet(t, program{Place: p, Concurrency: 50})
			work := mixedWork(rnd, jobs(t))
			running := f.startReady(2)
			uuids := s.dispatch(t, work)
			kills := 8 * scale(t)
			for range kills {
				time.Sleep(time.Duration(300+rnd.IntN(900)) * time.Millisecond) // the pace of the disaster
				i := rnd.IntN(len(running))
				f.kill(running[i])
				running[i] = f.start()
			}
			s.awaitEmpty(t, bound(t))
			f.stop()
			h := f.history()
			h.known(t, uuids)
			h.apart(t)
			h.counted(t)
			s.failedAre(t, uuids, work)
			t.Logf("%d runs of %d jobs, %d cut off by %d kills: %.0f/s", h.n, len(uuids), h.count(""), kills, h.rate())
			if h.count("") == 0 {
				t.Error("no kill has hit a running job: the test has shown nothing")
			}
		})
	}
}

// mixedWork is mostly short, some of it takes longer than a lease, and some
// fails.
func mixedWork(rnd *rand.Rand, n int) []Work {
	work := make([]Work, n)
	for i := range work {
		work[i].Take = time.Duration(rnd.Int64N(int64(50 * time.Millisecond)))
	}
	for range 24 {
		work[rnd.IntN(n)].Take = 7 * time.Second
	}
	for range n / 200 {
		work[rnd.IntN(n)].Fail = true
	}
	return work
}

// failedAre checks that the jobs told to fail are on record, each once, and no
// others.
func (s *store) failedAre(t *testing.T, uuids []string, work []Work) {
	t.Helper()
	var want, got []string
	for i, w := range work {
		if w.Fail {
			want = append(want, uuids[i])
		}
	}
	for cursor := ""; ; {
		page, next, err := s.failed.List(t.Context(), failed.Filter{}, cursor, 1000)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range page {
			got = append(got, r.UUID)
		}
		if cursor = next; cursor == "" {
			break
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(want, got) {
		t.Errorf("%d jobs are on record as failed, want the %d that were told to fail", len(got), len(want))
	}
}
