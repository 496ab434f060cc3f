package redisqueue

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/internal/testserver"
)

// A server that is out of memory stores nothing of a push, and its workers can
// still take, settle and so make room.
func TestOutOfMemory(t *testing.T) {
	server := testserver.NewRedis(t, "--maxmemory", "8mb", "--maxmemory-policy", "noeviction")
	client := open(t, server.Addr)
	c := connect(t, client, Options{})
	body := func(i int) string {
		return fmt.Sprintf(`{"id":%d,"data":"%s","attempts":0}`, i, strings.Repeat("x", 50<<10))
	}
	stored := 0
	var err error
	for ; stored < 500; stored += 5 {
		if _, err = c.Push(t.Context(), "q", messages(body(stored), body(stored+1), body(stored+2), body(stored+3), body(stored+4))); err != nil {
			break
		}
	}
	if err == nil || !strings.HasPrefix(err.Error(), "OOM") {
		t.Fatalf("the server never ran out of memory: %v", err)
	}
	if _, err := c.Push(t.Context(), "q", []driver.Message{{Body: []byte(body(0)), Delay: time.Hour}, {Body: []byte(body(1))}}); err == nil || !strings.HasPrefix(err.Error(), "OOM") {
		t.Errorf("a mixed push: %v, want the server's OOM", err)
	}
	left := read(t, client, c.opts.Prefix+"queues:q")
	if len(left.Ready) != stored || len(left.Notify) != stored || len(left.Delayed) != 0 {
		t.Errorf("%d jobs, %d notify elements and %d delayed jobs, want %d, as many, 0", len(left.Ready), len(left.Notify), len(left.Delayed), stored)
	}
	seen := 0
	for round := 0; seen < stored; round++ {
		rs := reserve(t, c, "q", 10)
		if len(rs) == 0 {
			t.Fatalf("%d of %d jobs came out", seen, stored)
		}
		verb := c.Delete
		if round == 1 { // settling in other ways is no less possible
			verb = func(ctx context.Context, rs []driver.Reservation) error { return c.Release(ctx, rs, 0) }
		} else {
			seen += len(rs)
		}
		if err := verb(t.Context(), rs); err != nil {
			t.Fatal(err)
		}
	}
}

func TestReadOnlyReplica(t *testing.T) {
	t.Parallel()
	master := testserver.NewRedis(t)
	host, port, err := net.SplitHostPort(master.Addr)
	if err != nil {
		t.Fatal(err)
	}
	replica := testserver.NewRedis(t, "--replicaof", host, port)
	c := connect(t, open(t, replica.Addr), Options{})
	if _, err := c.Push(t.Context(), "q", messages(`{"attempts":0}`)); err == nil || !strings.HasPrefix(err.Error(), "READONLY") {
		t.Errorf("pushing to a replica: %v, want READONLY", err)
	}
	if err := c.Ping(t.Context()); err == nil || !strings.Contains(err.Error(), master.Addr) {
		t.Errorf("Ping of a replica: %v, want one that names its master %s", err, master.Addr)
	}

	// The master has one replica: it can wait for that one, not for two.
	client := open(t, master.Addr)
	for _, tt := range []struct {
		replicas int
		delay    time.Duration
		fails    bool
	}{{1, 0, false}, {1, time.Hour, false}, {2, 0, true}, {2, time.Hour, true}} {
		c := connect(t, client, Options{WaitReplicas: tt.replicas})
		err := eventually(t, func() error {
			_, err := c.Push(t.Context(), "q", []driver.Message{{Body: []byte(`{"attempts":0}`), Delay: tt.delay}})
			if short := new(ReplicationError); !tt.fails && errors.As(err, &short) {
				return err // the replica is still catching up
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		_, err = c.Push(t.Context(), "r", []driver.Message{{Body: []byte(`{"attempts":0}`), Delay: tt.delay}})
		short := new(ReplicationError)
		if errors.As(err, &short) != tt.fails {
			t.Errorf("waiting for %d replicas: %v", tt.replicas, err)
		}
		if tt.fails && (short.Have != 1 || short.Want != 2) {
			t.Errorf("waiting for 2 replicas: %+v", short)
		}
		if n := size(t, c, "r").Total(); n != 1 {
			t.Errorf("waiting for %d replicas: %d jobs stored", tt.replicas, n)
		}
	}
	// More than one transaction: what is said of all is true of all.
	ms := make([]driver.Message, pushChunk+1)
	for i := range ms {
		ms[i].Body = []byte(`{"attempts":0}`)
	}
	c = connect(t, client, Options{WaitReplicas: 2})
	ids, err := c.Push(t.Context(), "s", ms)
	if n := size(t, c, "s").Total(); !errors.Is(err, driver.ErrStored) || len(ids) != 0 || n != int64(len(ms)) {
		t.Errorf("%d ids, %v; %d of %d jobs stored", len(ids), err, n, len(ms))
	}
}

// eventually calls try until it succeeds, for half a minute.
func eventually(t *testing.T, try func() error) error {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		err := try()
		if err == nil || time.Now().After(deadline) {
			return err
		}
	}
}

func TestServerComesBack(t *testing.T) {
	server := testserver.NewRedis(t)
	c := connect(t, open(t, server.Addr), Options{})
	push(t, c, "q", messages(`{"id":1,"attempts":0}`)...)
	waiting := make(chan error, 1)
	go func() { waiting <- c.Wait(context.Background(), []string{"empty"}, time.Minute) }()
	server.Stop()
	if err := <-waiting; err == nil {
		t.Error("Wait outlived the server")
	}
	if _, err := c.Push(t.Context(), "q", messages(`{}`)); err == nil {
		t.Error("a push to a stopped server succeeded")
	}
	if _, err := c.Reserve(t.Context(), "q", 1); err == nil {
		t.Error("reserving from a stopped server succeeded")
	}
	server.Start()
	if err := eventually(t, func() error { return c.Ping(context.Background()) }); err != nil {
		t.Fatal("it never came back:", err)
	}
	rs := reserve(t, c, "q", 5)
	if len(rs) != 1 {
		t.Fatalf("%d jobs after the restart, want 1", len(rs))
	}
	if err := c.Delete(t.Context(), rs); err != nil {
		t.Error(err)
	}
	push(t, c, "q", messages(`{"id":2,"attempts":0}`)...)
	if err := c.Wait(t.Context(), []string{"q"}, time.Minute); err != nil {
		t.Error("Wait after the restart:", err)
	}
}

// Two workers drain a queue while the server is killed twice: every job is
// delivered, and none to two at a time while its lease lasts.
func TestKilledServerLosesNothing(t *testing.T) {
	t.Parallel()
	server := testserver.NewRedis(t, "--appendfsync", "always")
	const jobs = 3000
	var conns [3]*Conn
	for i := range conns {
		c, err := New(open(t, server.Addr), &Options{RetryAfter: driver.MinLease})
		if err != nil {
			t.Fatal(err)
		}
		conns[i] = c
		defer c.Close()
	}
	for i := 0; i < jobs; i += 100 {
		push(t, conns[2], "q", envelopes(i, 100)...)
	}
	var mu sync.Mutex
	delivered := map[string]int{}
	deleted := 0
	var wg sync.WaitGroup
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, c := range conns[:2] {
		wg.Go(func() {
			for ctx.Err() == nil {
				rs, err := c.Reserve(ctx, "q", 20)
				if err != nil {
					time.Sleep(10 * time.Millisecond) // the server is down: as a worker would
					continue
				}
				if len(rs) == 0 {
					_ = c.Wait(ctx, []string{"q"}, 200*time.Millisecond)
				}
				err = c.Delete(ctx, rs)
				mu.Lock()
				for i, r := range rs {
					delivered[string(r.Body[:60])]++
					if driver.ItemError(err, i) == nil {
						deleted++
					}
				}
				done := len(delivered) == jobs && len(rs) == 0
				mu.Unlock()
				if s, err := c.Size(ctx, "q"); done && err == nil && s.Total() == 0 {
					return
				}
			}
		})
	}
	for _, at := range []int{jobs / 5, jobs / 2} {
		if err := eventually(t, func() error {
			mu.Lock()
			defer mu.Unlock()
			if deleted < at {
				return fmt.Errorf("only %d jobs are done", deleted)
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
		server.Kill()
		server.Start()
	}
	wg.Wait()
	if len(delivered) != jobs {
		t.Errorf("%d of %d jobs were delivered", len(delivered), jobs)
	}
	if deleted > jobs {
		t.Errorf("%d deletions of %d jobs succeeded: a job was held twice", deleted, jobs)
	}
}

// A relay stands between client and server and can swallow the answers.
type relay struct {
	net.Listener
	to      string
	swallow atomic.Bool
}

func newRelay(t *testing.T, to string) *relay {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{Listener: l, to: to}
	var wg sync.WaitGroup
	var mu sync.Mutex
	var all []net.Conn
	t.Cleanup(func() {
		_ = l.Close()
		mu.Lock()
		for _, c := range all {
			_ = c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	wg.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", to)
			if err != nil {
				_ = in.Close()
				continue
			}
			mu.Lock()
			all = append(all, in, out)
			mu.Unlock()
			wg.Go(func() { _, _ = io.Copy(out, in); _ = out.Close() })
			wg.Go(func() { r.answers(in, out) })
		}
	})
	return r
}

// answers passes on what the server says, or hangs up instead.
func (r *relay) answers(in, out net.Conn) {
	defer in.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := out.Read(buf)
		if n > 0 {
			if r.swallow.Load() {
				return
			}
			if _, err := in.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// A settling script whose answer was lost has done its work and must not be
// sent again: after a Return the next delivery may have identical bytes.
func TestNoCommandIsRepeated(t *testing.T) {
	server := testserver.NewRedis(t)
	direct := connect(t, open(t, server.Addr), Options{Prefix: "p:"})
	r := newRelay(t, server.Addr)
	c := connect(t, open(t, r.Addr().String()), Options{Prefix: "p:"})
	calls := func() (n int) {
		t.Helper()
		stats, err := direct.client.Do(t.Context(), direct.client.B().Info().Section("commandstats").Build()).ToString()
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(stats) {
			for _, command := range []string{"eval", "evalsha", "exec"} {
				var k int
				if _, err := fmt.Sscanf(line, "cmdstat_"+command+":calls=%d,", &k); err == nil {
					n += k
				}
			}
		}
		return n
	}
	push(t, c, "q", messages(`{"id":1,"attempts":0}`, `{"id":2,"attempts":0}`, `{"id":3,"attempts":0}`)...)
	rs := reserve(t, c, "q", 3)
	for _, tt := range []struct {
		name string
		do   func() error
	}{
		{"Return", func() error { return c.Return(t.Context(), rs[:1], 0) }},
		{"Release", func() error { return c.Release(t.Context(), rs[1:2], 0) }},
		{"Extend", func() error { return c.Extend(t.Context(), rs[2:]) }},
		{"Delete", func() error { return c.Delete(t.Context(), rs[1:]) }},
		{"Push", func() error { _, err := c.Push(t.Context(), "q", messages(`{"id":4,"attempts":0}`)); return err }},
	} {
		if err := tt.do(); err != nil { // the server knows the script from here on
			t.Fatal(err)
		}
		sent := 0
		for range 20 {
			rs = replenish(t, direct, c)
			before := calls()
			r.swallow.Store(true)
			err := tt.do()
			r.swallow.Store(false)
			if err == nil || errors.Is(err, driver.ErrLost) {
				t.Errorf("%s whose answer was lost: %v, want an error that leaves the outcome open", tt.name, err)
			}
			sent = calls() - before
			if err := eventually(t, func() error { return c.Ping(context.Background()) }); err != nil {
				t.Fatal(err)
			}
			if sent > 0 {
				break
			} // else the client's own ping lost its answer first, and the connection was gone
		}
		if sent != 1 {
			t.Errorf("%s whose answer was lost was sent %d times", tt.name, sent)
		}
		rs = replenish(t, direct, c)
	}
}

// replenish starts a queue anew and reserves three jobs.
func replenish(t *testing.T, direct, c *Conn) []driver.Reservation {
	t.Helper()
	if _, err := direct.Clear(t.Context(), "q"); err != nil {
		t.Fatal(err)
	}
	push(t, direct, "q", messages(`{"id":1,"attempts":0}`, `{"id":2,"attempts":0}`, `{"id":3,"attempts":0}`)...)
	return reserve(t, c, "q", 3)
}

func TestServerHangs(t *testing.T) {
	t.Parallel()
	server := testserver.NewRedis(t)
	c := connect(t, open(t, server.Addr), Options{})
	push(t, c, "q", messages(`{"attempts":0}`)...)
	server.Pause()
	resumed := sync.OnceFunc(server.Resume)
	defer resumed()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	start := time.Now()
	if _, err := c.Push(ctx, "q", messages(`{}`)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Push: %v, want the context's error", err)
	}
	if err := c.Wait(ctx, []string{"q"}, time.Minute); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Wait: %v, want the context's error", err)
	}
	if d := time.Since(start); d > 3*time.Second {
		t.Errorf("it took %v to notice that the context had ended", d)
	}
	if _, err := c.Reserve(t.Context(), "q", 1); err == nil { // bounded by the client's timeout, 5 s here
		t.Error("Reserve from a server that hangs succeeded")
	}
	resumed()
	if err := eventually(t, func() error { return c.Ping(context.Background()) }); err != nil {
		t.Error("it never came back:", err)
	}
}

func TestCluster(t *testing.T) {
	t.Parallel()
	server := testserver.NewRedis(t, "--cluster-enabled", "yes")
	single := open(t, server.Addr)
	if err := single.Do(t.Context(), single.B().ClusterAddslotsrange().StartSlotEndSlot().StartSlotEndSlot(0, 16383).Build()).Error(); err != nil {
		t.Fatal(err)
	}
	var client rueidis.Client
	if err := eventually(t, func() (err error) {
		client, err = rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{server.Addr, server.Addr}, DisableCache: true})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	if client.Mode() != rueidis.ClientModeCluster {
		t.Fatalf("the client is in mode %s", client.Mode())
	}
	c := connect(t, client, Options{Prefix: "laravel-database-"})
	if err := eventually(t, func() error { // until the node believes that all slots are served
		_, err := c.Push(context.Background(), "default", messages(`{"id":1,"attempts":0}`))
		return err
	}); err != nil {
		t.Fatal(err)
	}
	push(t, c, "{tagged}:x", driver.Message{Body: []byte(`{"id":2,"attempts":0}`)}, driver.Message{Body: []byte(`{"id":3,"attempts":0}`), Delay: time.Hour})
	for _, key := range []string{"laravel-database-queues:{default}", "laravel-database-queues:{tagged}:x"} {
		if n, err := single.Do(t.Context(), single.B().Llen().Key(key).Build()).ToInt64(); n != 1 {
			t.Errorf("%s holds %d jobs: %v", key, n, err)
		}
	}
	if got, err := c.Queues(t.Context()); fmt.Sprint(got) != "[default {tagged}:x]" {
		t.Errorf("queues are %q, %v", got, err)
	}
	for _, queue := range []string{"default", "{tagged}:x"} {
		if err := c.Wait(t.Context(), []string{"none", queue}, time.Minute); err != nil {
			t.Errorf("Wait for %s: %v", queue, err)
		}
		rs := reserve(t, c, queue, 5)
		if len(rs) != 1 {
			t.Fatalf("%d jobs of %s", len(rs), queue)
		}
		if err := c.Extend(t.Context(), rs); err != nil {
			t.Error(err)
		}
		if err := c.Return(t.Context(), rs, 0); err != nil {
			t.Error(err)
		}
		if err := c.Delete(t.Context(), reserve(t, c, queue, 5)); err != nil {
			t.Error(err)
		}
	}
	if err := c.Wait(t.Context(), []string{"default", "{tagged}:x"}, 20*time.Millisecond); err != nil {
		t.Error(err)
	}
	if n, err := c.Clear(t.Context(), "{tagged}:x"); n != 1 || err != nil {
		t.Errorf("cleared %d, %v; want the delayed job", n, err)
	}
}

func TestAdvice(t *testing.T) {
	advise := func(args ...string) string {
		t.Helper()
		c := connect(t, open(t, testserver.NewRedis(t, args...).Addr), Options{})
		if err := c.Ping(t.Context()); err != nil {
			t.Errorf("Ping: %v", err)
		}
		advice, err := c.Advise(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(advice, "\n")
	}
	if got := advise(); got != "" {
		t.Errorf("a server with an append-only file and no eviction: %s", got)
	}
	if got := advise("--maxmemory-policy", "allkeys-lru", "--maxmemory", "100mb"); !strings.Contains(got, "allkeys-lru") || !strings.Contains(got, "100.00M") {
		t.Errorf("a server that may drop queues: %q", got)
	}
	if got := advise("--maxmemory-policy", "volatile-lru"); got != "" {
		t.Errorf("a server that drops only what expires: %q", got)
	}
	if got := advise("--appendonly", "no"); !strings.Contains(got, "loses all jobs") {
		t.Errorf("a server that keeps nothing: %q", got)
	}
	if got := advise("--appendonly", "no", "--save", "900 1"); !strings.Contains(got, "900 1") {
		t.Errorf("a server that saves now and then: %q", got)
	}
}
