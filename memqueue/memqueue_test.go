package memqueue_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/driver/drivertest"
	"github.com/spoolq/spool/memqueue"
)

const lease = driver.MinLease

func open(t *testing.T, keepExpired bool) *memqueue.Conn {
	c := memqueue.New(&memqueue.Options{RetryAfter: lease, KeepExpired: keepExpired})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestConformance(t *testing.T) {
	drivertest.Run(t, func(t *testing.T) drivertest.Harness {
		return drivertest.Harness{
			Conn:        open(t, false),
			KeepExpired: func(t *testing.T) driver.Conn { return open(t, true) },
		}
	})
}

// TestHours compares the model with one that is too simple to be wrong, and
// with itself, over hours that take no time.
func TestHours(t *testing.T) {
	for name, conn := range map[string]func(*testing.T) driver.Conn{
		"the naive queue": func(*testing.T) driver.Conn { return &naive{} },
		"itself":          func(t *testing.T) driver.Conn { return open(t, false) },
	} {
		t.Run(name, func(t *testing.T) {
			hours := 3 * time.Hour
			if testing.Short() {
				hours = 40 * time.Minute
			}
			synctest.Test(t, func(t *testing.T) {
				drivertest.Model(t, func(t *testing.T) drivertest.Harness { return drivertest.Harness{Conn: conn(t)} }, hours)
			})
		})
	}
}

func BenchmarkConn(b *testing.B) {
	drivertest.Benchmark(b, memqueue.New(nil))
}

func TestDefaults(t *testing.T) {
	c := memqueue.New(nil)
	if got, want := c.Traits().Lease, 90*time.Second; got != want {
		t.Errorf("the default lease is %v, want %v", got, want)
	}
	defer func() {
		if recover() == nil {
			t.Error("New accepted a lease under the shortest")
		}
	}()
	memqueue.New(&memqueue.Options{RetryAfter: time.Second})
}

func push(t *testing.T, c driver.Conn, delay time.Duration, names ...string) {
	t.Helper()
	var ms []driver.Message
	for _, n := range names {
		ms = append(ms, driver.Message{ID: n, Body: []byte(n), Delay: delay})
	}
	if _, err := c.Push(t.Context(), "q", ms); err != nil {
		t.Fatal(err)
	}
}

func reserve(t *testing.T, c driver.Conn, max int) []driver.Reservation {
	t.Helper()
	rs, err := c.Reserve(t.Context(), "q", max)
	if err != nil {
		t.Fatal(err)
	}
	return rs
}

func wantOrder(t *testing.T, rs []driver.Reservation, want ...string) {
	t.Helper()
	var got []string
	for _, r := range rs {
		got = append(got, r.ID)
	}
	if !slices.Equal(got, want) {
		t.Errorf("jobs come in the order %q, want %q", got, want)
	}
}

// The order is that of becoming ready, whatever was done or looked at meanwhile.
func TestOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := open(t, false)
		push(t, c, 0, "held")
		reserve(t, c, 1)
		push(t, c, 2*time.Second, "late 1", "late 2")
		push(t, c, time.Second, "soon")
		push(t, c, 0, "now 1", "now 2")
		time.Sleep(1500 * time.Millisecond)
		push(t, c, 0, "between")
		if _, err := c.Size(t.Context(), "q"); err != nil {
			t.Error(err)
		}
		time.Sleep(lease - 1500*time.Millisecond)
		push(t, c, 0, "last")
		wantOrder(t, reserve(t, c, 10), "now 1", "now 2", "soon", "between", "late 1", "late 2", "last", "held")
	})
}

func TestTimesAreExact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := open(t, false)
		push(t, c, time.Second, "a")
		time.Sleep(time.Second - 1)
		wantOrder(t, reserve(t, c, 1))
		time.Sleep(time.Nanosecond)
		wantOrder(t, reserve(t, c, 1), "a")
		time.Sleep(lease - 1)
		wantOrder(t, reserve(t, c, 1))
		time.Sleep(time.Nanosecond)
		wantOrder(t, reserve(t, c, 1), "a")
	})
}

// Wait returns at the very moment at which there is something to reserve, for
// whatever reason there is.
func TestWaitIsExact(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(*testing.T, *memqueue.Conn)
		want    time.Duration
	}{
		"nothing":                {func(*testing.T, *memqueue.Conn) {}, time.Minute},
		"a ready job":            {func(t *testing.T, c *memqueue.Conn) { push(t, c, 0, "a") }, 0},
		"the earlier of delays":  {func(t *testing.T, c *memqueue.Conn) { push(t, c, 9*time.Second, "b"); push(t, c, 4*time.Second, "a") }, 4 * time.Second},
		"a lease that will end":  {func(t *testing.T, c *memqueue.Conn) { push(t, c, 0, "a"); reserve(t, c, 1) }, lease},
		"a lease that has ended": {func(t *testing.T, c *memqueue.Conn) { push(t, c, 0, "a"); reserve(t, c, 1); time.Sleep(lease) }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				conn := open(t, false)
				c.prepare(t, conn)
				start := time.Now()
				if err := conn.Wait(t.Context(), []string{"other", "q"}, time.Minute); err != nil {
					t.Fatal(err)
				}
				if got := time.Since(start); got != c.want {
					t.Errorf("Wait took %v, want %v", got, c.want)
				}
				if c.want < time.Minute && len(reserve(t, conn, 1)) != 1 {
					t.Error("there was nothing to reserve when Wait returned")
				}
			})
		})
	}
}

// A waiter that hears of an earlier job while it waits for a later one looks
// again, and only returns when there is something to reserve.
func TestWaitHearsOfChanges(t *testing.T) {
	for name, c := range map[string]struct {
		change func(t *testing.T, c *memqueue.Conn, held []driver.Reservation)
		want   time.Duration
	}{
		"a push":         {func(t *testing.T, c *memqueue.Conn, _ []driver.Reservation) { push(t, c, 0, "b") }, time.Second},
		"a delayed push": {func(t *testing.T, c *memqueue.Conn, _ []driver.Reservation) { push(t, c, time.Second, "b") }, 2 * time.Second},
		"a release":      {func(t *testing.T, c *memqueue.Conn, rs []driver.Reservation) { _ = c.Release(t.Context(), rs, 0) }, time.Second},
		"a delayed release": {func(t *testing.T, c *memqueue.Conn, rs []driver.Reservation) {
			_ = c.Release(t.Context(), rs, time.Second)
		}, 2 * time.Second},
		"a return":     {func(t *testing.T, c *memqueue.Conn, rs []driver.Reservation) { _ = c.Return(t.Context(), rs, 0) }, time.Second},
		"an extension": {func(t *testing.T, c *memqueue.Conn, rs []driver.Reservation) { _ = c.Extend(t.Context(), rs) }, time.Second + lease},
		"a deletion":   {func(t *testing.T, c *memqueue.Conn, rs []driver.Reservation) { _ = c.Delete(t.Context(), rs) }, time.Minute},
		"a clearance":  {func(t *testing.T, c *memqueue.Conn, _ []driver.Reservation) { _, _ = c.Clear(t.Context(), "q") }, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				conn := open(t, false)
				push(t, conn, 0, "a")
				held := reserve(t, conn, 1)
				push(t, conn, 2*time.Minute, "much later")
				start := time.Now()
				time.AfterFunc(time.Second, func() { c.change(t, conn, held) })
				if err := conn.Wait(t.Context(), []string{"q"}, time.Minute); err != nil {
					t.Fatal(err)
				}
				if got := time.Since(start); got != c.want {
					t.Errorf("Wait took %v, want %v", got, c.want)
				}
			})
		})
	}
}

func TestWaitEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := open(t, false)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := c.Wait(ctx, []string{"q"}, time.Hour); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Wait with a context that timed out returned %v", err)
		}
		time.AfterFunc(time.Second, func() { _ = c.Close() })
		start := time.Now()
		if err := c.Wait(t.Context(), []string{"q"}, time.Hour); !errors.Is(err, driver.ErrClosed) || time.Since(start) != time.Second {
			t.Errorf("Wait, unblocked by Close, returned %v after %v", err, time.Since(start))
		}
	})
}

// A connection that keeps expired reservations doesn't wake for them either.
func TestKeepExpiredSleeps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := open(t, true)
		push(t, c, 0, "a")
		reserve(t, c, 1)
		time.Sleep(lease)
		start := time.Now()
		if err := c.Wait(t.Context(), []string{"q"}, time.Minute); err != nil || time.Since(start) != time.Minute {
			t.Errorf("Wait returned %v after %v, want a minute", err, time.Since(start))
		}
		go func() { _, _ = c.Rescue(t.Context(), "q", 1) }()
		start = time.Now()
		if err := c.Wait(t.Context(), []string{"q"}, time.Minute); err != nil || time.Since(start) != 0 {
			t.Errorf("Wait returned %v after %v, want at once: the job was rescued", err, time.Since(start))
		}
	})
}

func TestForeignReservationsAreLost(t *testing.T) {
	a, b := open(t, false), open(t, false)
	push(t, a, 0, "a")
	rs := append(reserve(t, a, 1), driver.Reservation{}, driver.Reservation{Receipt: 7})
	err := b.Delete(t.Context(), rs)
	for i := range rs {
		if !errors.Is(driver.ItemError(err, i), driver.ErrLost) {
			t.Errorf("Delete of reservation %d, made elsewhere, returned %v", i, err)
		}
	}
	if err := a.Delete(t.Context(), rs[:1]); err != nil {
		t.Error(err)
	}
}

func TestListRefusesNonsense(t *testing.T) {
	c := open(t, false)
	if _, _, err := c.List(t.Context(), "q", "lost", "", 1); err == nil {
		t.Error("List accepted a state that doesn't exist")
	}
	for _, cursor := range []string{"x", "-1"} {
		if _, _, err := c.List(t.Context(), "q", driver.Pending, cursor, 1); err == nil {
			t.Errorf("List accepted the cursor %q", cursor)
		}
	}
}
