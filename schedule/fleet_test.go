package schedule_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/cache"
	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/internal/testserver"
	"github.com/spoolq/spool/memqueue"
	"github.com/spoolq/spool/schedule"
)

func TestMain(m *testing.M) { testserver.Main(m) }

// Report is a job.
type Report struct {
	To string `json:"to"`
}

// fleet is what schedulers share, and what they tell.
type fleet struct {
	t      *testing.T
	store  schedule.Store
	queue  *backend
	client *spool.Client

	mu         sync.Mutex
	dispatched []spool.ScheduleDispatched
	at         []time.Time // when each of them was
	missed     []spool.ScheduleMissed
	failed     []spool.ScheduleFailed
	log        bytes.Buffer
}

// backend is a queue that can refuse jobs, and be slow.
type backend struct {
	*memqueue.Conn
	mu   sync.Mutex
	fail error
	slow time.Duration
}

func (b *backend) Push(ctx context.Context, queue string, ms []driver.Message) ([]string, error) {
	b.mu.Lock()
	fail, slow := b.fail, b.slow
	b.mu.Unlock()
	if slow > 0 {
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(slow):
		}
	}
	if fail != nil {
		return nil, fail
	}
	return b.Conn.Push(ctx, queue, ms)
}

func (b *backend) set(fail error, slow time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fail, b.slow = fail, slow
}

func newFleet(t *testing.T, store schedule.Store) *fleet {
	t.Helper()
	if store == nil {
		store = cache.NewMemory()
	}
	f := &fleet{t: t, store: store, queue: &backend{Conn: memqueue.New(nil)}}
	m := spool.NewManager(&spool.ManagerOptions{Locks: f.store, Signals: f.store})
	m.Add(spool.ConnectionConfig{Name: "default", Open: func(context.Context) (driver.Conn, error) { return f.queue, nil }})
	f.client = spool.NewClient(m, nil)
	events := f.client.Manager().Events()
	spool.Listen(events, func(_ context.Context, e spool.ScheduleDispatched) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.dispatched, f.at = append(f.dispatched, e), append(f.at, time.Now())
	})
	spool.Listen(events, func(_ context.Context, e spool.ScheduleMissed) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.missed = append(f.missed, e)
	})
	spool.Listen(events, func(_ context.Context, e spool.ScheduleFailed) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.failed = append(f.failed, e)
	})
	return f
}

// Write makes a fleet its own log.
func (f *fleet) Write(b []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.log.Write(b)
}

func (f *fleet) logged() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.log.String()
}

// scheduler returns one more scheduler, over the fleet's store unless another is
// given.
func (f *fleet) scheduler(store schedule.Store, add func(*schedule.Scheduler)) *schedule.Scheduler {
	if store == nil {
		store = f.store
	}
	s := schedule.New(f.client, store, &schedule.Options{App: "shop", Restart: []string{"restart"}, Logger: slog.New(slog.NewTextHandler(f, nil))})
	add(s)
	return s
}

// start runs a scheduler until stop is called.
func (f *fleet) start(s *schedule.Scheduler) (stop func()) {
	ctx, cancel := context.WithCancel(f.t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	return func() {
		f.t.Helper()
		cancel()
		if err := <-done; err != nil {
			f.t.Error(err)
		}
	}
}

// due runs what is due now, and returns the ticks that were dispatched, as
// "name time".
func (f *fleet) due(s *schedule.Scheduler) []string {
	f.t.Helper()
	before := len(f.ran())
	n, err := s.RunDue(f.t.Context())
	if err != nil {
		f.t.Error(err)
	}
	got := f.ran()[before:]
	if n != len(got) {
		f.t.Errorf("RunDue says %d, and dispatched %v", n, got)
	}
	return got
}

// ran lists the ticks that were dispatched.
func (f *fleet) ran() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []string
	for _, e := range f.dispatched {
		all = append(all, e.Name+" "+e.Tick.UTC().Format("15:04:05"))
	}
	return all
}

// told lists the ticks that were told to be missed, "name first last count", and
// forgets them.
func (f *fleet) told() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []string
	for _, e := range f.missed {
		all = append(all, fmt.Sprintf("%s %s %s %d", e.Name, e.First.UTC().Format("15:04:05"), e.Last.UTC().Format("15:04:05"), e.Count))
	}
	f.missed = nil
	return all
}

func (f *fleet) same(what string, got []string, want ...string) {
	f.t.Helper()
	if !slices.Equal(got, want) {
		f.t.Errorf("%s: %q, want %q", what, got, want)
	}
}

// flaky is a store that ends in the middle of something: it does n calls that
// change it, and then no more.
type flaky struct {
	schedule.Store
	mu   sync.Mutex
	left int
	lose bool // the last one is done, and its answer lost
}

var errDead = errors.New("the process has died")

func (f *flaky) call(do func() error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.left--; f.left < 0 {
		if f.left == -1 && f.lose {
			_ = do()
		}
		return errDead
	}
	return do()
}

func (f *flaky) Put(ctx context.Context, key string, value any, ttl time.Duration) error {
	return f.call(func() error { return f.Store.Put(ctx, key, value, ttl) })
}

func (f *flaky) Acquire(ctx context.Context, name, owner string, ttl time.Duration) (ok bool, err error) {
	err = f.call(func() (err error) { ok, err = f.Store.Acquire(ctx, name, owner, ttl); return err })
	return ok && err == nil, err
}

func (f *flaky) Release(ctx context.Context, name, owner string) (ok bool, err error) {
	err = f.call(func() (err error) { ok, err = f.Store.Release(ctx, name, owner); return err })
	return ok, err
}
