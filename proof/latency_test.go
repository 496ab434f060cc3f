package proof

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/memqueue"
	"github.com/spoolq/spool/worker"
)

const onMemory = "memory"

// Loose bounds of the median time from before the dispatch to the start of the
// handler, with a worker that has nothing to do: far above what is usual, far
// below what polling would need.
var (
	sameProcess = map[string]time.Duration{
		onMemory: 50 * time.Millisecond, onSQLite: 50 * time.Millisecond, onRedis: 50 * time.Millisecond,
		onMySQL: 50 * time.Millisecond, onPostgres: 50 * time.Millisecond,
		onBeanstalkd: 50 * time.Millisecond,
	}
	// SQLite and MySQL have no way to tell another process: it looks by itself,
	// the rarer the longer nothing came.
	otherProcess = map[string]time.Duration{
		onSQLite: 150 * time.Millisecond, onRedis: 50 * time.Millisecond,
		onMySQL: time.Second, onPostgres: 50 * time.Millisecond, onBeanstalkd: 50 * time.Millisecond,
	}
)

// tries is how many jobs are dispatched for one measurement, and how long the
// worker had nothing to do before each. The few after a long time are what
// tells a wake-up from a poll, whose interval has grown by then.
type tries struct {
	name  string
	n     int
	least time.Duration
}

func measurements() []tries {
	return []tries{{"idle for a moment", 100, 20 * time.Millisecond}, {"idle for long", 5, 1500 * time.Millisecond}}
}

// pause waits before a try: the idleness is what is measured.
func (m tries) pause() { time.Sleep(m.least + rand.N(30*time.Millisecond)) }

// latency is what one job waited for.
type latency struct {
	push  time.Duration // from before the dispatch to its end
	start time.Duration // from before the dispatch to the start of the handler
}

// report logs the latencies and checks their median. To push and to reserve
// are a commit each, which on a busy disk takes what it takes: that is added
// to the bound as it was measured.
func report(t *testing.T, where string, m tries, took []latency, bound time.Duration) {
	t.Helper()
	push, start := make([]time.Duration, len(took)), make([]time.Duration, len(took))
	for i, l := range took {
		push[i], start[i] = l.push, l.start
	}
	slices.Sort(push)
	slices.Sort(start)
	p50, p99 := start[len(start)/2], start[len(start)*99/100]
	commit := push[len(push)/2]
	t.Logf("%s, %s: p50 %v, p99 %v, of which to push %v, %d tries", where, m.name,
		p50.Round(time.Microsecond), p99.Round(time.Microsecond), commit.Round(time.Microsecond), len(took))
	if testing.Short() { // the race detector and its neighbours are what would be measured
		return
	}
	if bound += 6 * commit; p50 > bound {
		t.Errorf("%s, %s: half of the jobs waited longer than %v for their handler, want at most %v", where, m.name, p50, bound)
	}
}

// A dispatch wakes the worker of the same process directly. All stores are
// measured at the same time: they have nothing to do.
func TestIdleLatencyInOneProcess(t *testing.T) {
	all := map[string]*local{}
	for _, kind := range append([]string{onMemory}, kinds()...) {
		all[kind] = newLocal(t, kind)
	}
	var measuring sync.WaitGroup
	for _, l := range all {
		measuring.Go(func() { l.measure(t) })
	}
	measuring.Wait()
	for kind, l := range all {
		for i, m := range measurements() {
			if i >= len(l.took) {
				break // it has said why
			}
			report(t, kind+", same process", m, l.took[i], sameProcess[kind])
		}
	}
}

// local is a queue with a worker in this process.
type local struct {
	client *spool.Client
	conn   *spool.Connection
	mux    *spool.Mux
	begun  chan time.Time // of each handler
	took   [][]latency
}

func newLocal(t *testing.T, kind string) *local {
	t.Helper()
	l := &local{mux: spool.NewMux(), begun: make(chan time.Time, 1)}
	l.client, l.conn = localQueue(t, kind)
	spool.Handle(l.mux, func(context.Context, Work) error {
		l.begun <- time.Now()
		return nil
	})
	return l
}

// measure runs the worker as long as it dispatches.
func (l *local) measure(t *testing.T) {
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	running.Go(func() {
		if _, err := worker.New(l.conn, l.mux, nil).Run(ctx); err != nil {
			t.Error(err)
		}
	})
	for _, m := range measurements() {
		took := make([]latency, m.n)
		for i := range took {
			m.pause()
			before := time.Now()
			if _, err := spool.Dispatch(ctx, l.client, Work{}); err != nil {
				t.Error(err)
				return
			}
			took[i].push = time.Since(before)
			select {
			case at := <-l.begun:
				took[i].start = at.Sub(before)
			case <-ctx.Done():
				t.Errorf("%s: a job was never run", l.conn.Name)
				return
			}
		}
		l.took = append(l.took, took)
	}
}

// localQueue opens an empty queue in this process.
func localQueue(t *testing.T, kind string) (*spool.Client, *spool.Connection) {
	t.Helper()
	if kind != onMemory {
		s := newPlace(t, kind, 90*time.Second).use(t)
		return s.client, s.conn
	}
	m := spool.NewManager(nil)
	m.Add(spool.ConnectionConfig{Name: kind, Open: func(context.Context) (driver.Conn, error) { return memqueue.New(nil), nil }})
	conn, err := m.Connection(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return spool.NewClient(m, nil), conn
}

// A dispatch wakes the worker of another process where the store can carry the
// news. All stores are measured at the same time: they have nothing to do.
func TestIdleLatencyInAnotherProcess(t *testing.T) {
	stores, fleets := map[string]*store{}, map[string]*fleet{}
	for _, kind := range kinds() {
		p := newPlace(t, kind, 90*time.Second)
		stores[kind], fleets[kind] = p.use(t), newFleet(t, program{Place: p})
		fleets[kind].startReady(1)
	}
	type sent struct {
		uuid string
		at   time.Time
		push time.Duration
	}
	all := map[string][][]sent{}
	var mu sync.Mutex
	var measuring sync.WaitGroup
	for kind, s := range stores {
		measuring.Go(func() {
			for _, m := range measurements() {
				var jobs []sent
				for range m.n {
					m.pause()
					before := time.Now()
					ref, err := spool.Dispatch(t.Context(), s.client, Work{})
					if err != nil {
						t.Error(err)
						return
					}
					jobs = append(jobs, sent{ref.UUID, before, time.Since(before)})
				}
				mu.Lock()
				all[kind] = append(all[kind], jobs)
				mu.Unlock()
			}
		})
	}
	measuring.Wait()
	for _, kind := range kinds() {
		t.Run(kind, func(t *testing.T) {
			stores[kind].awaitEmpty(t, 10*time.Second)
			fleets[kind].stop()
			runs := fleets[kind].history().runs
			for i, m := range measurements() {
				var took []latency
				for _, job := range all[kind][i] {
					if len(runs[job.uuid]) != 1 {
						t.Fatalf("job %s ran %d times", job.uuid, len(runs[job.uuid]))
					}
					took = append(took, latency{job.push, time.Duration(runs[job.uuid][0].start - job.at.UnixNano())})
				}
				report(t, kind+", another process", m, took, otherProcess[kind])
			}
		})
	}
}
