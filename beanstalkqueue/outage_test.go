package beanstalkqueue

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/internal/testserver"
)

// TestKilledServer: with its log the server loses no job when it is killed,
// and the connection comes back by itself. What was held is lost at once.
func TestKilledServer(t *testing.T) {
	t.Parallel()
	s := testserver.NewBeanstalkd(t)
	c := open(t, s.Addr, nil)
	push(t, c, "q", "held", "ready")
	if _, err := c.Push(t.Context(), "q", []driver.Message{{Body: []byte("later"), Delay: 2 * time.Second}}); err != nil {
		t.Fatal(err)
	}
	held := reserve(t, c, "q", 1)
	lost := c.Lost()
	s.Kill()
	select {
	case <-lost:
	case <-time.After(5 * time.Second):
		t.Error("nobody is told of the loss")
	}
	if err := c.Extend(t.Context(), held); !errors.Is(driver.ItemError(err, 0), driver.ErrLost) {
		t.Errorf("Extend after the loss: %v, want ErrLost", err)
	}
	start := time.Now()
	for name, err := range map[string]error{"Delete": c.Delete(t.Context(), held), "Release": c.Release(t.Context(), held, 0)} {
		if !errors.Is(err, driver.ErrLost) {
			t.Errorf("%s of a reservation of a broken connection: %v, want ErrLost", name, err)
		}
	}
	for range 100 {
		if _, err := c.Push(t.Context(), "q", []driver.Message{{Body: []byte("x")}}); err == nil {
			t.Fatal("Push succeeded without a server")
		}
	}
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("calls without a server took %v", took)
	}
	s.Start()
	until(t, "the server is back", func() bool { return c.Ping(t.Context()) == nil })
	if err := c.Delete(t.Context(), held); !errors.Is(err, driver.ErrLost) {
		t.Errorf("Delete of a reservation from before the restart: %v, want ErrLost", err)
	}
	got := map[string]int{}
	until(t, "all jobs are there", func() bool {
		rs, err := c.Reserve(t.Context(), "q", 5)
		for _, r := range rs {
			got[string(r.Body)] = r.Attempts
		}
		return err == nil && len(got) == 3
	})
	t.Logf("attempts after the restart: %v", got)
	if got["ready"] != 1 || got["later"] != 1 {
		t.Errorf("attempts of jobs that nobody had are %v", got)
	}
}

// TestKilledAgainAndAgain: producers and workers on two processes' worth of
// connections, while the server is killed under them. Every job whose push was
// confirmed is done.
func TestKilledAgainAndAgain(t *testing.T) {
	t.Parallel()
	const kills, producers, workers = 3, 2, 6
	s := testserver.NewBeanstalkd(t, "-f0")
	var mu sync.Mutex
	pushed, done := map[string]bool{}, map[string]int{}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	producing, stop := context.WithCancel(ctx)
	var running, making sync.WaitGroup
	for p := range producers {
		c := open(t, s.Addr, nil)
		making.Go(func() {
			for n := 0; producing.Err() == nil; n++ {
				body := fmt.Sprintf("%d-%d", p, n)
				if _, err := c.Push(ctx, "q", []driver.Message{{Body: []byte(body)}}); err == nil {
					mu.Lock()
					pushed[body] = true
					mu.Unlock()
				}
			}
		})
	}
	one, two := open(t, s.Addr, nil), open(t, s.Addr, &Options{Connections: 3})
	for w := range workers {
		c := []*Conn{one, two}[w%2]
		running.Go(func() {
			for ctx.Err() == nil {
				rs, err := c.Reserve(ctx, "q", 4)
				if len(rs) == 0 {
					_ = c.Wait(ctx, []string{"q"}, time.Second) // what is wrong shows in the jobs that are missing
				}
				if err == nil {
					err = c.Delete(ctx, rs)
				}
				mu.Lock()
				for i, r := range rs {
					if driver.ItemError(err, i) == nil {
						done[string(r.Body)]++
					}
				}
				mu.Unlock()
			}
		})
	}
	for i := range kills {
		until(t, "work goes on", func() bool {
			mu.Lock()
			defer mu.Unlock()
			return len(done) > (i+1)*200
		})
		s.Kill()
		s.Start()
	}
	until(t, "work goes on after the last kill", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(done) > (kills+1)*200
	})
	stop()
	making.Wait()
	// A delete whose answer was lost may have been done: then nobody sees the
	// job again, and nobody noted it as done. Such jobs are few, one batch for
	// each worker and kill.
	until(t, "the queue is empty", func() bool {
		size, err := one.Size(ctx, "q")
		return err == nil && size.Total() == 0
	})
	cancel()
	running.Wait()
	missing := 0
	for body := range pushed {
		if done[body] == 0 {
			missing++
		}
	}
	if most := kills * workers * 4; missing > most {
		t.Errorf("%d of %d jobs were never done, more than the %d whose deletes may have lost their answers", missing, len(pushed), most)
	}
	t.Logf("%d jobs, %d done without an answer", len(pushed), missing)
}

// TestPausedServer: a server that doesn't answer for a moment costs nothing,
// one that stays silent costs the connection.
func TestPausedServer(t *testing.T) {
	t.Parallel()
	s := testserver.NewBeanstalkd(t)
	c := open(t, s.Addr, &Options{Timeout: 2 * time.Second})
	push(t, c, "q", "job")
	held := reserve(t, c, "q", 1)
	s.Pause()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := c.Extend(ctx, held); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Extend on a server that doesn't answer: %v, want the context's error", err)
	}
	s.Resume()
	if err := c.Extend(t.Context(), held); err != nil {
		t.Errorf("Extend once the server answers again: %v", err)
	}
	s.Pause()
	start := time.Now()
	err := c.Extend(t.Context(), held)
	if took := time.Since(start); !errors.Is(err, errSilent) || took < time.Second || took > 6*time.Second {
		t.Errorf("Extend on a silent server: %v after %v, want that it doesn't answer, after 2 s", err, took)
	}
	if err := c.Extend(t.Context(), held); !errors.Is(err, driver.ErrLost) {
		t.Errorf("Extend after the connection was given up: %v, want ErrLost", err)
	}
	s.Resume()
	until(t, "the job comes back", func() bool {
		rs, err := c.Reserve(t.Context(), "q", 1)
		return err == nil && len(rs) == 1 && rs[0].Attempts == 2
	})
}

// TestLossIsNoticedWithoutCalls: a connection that holds jobs notices by
// itself that the server is silent.
func TestLossIsNoticedWithoutCalls(t *testing.T) {
	t.Parallel()
	s := testserver.NewBeanstalkd(t)
	c := open(t, s.Addr, &Options{Timeout: time.Second})
	push(t, c, "q", "job")
	held := reserve(t, c, "q", 1)
	held0 := held[0].Receipt.(*receipt)
	s.Pause()
	defer s.Resume()
	until(t, "the connection is given up", func() bool { return !held0.s.alive() })
}

func TestCloseDuringCalls(t *testing.T) {
	t.Parallel()
	s := testserver.NewBeanstalkd(t)
	c := open(t, s.Addr, nil)
	push(t, c, "q", "job")
	s.Pause()
	defer s.Resume()
	failed := make(chan error, 2)
	go func() { _, err := c.Reserve(t.Context(), "q", 1); failed <- err }()
	go func() { failed <- c.Ping(t.Context()) }()
	until(t, "both are under way", func() bool {
		m, err := c.session(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		m.mu.Lock()
		defer m.mu.Unlock()
		return m.open == 2
	})
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := <-failed; !errors.Is(err, driver.ErrClosed) {
			t.Errorf("a call that Close ended returned %v, want ErrClosed", err)
		}
	}
}

func TestNoServer(t *testing.T) {
	t.Parallel()
	s := testserver.NewBeanstalkd(t)
	s.Stop()
	if _, err := Open(t.Context(), s.Addr, nil); err == nil {
		t.Error("Open succeeded without a server")
	}
}
