package batch_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/batch"
	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/memqueue"
	"github.com/spoolq/spool/worker"
)

var errDead = errors.New("this process is dead")

// mortal is a process that dies at its nth call of the queue or the store:
// before the call, or after it, so that nobody hears the answer.
type mortal struct {
	mu    sync.Mutex
	n     int
	after bool
	calls int
	where string
	die   func()
}

func (m *mortal) call(name string, fn func() error) error {
	m.mu.Lock()
	m.calls++
	now, dead := m.calls == m.n, m.n > 0 && m.calls > m.n
	if now {
		m.where = name
	}
	m.mu.Unlock()
	if dead {
		return errDead
	}
	if !now {
		return fn()
	}
	if m.after {
		_ = fn()
	}
	m.die()
	return errDead
}

type mortalConn struct {
	driver.Conn
	*mortal
}

func (c mortalConn) Push(ctx context.Context, queue string, ms []driver.Message) (ids []string, err error) {
	err = c.call("Push", func() (err error) { ids, err = c.Conn.Push(ctx, queue, ms); return err })
	return ids, err
}

func (c mortalConn) Reserve(ctx context.Context, queue string, max int) (rs []driver.Reservation, err error) {
	c.mu.Lock()
	dead := c.n > 0 && c.calls >= c.n
	c.mu.Unlock()
	if dead {
		return nil, errDead
	}
	return c.Conn.Reserve(ctx, queue, max)
}

func (c mortalConn) Delete(ctx context.Context, rs []driver.Reservation) error {
	return c.call("Delete", func() error { return c.Conn.Delete(ctx, rs) })
}

func (c mortalConn) Release(ctx context.Context, rs []driver.Reservation, d time.Duration) error {
	return c.call("Release", func() error { return c.Conn.Release(ctx, rs, d) })
}

func (c mortalConn) Close() error { return nil }

type mortalStore struct {
	spool.BatchStore
	*mortal
}

func (s mortalStore) Find(ctx context.Context, id string) (r spool.BatchRecord, err error) {
	err = s.call("Find", func() (err error) { r, err = s.BatchStore.Find(ctx, id); return err })
	return r, err
}

func (s mortalStore) Record(ctx context.Context, ends []spool.BatchEnd) (cs []spool.BatchChange, err error) {
	err = s.call("Record", func() (err error) { cs, err = s.BatchStore.Record(ctx, ends); return err })
	return cs, err
}

func (s mortalStore) Claim(ctx context.Context, id string, events []spool.BatchEvent) (cs []spool.ClaimedCallback, err error) {
	err = s.call("Claim", func() (err error) { cs, err = s.BatchStore.Claim(ctx, id, events); return err })
	return cs, err
}

func (s mortalStore) Mark(ctx context.Context, id, uuid string, state spool.CallbackState) error {
	return s.call("Mark", func() error { return s.BatchStore.Mark(ctx, id, uuid, state) })
}

func (s mortalStore) Owed(ctx context.Context, max int) (ids []string, err error) {
	err = s.call("Owed", func() (err error) { ids, err = s.BatchStore.Owed(ctx, max); return err })
	return ids, err
}

// TestCrashBetweenAnyTwoCalls has a worker die before and after every call that
// it makes while it works a batch, and another one take over.
func TestCrashBetweenAnyTwoCalls(t *testing.T) {
	for _, fails := range []int{0, 9} {
		for _, after := range []bool{false, true} {
			for n, died := 1, true; died; n++ {
				synctest.Test(t, func(t *testing.T) {
					m := &mortal{n: n, after: after}
					died = crash(t, m, fails)
				})
				if n > 100 {
					t.Fatal("there is no end of calls")
				}
				if !died && n < 10 {
					t.Errorf("only %d calls to die at", n-1)
				}
			}
		}
	}
}

// crash works a batch of three, one of which fails as often as given, first in
// a process that is mortal, then in another. It says whether the first died.
func crash(t *testing.T, m *mortal, fails int) bool {
	queue, store := memqueue.New(&memqueue.Options{RetryAfter: 90 * time.Second}), batch.NewMemory()
	first := newApp(t, mortalConn{queue, m}, mortalStore{store, m}, -1)
	second := newApp(t, queue, store, 15*time.Second)
	apart := func(what string) any { return spool.With(Told{what}, spool.OnQueue("callbacks")) }
	b, err := second.client.Batch(Import{N: 1}, Import{N: 2, Fails: fails}, Import{N: 3}).Name("c").AllowFailures().
		Then(apart("then")).Catch(apart("catch")).Finally(apart("finally"), apart("and finally")).Dispatch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	run := func(a *app, ctx context.Context, o worker.Options) *worker.Worker {
		conn, err := a.client.Manager().Connection(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		o.Logger, o.Grace, o.Policy = slog.New(slog.DiscardHandler), time.Second, spool.Policy{Tries: new(1 + fails/9)}
		if fails == 0 { // the run that the first process dies in counts
			o.Policy.Tries = new(3)
		}
		return worker.New(conn, a.mux, &o)
	}
	// One job at a time, so that the calls come in the same order every time.
	w := run(first, t.Context(), worker.Options{Concurrency: 1, StopWhenEmpty: true, CancelGrace: -1})
	m.die = w.Abort
	_, _ = w.Run(t.Context())
	m.mu.Lock()
	died, at := m.where != "", fmt.Sprintf("died at call %d (%s, after it: %v, failing: %v)", m.n, m.where, m.after, fails > 0)
	m.mu.Unlock()

	// Callbacks are worked late: one that was pushed without anybody having heard
	// of it is pushed again by then, and both are on the queue.
	for _, q := range []string{"default", "callbacks"} {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		if _, err := run(second, ctx, worker.Options{Queues: []string{q}}).Run(ctx); err != nil {
			t.Error(err)
		}
		cancel()
	}
	failed := min(fails, 1)
	if b, err = b.Fresh(t.Context()); err != nil || b.Pending != failed || b.Failed != failed || len(b.FailedIDs) != failed {
		t.Errorf("%s: %+v, %v", at, b.BatchRecord, err)
	}
	last := "then"
	if failed > 0 {
		last = "catch"
	}
	told := second.said("told")
	if len(told) != 3 || len(second.said("told "+last)) != 1 || len(second.said("told finally")) != 1 || len(second.said("told and finally")) != 1 {
		t.Errorf("%s: told %q", at, told)
	}
	return died
}
