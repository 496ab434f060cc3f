package proof

import (
	"testing"
	"time"

	"github.com/spoolq/spool/internal/testserver"
)

// The server is killed and started again under load, once for a moment and
// once for longer than a lease: all jobs run, the same worker processes go on
// by themselves, and what ran during the long outage was cancelled before
// anybody else could take it.
func TestServerCut(t *testing.T) {
	servers := map[string]func(testing.TB, ...string) *testserver.Server{
		onRedis: testserver.NewRedis, onMySQL: testserver.NewMySQL, onPostgres: testserver.NewPostgres,
		onBeanstalkd: testserver.NewBeanstalkd,
	}
	for kind, start := range servers {
		t.Run(kind, func(t *testing.T) {
			t.Parallel() // most of the time they wait
			server := start(t)
			p := place{Kind: kind, Address: server.DSN, RetryAfter: 4 * time.Second}.prepare(t)
			s := p.use(t)
			f := newFleet(t, program{Place: p, Concurrency: 20})
			rnd := random(t)
			work := make([]Work, jobs(t)/4)
			for i := range work {
				work[i].Take = time.Duration(rnd.Int64N(int64(50 * time.Millisecond)))
			}
			for range 10 {
				work[rnd.IntN(len(work))].Take = 3 * time.Second
			}
			for i := range 6 { // they run when the long outage begins
				work[i].Take = 8 * time.Second
			}
			workers := f.startReady(2)
			uuids := s.dispatch(t, work)
			for _, outage := range []time.Duration{500 * time.Millisecond, 5 * time.Second} {
				time.Sleep(time.Duration(500+rnd.IntN(500)) * time.Millisecond) // under load
				server.Kill()
				time.Sleep(outage)
				server.Start()
			}
			s.awaitEmpty(t, bound(t))
			for _, w := range workers {
				if !w.alive() {
					t.Errorf("worker %d has not survived", w.cmd.Process.Pid)
				}
			}
			f.stop()
			h := f.history()
			h.known(t, uuids)
			h.apart(t)
			if kind != onBeanstalkd {
				h.counted(t)
			}
			s.failedAre(t, uuids, work)
			t.Logf("%d runs of %d jobs, %d cancelled", h.n, len(uuids), h.count(cancelled))
			if h.count(cancelled) == 0 {
				t.Error("the long outage has cancelled nothing: the test has shown nothing")
			}
		})
	}
}
