package proof

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/config"
	"github.com/spoolq/spool/connect"
	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/internal/testserver"
	"github.com/spoolq/spool/worker"
)

// group is a Redis Cluster, or a master under sentinels, in which one master
// can be lost.
type group struct {
	redis           string   // how the settings find it
	queues          []string // the first is on master
	master, replica *testserver.Server
	promoted        func() // waits until replica has become a master
	healed          func() // waits until master, which is up again, is its replica
}

func groups() map[string]func(t *testing.T) *group {
	return map[string]func(t *testing.T) *group{"cluster": newCluster, "sentinel": newSentinel}
}

func newCluster(t *testing.T) *group {
	c := testserver.NewRedisCluster(t)
	g := &group{redis: "{cluster: true, nodes: '" + strings.Join(c.Addrs()[3:], ",") + "'}"}
	for i := range 6 {
		g.queues = append(g.queues, fmt.Sprintf("q%d", i))
	}
	g.master, g.replica = c.Master("{" + g.queues[0] + "}")
	g.promoted, g.healed = func() { c.AwaitMaster(g.replica) }, c.AwaitHealthy
	return g
}

func newSentinel(t *testing.T) *group {
	s := testserver.NewRedisSentinel(t)
	g := &group{
		redis:  fmt.Sprintf("{sentinel: {master: %s, nodes: '%s'}}", s.Name, strings.Join(s.Addrs(), ",")),
		queues: []string{"high", "low"}, master: s.Master, replica: s.Replica,
	}
	g.promoted = func() { s.AwaitMaster(g.replica) }
	g.healed = func() {
		for deadline := time.Now().Add(time.Minute); !strings.Contains(g.replica.Command("INFO", "replication"), "state=online"); time.Sleep(50 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("the old master has not become a replica")
			}
		}
	}
	return g
}

// sever cuts the replica off from its master, which goes on alone.
func (g *group) sever() {
	g.replica.Pause()
	g.master.Command("CLIENT", "KILL", "TYPE", "replica")
}

// lose kills the master, and waits until the replica has taken its place.
func (g *group) lose() {
	g.master.Kill()
	g.replica.Resume()
	g.promoted()
}

// open returns connections to the group, as settings of a user make them.
func (g *group) open(t *testing.T, waitReplicas int, opts *connect.Options) *connect.Set {
	t.Helper()
	dir := t.TempDir()
	yaml := fmt.Sprintf(`
laravel: none
queue:
  default: redis
  connections: {redis: {driver: redis, queue: %s, retry_after: 30, wait_replicas: %d}}
  failed: {driver: "null"}
database: {redis: {default: %s}}
cache: {default: array}
worker: {queue: [%s], timeout: 0, tries: 10, grace: 1}
`, g.queues[0], waitReplicas, g.redis, strings.Join(g.queues, ", "))
	if err := os.WriteFile(filepath.Join(dir, "spool.yaml"), []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(&config.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	s, err := connect.New(cfg, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// startWorker runs a worker until the test or stop ends it.
func startWorker(t *testing.T, s *connect.Set) (stop func()) {
	t.Helper()
	opts, err := s.WorkerOptions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	opts.Memory = 0 // the process is that of all tests
	conn, err := s.Manager.Connection(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := worker.New(conn, s.Mux, opts).Run(ctx); err != nil {
			t.Errorf("a worker ended: %v", err)
		}
	})
	stop = sync.OnceFunc(func() { cancel(); wg.Wait() })
	t.Cleanup(stop)
	return stop
}

// tally is what became of the jobs of a flow.
type tally struct {
	mu      sync.Mutex
	acked   map[string]string // uuid to queue
	unknown int               // pushes that were not acknowledged
	runs    map[string]int
	byQueue map[string]int // acknowledged
}

func (c *tally) run(ctx context.Context, _ Work) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.runs[spool.JobFrom(ctx).UUID]++
	return nil
}

// push dispatches jobs to the queues in turn, every other one delayed, until
// ctx ends; what is not acknowledged is counted, and not tried again.
func (c *tally) push(ctx context.Context, client *spool.Client, queues []string) {
	for i := 0; ctx.Err() == nil; i++ {
		queue := queues[i%len(queues)]
		ref, err := spool.Dispatch(context.Background(), client, Work{}, spool.OnQueue(queue), spool.Delay(time.Duration(i/len(queues)%2)*time.Second))
		c.mu.Lock()
		if err != nil {
			c.unknown++
		} else {
			c.acked[ref.UUID] = queue
			c.byQueue[queue]++
		}
		c.mu.Unlock()
		pause := time.Millisecond
		if err != nil {
			pause = 20 * time.Millisecond
		}
		time.Sleep(pause)
	}
}

// grown waits until more jobs of every queue were acknowledged.
func (c *tally) grown(t *testing.T, queues []string, more int) {
	t.Helper()
	c.mu.Lock()
	from := map[string]int{}
	for _, q := range queues {
		from[q] = c.byQueue[q]
	}
	c.mu.Unlock()
	deadline := time.Now().Add(time.Minute)
	for _, q := range queues {
		for {
			c.mu.Lock()
			n := c.byQueue[q] - from[q]
			c.mu.Unlock()
			if n >= more {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%d jobs of %s were acknowledged in a minute", n, q)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
}

// missing returns how many acknowledged jobs have never run.
func (c *tally) missing() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for uuid := range c.acked {
		if c.runs[uuid] == 0 {
			n++
		}
	}
	return n
}

// A master is killed while jobs flow, and its replica, which had fallen behind,
// takes its place. Client and workers go on by themselves. With wait_replicas
// no acknowledged job is missing; without it, those that the replica hadn't
// heard of are, and are counted.
func TestMasterLost(t *testing.T) {
	for kind, start := range groups() {
		for _, wait := range []int{1, 0} {
			t.Run(fmt.Sprintf("%s/wait_replicas %d", kind, wait), func(t *testing.T) {
				t.Parallel() // most of the time they wait
				g := start(t)
				c := &tally{acked: map[string]string{}, runs: map[string]int{}, byQueue: map[string]int{}}
				mux := spool.NewMux()
				spool.Handle(mux, c.run)
				quiet := slog.New(slog.NewTextHandler(bytes.NewBuffer(nil), nil))
				client := g.open(t, wait, &connect.Options{Logger: quiet})
				for range 2 {
					startWorker(t, g.open(t, wait, &connect.Options{Mux: mux, Logger: quiet}))
				}
				pushing, stop := context.WithCancel(context.Background())
				var pushers sync.WaitGroup
				for range 4 {
					pushers.Go(func() { c.push(pushing, client.Client, g.queues) })
				}
				t.Cleanup(func() { stop(); pushers.Wait() })

				c.grown(t, g.queues, 50)
				g.sever()
				time.Sleep(500 * time.Millisecond) // jobs flow
				g.lose()
				if wait == 0 {
					c.grown(t, g.queues, 20)
				}
				g.master.Start()
				g.healed()
				c.grown(t, g.queues, 50)
				stop()
				pushers.Wait()

				drained(t, client, g.queues)
				lost := c.missing()
				again := 0
				for _, n := range c.runs {
					again += n - 1
				}
				t.Logf("%d jobs acknowledged, %d pushes not; %d acknowledged jobs lost, %d runs repeated", len(c.acked), c.unknown, lost, again)
				switch {
				case wait > 0 && lost > 0:
					t.Errorf("%d of %d acknowledged jobs are missing", lost, len(c.acked))
				case wait == 0 && lost == 0:
					t.Error("nothing was lost without wait_replicas: the test has shown nothing")
				}
			})
		}
	}
}

// drained waits until the queues hold nothing.
func drained(t *testing.T, s *connect.Set, queues []string) {
	t.Helper()
	conn, err := s.Manager.Connection(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(2 * time.Minute)
	for _, q := range queues {
		for {
			size, err := conn.Size(t.Context(), q)
			if err == nil && size.Total() == 0 {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s holds %+v, %v", q, size, err)
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
}

// A replica that never heard of a delivery hands the job out again, with the
// very same bytes. The first holder's next renewal says that the job is lost,
// and cancels its handler; the second holder is not disturbed.
func TestDeliveredAgain(t *testing.T) {
	for kind, start := range groups() {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			g := start(t)
			began, gone := make(chan struct{}), make(chan error, 1)
			first := spool.NewMux()
			spool.Handle(first, func(ctx context.Context, _ Work) error {
				close(began)
				<-ctx.Done()
				gone <- context.Cause(ctx)
				return ctx.Err()
			})
			var log bytes.Buffer
			a := g.open(t, 0, &connect.Options{Mux: first, Logger: slog.New(slog.NewTextHandler(&log, nil))})
			var lost atomic.Int64
			spool.Listen(a.Manager.Events(), func(context.Context, spool.JobLost) { lost.Add(1) })
			if _, err := spool.Dispatch(t.Context(), a.Client, Work{}); err != nil {
				t.Fatal(err)
			}
			if n := g.master.Command("WAIT", "1", "5000"); n != "1" {
				t.Fatalf("%s replicas are in step", n)
			}
			time.Sleep(200 * time.Millisecond) // WAIT is about writes of its own connection only
			g.sever()
			stop := startWorker(t, a)
			select {
			case <-began:
			case <-time.After(20 * time.Second):
				g.replica.Resume()
				t.Fatal("the first worker has not begun")
			}
			g.lose()

			done := make(chan int, 1)
			second := spool.NewMux()
			release := make(chan struct{})
			spool.Handle(second, func(ctx context.Context, _ Work) error {
				select {
				case <-release:
				case <-ctx.Done():
					return context.Cause(ctx)
				}
				done <- spool.JobFrom(ctx).Attempt
				return nil
			})
			b := g.open(t, 0, &connect.Options{Mux: second})
			startWorker(t, b)
			select {
			case err := <-gone:
				if !errors.Is(err, worker.ErrLeaseLost) {
					t.Errorf("the first holder was cancelled by %v", err)
				}
			case <-time.After(time.Minute):
				t.Fatal("the first holder was not cancelled")
			}
			close(release)
			if attempt := <-done; attempt != 1 {
				t.Errorf("the second delivery is attempt %d: the first was not forgotten, the test has shown nothing", attempt)
			}
			drained(t, b, g.queues[:1])
			stop()
			if lost.Load() != 1 {
				t.Errorf("%d events of a lost job", lost.Load())
			}
			if s := log.String(); strings.Contains(s, "could not be renewed in time") || !strings.Contains(s, "lease lost") {
				t.Errorf("it was not a renewal that told:\n%s", s)
			}
			conn, err := b.Manager.Connection(t.Context(), "")
			if err != nil {
				t.Fatal(err)
			}
			if _, ok := conn.Driver().(driver.Extender); !ok {
				t.Error("redis can't renew")
			}
		})
	}
}
