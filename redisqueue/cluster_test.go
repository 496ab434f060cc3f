package redisqueue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/driver/drivertest"
	"github.com/spoolq/spool/internal/testserver"
	"github.com/spoolq/spool/redisdb"
)

// openCluster returns a client of a cluster; it is closed with the test.
func openCluster(t testing.TB, c *testserver.Cluster) rueidis.Client {
	t.Helper()
	client, err := redisdb.Open(t.Context(), redisdb.Options{Cluster: c.Addrs()[:2], Timeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

func TestConformanceOnCluster(t *testing.T) {
	t.Parallel()
	cluster := testserver.NewRedisCluster(t)
	another := func(t *testing.T, o Options) driver.Conn {
		o.Prefix, o.RetryAfter = "laravel-database-", driver.MinLease
		return connect(t, openCluster(t, cluster), o)
	}
	drivertest.Run(t, func(t *testing.T) drivertest.Harness {
		return drivertest.Harness{
			Conn:        another(t, Options{WaitReplicas: 1}),
			Second:      func(t *testing.T) driver.Conn { return another(t, Options{}) },
			KeepExpired: func(t *testing.T) driver.Conn { return another(t, Options{KeepExpired: true}) },
			WakeWithin:  2 * time.Second, // six servers share this machine
		}
	})
}

// A name without hash tag gets braces, as in Laravel 13; names that no braces
// help are refused by every verb before anything is sent.
func TestNamesOnCluster(t *testing.T) {
	t.Parallel()
	cluster := testserver.NewRedisCluster(t)
	client := openCluster(t, cluster)
	for _, prefix := range []string{"", "laravel-database-", "{app}"} {
		c := connect(t, client, Options{Prefix: prefix + "n:"})
		for queue, key := range map[string]string{
			"default":   "queues:{default}",
			"{tagged}x": "queues:{tagged}x",
			"{}x":       "queues:{{}x}",
			"{open":     "queues:{{open}",
			"clo}se":    "queues:{clo}se}",
			"中文:x":      "queues:{中文:x}",
		} {
			push(t, c, queue, driver.Message{Body: []byte(`{"id":1,"attempts":0}`)}, driver.Message{Body: []byte(`{"id":2,"attempts":0}`), Delay: time.Hour})
			if n, err := client.Do(t.Context(), client.B().Llen().Key(prefix+"n:"+key).Build()).ToInt64(); n != 1 {
				t.Errorf("%s holds %d jobs of %s: %v", key, n, queue, err)
			}
			if err := c.Delete(t.Context(), reserve(t, c, queue, 5)); err != nil {
				t.Error(err)
			}
			if n, err := c.Clear(t.Context(), queue); n != 1 || err != nil {
				t.Errorf("%s: cleared %d, %v", queue, n, err)
			}
		}
		const bad = "}x"
		_, push := c.Push(t.Context(), bad, messages(`{}`))
		_, reserve := c.Reserve(t.Context(), bad, 1)
		_, size := c.Size(t.Context(), bad)
		_, _, list := c.List(t.Context(), bad, driver.Pending, "", 1)
		_, clear := c.Clear(t.Context(), bad)
		_, rescue := c.Rescue(t.Context(), bad, 1)
		for verb, err := range map[string]error{
			"push": push, "reserve": reserve, "size": size, "list": list, "clear": clear, "rescue": rescue,
			"wait": c.Wait(t.Context(), []string{"default", bad}, time.Second),
		} {
			if prefix != "{app}" && (err == nil || !strings.Contains(err.Error(), `"}x" can't be used on a Redis Cluster`)) {
				t.Errorf("%s of %s: %v", verb, bad, err)
			}
		}
	}
	if _, err := New(client, &Options{Prefix: "{}app_"}); err == nil || !strings.Contains(err.Error(), "prefix") {
		t.Errorf("a prefix with {}: %v", err)
	}
}

func TestManySlots(t *testing.T) {
	t.Parallel()
	cluster := testserver.NewRedisCluster(t)
	c := connect(t, openCluster(t, cluster), Options{Prefix: "p:"})
	other := connect(t, openCluster(t, cluster), Options{Prefix: "p:"})
	var queues []string
	on := map[*testserver.Server]int{}
	for i := range 30 {
		queue := fmt.Sprintf("q%02d", i)
		queues = append(queues, queue)
		push(t, c, queue, messages(`{"id":1,"attempts":0}`)...)
		master, _ := cluster.Master("{" + queue + "}")
		on[master]++
	}
	if len(on) != 3 {
		t.Fatalf("30 queues are on %d nodes", len(on))
	}
	got, err := c.Queues(t.Context())
	if err != nil || !slices.Equal(got, queues) {
		t.Errorf("queues are %q, %v", got, err)
	}
	for _, queue := range queues {
		if _, err := c.Clear(t.Context(), queue); err != nil {
			t.Fatal(err)
		}
	}
	// A push to any of the queues, by another client, ends a wait for all. One
	// that isn't noticed would wait out its slice of a second.
	for _, queue := range []string{"q00", "q07", "q11", "q29"} {
		noticed := time.Hour
		for try := 0; try < 3 && noticed > 500*time.Millisecond; try++ {
			noticed = min(noticed, pushWhileWaiting(t, c, other, queues, queue))
			if err := c.Delete(t.Context(), reserve(t, c, queue, 5)); err != nil {
				t.Error(err)
			}
		}
		if noticed > 500*time.Millisecond {
			t.Errorf("a push to %s was noticed after %v", queue, noticed)
		}
	}
	// Reservations of several queues are settled in one call.
	var rs []driver.Reservation
	for _, queue := range queues {
		push(t, c, queue, messages(`{"id":1,"attempts":0}`)...)
		rs = append(rs, reserve(t, c, queue, 1)...)
	}
	if err := c.Extend(t.Context(), rs); err != nil {
		t.Error(err)
	}
	if err := c.Delete(t.Context(), rs); err != nil {
		t.Error(err)
	}
}

// pushWhileWaiting returns how long after a push to one of the queues a wait for
// all of them ended.
func pushWhileWaiting(t *testing.T, waits, pushes *Conn, queues []string, queue string) time.Duration {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- waits.Wait(context.Background(), queues, time.Minute) }()
	time.Sleep(300 * time.Millisecond) // into its slice
	start := time.Now()
	push(t, pushes, queue, messages(`{"id":1,"attempts":0}`)...)
	if err := <-done; err != nil {
		t.Error(err)
	}
	return time.Since(start)
}

// A slot that has moved to another node: WAIT must be answered by the node that
// has the jobs, not by the one that the client believed in.
func TestMovedSlotIsFollowed(t *testing.T) {
	t.Parallel()
	cluster := testserver.NewRedisCluster(t)
	client := openCluster(t, cluster)
	c := connect(t, client, Options{Prefix: "p:", WaitReplicas: 1})
	key := "p:queues:{moves}"
	from, _ := cluster.Master(key)
	push(t, c, "moves", messages(`{"id":0,"attempts":0}`)...)
	if err := c.Delete(t.Context(), reserve(t, c, "moves", 1)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Clear(t.Context(), "moves"); err != nil {
		t.Fatal(err)
	}
	to := cluster.Nodes[(slices.Index(cluster.Nodes, from)+1)%3]
	slot, id := from.Command("CLUSTER", "KEYSLOT", key), to.Command("CLUSTER", "MYID")
	for _, s := range append([]*testserver.Server{to, from}, cluster.Nodes[:3]...) {
		s.Command("CLUSTER", "SETSLOT", slot, "NODE", id)
	}
	for i, delay := range []time.Duration{0, time.Hour} {
		if _, err := c.Push(t.Context(), "moves", []driver.Message{{Body: []byte(`{"attempts":0}`), Delay: delay}}); err != nil {
			t.Fatalf("push %d to a slot that has moved: %v", i+1, err)
		}
	}
	if n := size(t, c, "moves").Total(); n != 2 {
		t.Errorf("%d jobs are there", n)
	}
}

// What comes right behind a ping has the connections to all nodes: a program's
// first ping makes them, and returns when one node has answered.
func TestFirstPingOfACluster(t *testing.T) {
	t.Parallel()
	cluster := testserver.NewRedisCluster(t)
	for range 40 {
		c := connect(t, openCluster(t, cluster), Options{Prefix: "first:"})
		if err := c.Ping(t.Context()); err != nil {
			t.Fatal("Ping:", err)
		}
		for i := range 12 {
			if _, err := c.Size(t.Context(), fmt.Sprint("q", i)); err != nil {
				t.Fatalf("Size right behind the ping: %v", err)
			}
		}
	}
}

// A node that hangs doesn't keep a worker from starting.
func TestPingOfAClusterWithANodeThatHangs(t *testing.T) {
	t.Parallel()
	cluster := testserver.NewRedisCluster(t)
	c := connect(t, openCluster(t, cluster), Options{})
	cluster.Nodes[4].Pause()
	defer cluster.Nodes[4].Resume()
	for range 20 {
		start := time.Now()
		if err := c.Ping(t.Context()); err != nil || time.Since(start) > 2*time.Second {
			t.Fatalf("Ping: %v after %v", err, time.Since(start))
		}
		if _, err := c.Advise(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// The same bytes may be reserved twice at a time, when a server has forgotten
// the first delivery: only the second holds the job.
func TestForgottenDelivery(t *testing.T) {
	for _, layout := range []Layout{Laravel(), ThinkQueue1(), ThinkQueue3()} {
		t.Run(layout.Name, func(t *testing.T) {
			t.Parallel()
			client := open(t, testserver.Redis(t))
			c := connect(t, client, Options{Layout: &layout})
			body := `{"job":"x","id":1,"attempts":0}`
			if layout.CountsNext {
				body = `{"job":"x","id":1,"attempts":1}`
			}
			for verb, settle := range map[string]func([]driver.Reservation) error{
				"extend":  func(rs []driver.Reservation) error { return c.Extend(t.Context(), rs) },
				"delete":  func(rs []driver.Reservation) error { return c.Delete(t.Context(), rs) },
				"release": func(rs []driver.Reservation) error { return c.Release(t.Context(), rs, 0) },
				"return":  func(rs []driver.Reservation) error { return c.Return(t.Context(), rs, 0) },
			} {
				push(t, c, "q", messages(body)...)
				first := reserve(t, c, "q", 1)
				// What a replica is like that never heard of the delivery.
				k := c.keys("q")
				if err := client.Do(t.Context(), client.B().Del().Key(k.reserved).Build()).Error(); err != nil {
					t.Fatal(err)
				}
				push(t, c, "q", messages(body)...)
				second := reserve(t, c, "q", 1)
				if len(first) != 1 || len(second) != 1 || first[0].Receipt.(*receipt).member != second[0].Receipt.(*receipt).member {
					t.Fatalf("%v and %v are not the same member", first, second)
				}
				if err := settle(first); !errors.Is(err, driver.ErrLost) {
					t.Errorf("%s by the first holder: %v, want ErrLost", verb, err)
				}
				if n := size(t, c, "q"); n.Reserved != 1 || n.Total() != 1 {
					t.Errorf("after the first holder's %s: %+v", verb, n)
				}
				if err := settle(second); err != nil {
					t.Errorf("%s by the second holder: %v", verb, err)
				}
				if _, err := c.Clear(t.Context(), "q"); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}
