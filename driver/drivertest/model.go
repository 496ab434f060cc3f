package drivertest

import (
	"flag"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/memqueue"
)

var seedFlag = flag.Uint64("drivertest.seed", 0, "seed of the random run that drivers are compared with the model by; 0 means a new one")

// modelTime is how long the random run of the suite takes.
const modelTime = 12 * time.Second

// How many queues the random run uses at once: many in real time, most of which
// a lane waits for leases and delays; few where hours pass in no time.
const (
	modelLanes  = 16
	bubbleLanes = 4
)

func modelCases() []testCase {
	return []testCase{{name: "a random run agrees with the model", needs: []capability{storage}, slow: true, run: func(f *fixture) {
		f.compareWithModel(modelTime, modelLanes)
	}}}
}

// Model compares the driver with memqueue over a random run of pushes,
// reserves, deletes, releases, returns, extends, clears and waiting, which
// takes about d. The seed is logged; give it again with -drivertest.seed to
// choose the same operations. [Run] includes a short one. With a driver that
// lives in a testing/synctest bubble hours pass in no time; fewer queues are
// used at once in a run over half an hour.
//
// The clock can't make it fail: it looks only at moments in which every delay
// and lease has either surely ended or surely not, given the driver's
// resolution, and where the machine was too slow for that, starts anew.
func Model(t *testing.T, open func(t *testing.T) Harness, d time.Duration) {
	t.Helper()
	f := newFixture(t, open(t))
	if f.traits.Instant || f.h.Discards {
		t.Skip("the driver stores no jobs")
	}
	lanes := modelLanes
	if d > time.Hour/2 {
		lanes = bubbleLanes
	}
	f.compareWithModel(d, lanes)
}

func (f *fixture) compareWithModel(d time.Duration, n int) {
	f.Helper()
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64()
	}
	f.Logf("repeat with -drivertest.seed=%d", seed)
	end := time.Now().Add(d)
	lanes := make([]*lane, n)
	errs := make([]error, n)
	var running sync.WaitGroup
	for i := range lanes {
		lanes[i] = &lane{f: f, rng: rand.New(rand.NewPCG(seed, uint64(i))), budget: 300 * time.Millisecond}
		lanes[i].reset()
		running.Go(func() { errs[i] = lanes[i].run(end) })
	}
	running.Wait()
	steps, deliveries, slow := 0, 0, 0
	for i, l := range lanes {
		if errs[i] != nil {
			f.Errorf("lane %d: %v\n%s", i, errs[i], l.story())
		}
		steps, deliveries, slow = steps+l.steps, deliveries+l.deliveries, slow+l.slow
	}
	f.Logf("%d steps and %d deliveries compared; started anew %d times", steps, deliveries, slow)
	if !f.Failed() && deliveries == 0 {
		f.Errorf("nothing could be compared: the machine was too slow %d times", slow)
	}
}

// A lane is one queue in the driver and its counterpart in a model, to which
// the same things are done.
type lane struct {
	f     *fixture
	rng   *rand.Rand
	q     string
	model *memqueue.Conn
	jobs  map[string]*tracked // by id
	held  map[string]pair     // latest reservation of jobs reserved and not settled
	dead  []pair              // reservations of deleted jobs

	budget                  time.Duration // what a step may take
	steps, deliveries, slow int
	lines                   []string // what was done lately
}

// tracked is what a lane knows about a job.
type tracked struct {
	fresh bool // pushed without delay and not delivered yet: its order is known
	// From lo to hi it is open whether its delay or lease has ended. Zero if it
	// waits for nothing.
	lo, hi time.Time
}

// pair is a reservation of the same job by both.
type pair struct{ driver, model driver.Reservation }

// reset begins anew on a queue of its own.
func (l *lane) reset() {
	l.q = l.f.queue("model")
	lease := l.f.traits.Lease
	l.model = memqueue.New(&memqueue.Options{RetryAfter: lease, KeepExpired: lease == 0})
	l.jobs, l.held, l.dead = map[string]*tracked{}, map[string]pair{}, nil
	l.lines = nil
}

// run takes steps until end, then empties the queue.
func (l *lane) run(end time.Time) error {
	for time.Now().Before(end) {
		pause := time.Duration(0)
		if l.rng.IntN(2) == 0 {
			pause = time.Duration(l.rng.Int64N(int64(5 * time.Second)))
		}
		if err := l.try(pause, l.step); err != nil {
			return err
		}
	}
	return l.try(0, l.finish)
}

// try waits for pause and until nothing is open, and takes a step. A step
// that met something open because it took too long doesn't count.
func (l *lane) try(pause time.Duration, step func() error) error {
	time.Sleep(time.Until(l.clear(time.Now().Add(pause))))
	start := time.Now()
	err := step()
	if l.open(start, time.Now()) {
		l.slow++
		l.budget = min(2*l.budget, 3*time.Second)
		l.reset()
		return nil
	}
	l.steps++
	return err
}

// open reports whether a delay or lease may or may not have ended at some time
// between two moments.
func (l *lane) open(from, to time.Time) bool {
	for _, j := range l.jobs {
		if !j.lo.IsZero() && !j.lo.After(to) && !j.hi.Before(from) {
			return true
		}
	}
	return false
}

// clear returns the first moment from t on at which a step can be taken
// without anything being open meanwhile.
func (l *lane) clear(t time.Time) time.Time {
	for again := true; again; {
		again = false
		for _, j := range l.jobs {
			if !j.lo.IsZero() && !j.lo.After(t.Add(l.budget)) && !j.hi.Before(t) {
				t, again = j.hi.Add(time.Millisecond), true
			}
		}
	}
	return t
}

// waitsFor notes that a job's delay of d began between two moments. Delays
// never end early.
func (l *lane) waitsFor(j *tracked, from, to time.Time, d time.Duration) {
	j.lo, j.hi = time.Time{}, time.Time{}
	if d > 0 {
		j.lo, j.hi = from.Add(d-clockSlack), to.Add(d+l.f.traits.Resolution+clockSlack)
	}
}

// leasedFrom notes that a job's lease began between two moments. It may end
// early by the resolution.
func (l *lane) leasedFrom(j *tracked, from, to time.Time) {
	l.waitsFor(j, from, to, l.f.traits.Lease)
	if !j.lo.IsZero() {
		j.lo = j.lo.Add(-l.f.traits.Resolution)
	}
}
