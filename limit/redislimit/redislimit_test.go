package redislimit_test

import (
	"context"
	"crypto/rand"
	"errors"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/rueidis"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/internal/testserver"
	"github.com/spoolq/spool/limit"
	"github.com/spoolq/spool/limit/redislimit"
	"github.com/spoolq/spool/redisdb"
)

func TestMain(m *testing.M) { testserver.Main(m) }

func open(t *testing.T, o redisdb.Options) rueidis.Client {
	t.Helper()
	client, err := redisdb.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

func single(t *testing.T) rueidis.Client {
	t.Helper()
	host, port, err := net.SplitHostPort(testserver.Redis(t))
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	return open(t, redisdb.Options{Host: host, Port: n})
}

// clients are of one server, and of a cluster, where keys are on several nodes.
func clients(t *testing.T, test func(t *testing.T, client rueidis.Client, prefix string)) {
	t.Run("server", func(t *testing.T) { test(t, single(t), rand.Text()+":") })
	t.Run("cluster", func(t *testing.T) {
		test(t, open(t, redisdb.Options{Cluster: testserver.NewRedisCluster(t).Addrs()}), rand.Text()+":")
	})
}

func take(t *testing.T, c limit.Counter, limits ...limit.Limit) time.Duration {
	t.Helper()
	wait, err := c.Take(t.Context(), limits...)
	if err != nil {
		t.Fatal(err)
	}
	return wait
}

func TestCounter(t *testing.T) {
	clients(t, func(t *testing.T, client rueidis.Client, prefix string) {
		c := redislimit.In(client, prefix).Counter
		wide, tight := limit.PerHour(5).By("wide"), limit.PerHour(2).By("tight")
		for range 2 {
			if wait := take(t, c, wide, tight); wait != 0 {
				t.Fatalf("refused for %v", wait)
			}
		}
		for range 5 { // none of these counts towards the wide one
			if wait := take(t, c, wide, tight); wait < 59*time.Minute || wait > time.Hour+2*time.Second {
				t.Errorf("used up for %v", wait)
			}
		}
		for n := range 4 {
			if wait := take(t, c, wide); (wait == 0) != (n < 3) {
				t.Errorf("%d more: %v", n+1, wait)
			}
		}
		if wait, err := c.Wait(t.Context(), wide, tight); wait == 0 || err != nil {
			t.Errorf("to look: %v, %v", wait, err)
		}
		if err := c.Clear(t.Context(), "tight"); err != nil {
			t.Fatal(err)
		}
		if wait := take(t, c, tight); wait != 0 {
			t.Errorf("cleared, but refused for %v", wait)
		}
		if wait := take(t, c, limit.PerMinute(0).By("never")); wait != time.Minute {
			t.Errorf("a limit of zero: %v", wait)
		}
		for n := 1; n < 4; n++ {
			if got, err := c.Line(t.Context(), tight, time.Minute); got != n || err != nil {
				t.Errorf("in line: %d, %v", got, err)
			}
		}
	})
}

func TestCounterManyAtOnce(t *testing.T) {
	clients(t, func(t *testing.T, client rueidis.Client, prefix string) {
		c := redislimit.In(client, prefix).Counter
		var granted atomic.Int32
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				for range 3 {
					wait, err := c.Take(t.Context(), limit.PerHour(1000).By("wide"), limit.PerHour(7).By("tight"))
					if err != nil {
						t.Error(err)
					} else if wait == 0 {
						granted.Add(1)
					}
				}
			})
		}
		wg.Wait()
		if n := granted.Load(); n == 0 || n > 7 {
			t.Errorf("%d were let through", n)
		}
		for _, key := range []string{"wide", "tight"} {
			n, err := client.Do(t.Context(), client.B().Hget().Key(prefix+key).Field("count").Build()).AsInt64()
			if n != int64(granted.Load()) || err != nil {
				t.Errorf("%s counts %d of %d, %v", key, n, granted.Load(), err)
			}
		}
	})
}

// What is stored is what Laravel's limiter stores, and ends like it.
func TestStoredForm(t *testing.T) {
	client, prefix := single(t), rand.Text()+":"
	c := redislimit.In(client, prefix).Counter
	before := time.Now().Unix()
	l := limit.Limit{Max: 2, Per: 90 * time.Second, Key: "x"}
	take(t, c, l)
	take(t, c, l)
	fields, err := client.Do(t.Context(), client.B().Hgetall().Key(prefix+"x").Build()).AsStrMap()
	start, _ := strconv.ParseInt(fields["start"], 10, 64)
	want := map[string]string{"start": fields["start"], "end": strconv.FormatInt(start+90, 10), "count": "2"}
	if d := cmp.Diff(want, fields); d != "" || start < before-1 || err != nil {
		t.Errorf("%v\n%s", err, d)
	}
	if ttl, err := client.Do(t.Context(), client.B().Ttl().Key(prefix+"x").Build()).ToInt64(); ttl < 170 || ttl > 180 {
		t.Errorf("it lives for %d s, %v", ttl, err)
	}
}

func TestCounterWindowEnds(t *testing.T) {
	c := redislimit.In(single(t), rand.Text()+":").Counter
	l := limit.Limit{Max: 1, Per: time.Second, Key: "x"}
	take(t, c, l)
	for end := time.Now().Add(30 * time.Second); ; {
		wait := take(t, c, l)
		if wait == 0 {
			return
		}
		if wait > 2*time.Second || time.Now().After(end) {
			t.Fatalf("a window of a second is closed for %v", wait)
		}
		time.Sleep(wait)
	}
}

// Windows of other clocks end within their length, and what is no count counts
// nothing.
func TestStrangeValues(t *testing.T) {
	client, prefix := single(t), rand.Text()+":"
	c := redislimit.In(client, prefix).Counter
	now := time.Now().Unix()
	for key, tt := range map[string]struct {
		start, end int64
		count      string
		wait       time.Duration
	}{
		"ahead":     {now + 9000, now + 9060, "3", time.Minute},
		"over":      {now - 9000, now - 8940, "3", 0},
		"no number": {now, now + 60, "many", 0},
	} {
		hset := client.B().Hset().Key(prefix+key).FieldValue().FieldValue("start", strconv.FormatInt(tt.start, 10)).
			FieldValue("end", strconv.FormatInt(tt.end, 10)).FieldValue("count", tt.count).Build()
		if err := client.Do(t.Context(), hset).Error(); err != nil {
			t.Fatal(err)
		}
		if wait := take(t, c, limit.PerMinute(3).By(key)); wait != tt.wait {
			t.Errorf("%s: %v, want %v", key, wait, tt.wait)
		}
	}
	if err := client.Do(t.Context(), client.B().Set().Key(prefix+"text").Value("x").Build()).Error(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Take(t.Context(), limit.PerMinute(3).By("text")); err == nil {
		t.Error("a key of another type was counted in")
	}
}

// Slots are shared out once, and those of dead holders end.
func TestFunnel(t *testing.T) {
	clients(t, func(t *testing.T, client rueidis.Client, prefix string) {
		store := redislimit.In(client, prefix)
		if ok, err := store.Locks.Acquire(t.Context(), "pdf1", "dead", time.Second); !ok || err != nil {
			t.Fatal(ok, err)
		}
		var now, most, ran atomic.Int32
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				err := limit.Funnel("pdf").Limit(3).In(store).Block(time.Minute).Do(t.Context(), func(context.Context) error {
					n := now.Add(1)
					defer now.Add(-1)
					for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
					}
					time.Sleep(50 * time.Millisecond)
					ran.Add(1)
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if most.Load() > 3 || ran.Load() != 10 {
			t.Errorf("%d at a time, %d in all", most.Load(), ran.Load())
		}
		for n := range 3 {
			if owner, err := store.Locks.Owner(t.Context(), "pdf"+strconv.Itoa(n+1)); owner != "" && owner != "dead" || err != nil {
				t.Errorf("slot %d is %s's still, %v", n+1, owner, err)
			}
		}
	})
}

// A server that is down holds jobs back; it is no exception of theirs.
func TestServerIsDown(t *testing.T) {
	server := testserver.NewRedis(t)
	host, port, err := net.SplitHostPort(server.Addr)
	if err != nil {
		t.Fatal(err)
	}
	n, _ := strconv.Atoi(port)
	store := redislimit.In(open(t, redisdb.Options{Host: host, Port: n, Timeout: time.Second}), "")
	server.Stop()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	err = limit.Throttle("x").Allow(1).Every(time.Minute).In(store).Do(ctx, func(context.Context) error { return errors.New("it ran") })
	if o := spool.OutcomeOf(err); o.Kind != spool.Returned || o.Err == nil {
		t.Errorf("%v", err)
	}
}
