package spooltest

import (
	"context"
	"slices"
	"sync"
	"testing"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/batch"
	"github.com/spoolq/spool/cache"
	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/memqueue"
	"github.com/spoolq/spool/worker"
)

// Fake records what is dispatched through its Client, and keeps it in memory
// until [Work] runs it. All methods are safe for concurrent use; those that may
// end the test (Fatalf) belong into its own goroutine.
type Fake struct {
	// Client is for the code under test. It has locks, batches, chains and
	// transactions as any client.
	Client *spool.Client

	t       testing.TB
	o       FakeOptions
	hasty   bool // stores jobs without their delays
	cache   *cache.Memory
	batches *batches
	conns   map[string]*conn

	mu     sync.Mutex
	pushes []Push
}

// FakeOptions are the options of [NewFake].
type FakeOptions struct {
	// Connections are the connections that there are, the default one first;
	// without any there is one, "default". Open is not called.
	Connections []spool.ConnectionConfig
	// Inline has the jobs that have a handler here run inside of their dispatch,
	// as the sync connection does: delays are ignored, there is one attempt, and
	// its error is that of the dispatch. All are recorded, before they run. A job
	// without a handler is only recorded.
	Inline *spool.Mux
	// Refuse is asked before a job is recorded; an error is what the backend
	// answers. It may be called concurrently. nil refuses nothing.
	Refuse func(p Push) error
	// Client are the options of the fake's client.
	Client *spool.ClientOptions
}

// NewFake returns a Fake that reports to t, and is closed when t ends. opts may
// be nil.
func NewFake(t testing.TB, opts *FakeOptions) *Fake {
	t.Helper()
	var o FakeOptions
	if opts != nil {
		o = *opts
	}
	f := newFake(t, o, false)
	t.Cleanup(func() {
		if err := f.Client.Manager().Close(); err != nil {
			t.Errorf("closing the fake: %v", err)
		}
	})
	return f
}

func newFake(t testing.TB, o FakeOptions, hasty bool) *Fake {
	if len(o.Connections) == 0 {
		o.Connections = []spool.ConnectionConfig{{Name: "default"}}
	}
	f := &Fake{
		t: t, o: o, hasty: hasty, cache: cache.NewMemory(), batches: &batches{Memory: batch.NewMemory()}, conns: make(map[string]*conn),
	}
	for _, cfg := range o.Connections {
		if cfg.Format == nil {
			cfg.Format = spool.Native
		}
		f.conns[cfg.Name] = &conn{Conn: memqueue.New(nil), fake: f, name: cfg.Name, format: cfg.Format}
	}
	f.Client = f.newClient(func(c *conn) driver.Conn { return c })
	if m := f.Client.Manager(); o.Inline != nil {
		for _, c := range f.conns {
			c.mux = o.Inline.For(c.format)
			c.run = worker.Inline(c.name, o.Inline, c.format, m.Events(), &worker.Options{
				Followers: m.Followers(), Locks: f.cache, Signals: f.cache,
			})
		}
	}
	return f
}

// newClient returns a client over the connections, as open gives them.
func (f *Fake) newClient(open func(*conn) driver.Conn) *spool.Client {
	m := spool.NewManager(&spool.ManagerOptions{Locks: f.cache, Signals: f.cache})
	m.UseBatches(spool.BatchingOptions{
		Open:  func(context.Context) (spool.BatchStore, error) { return f.batches, nil },
		Sweep: -1, // nothing is owed where nothing crashes
	})
	for _, cfg := range f.o.Connections {
		if len(cfg.Failover) == 0 {
			c := f.conns[cfg.Name]
			cfg.Open = func(context.Context) (driver.Conn, error) { return open(c), nil }
		}
		m.Add(cfg)
	}
	return spool.NewClient(m, f.o.Client)
}

// scratch returns a fake with the same connections, to try things with.
func (f *Fake) scratch() *Fake {
	o := f.o
	o.Inline, o.Refuse = nil, nil
	return newFake(f.t, o, true)
}

// context is that of the test.
func (f *Fake) context() context.Context { return f.t.Context() }

// Pushes returns what was dispatched, in order: links of chains that followed
// others and callbacks of batches too. What waits for the commit of a
// transaction is not there yet.
func (f *Fake) Pushes() []Push { return slices.Clone(f.sofar()) }

// sofar is Pushes without a copy: nobody changes what is there.
func (f *Fake) sofar() []Push {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.pushes[:len(f.pushes):len(f.pushes)]
}

// Reset forgets what was recorded. Jobs that are on a queue stay there.
func (f *Fake) Reset() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pushes = nil
}

func (f *Fake) record(p Push) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pushes = append(f.pushes, p)
}

// conn is a connection of a Fake.
type conn struct {
	*memqueue.Conn
	fake   *Fake
	name   string
	format spool.Format
	mux    *spool.Mux // whose jobs run at once, or nil
	run    func(ctx context.Context, queue string, body []byte) error
}

// Traits implements [driver.Conn].
func (c *conn) Traits() driver.Traits {
	traits := c.Conn.Traits()
	traits.Instant = c.mux != nil
	return traits
}

// Push implements [driver.Conn].
func (c *conn) Push(ctx context.Context, queue string, ms []driver.Message) (ids []string, err error) {
	for _, m := range ms {
		p := newPush(c.name, queue, m.Body, m.Delay, c.format)
		if c.fake.o.Refuse != nil {
			if err := c.fake.o.Refuse(p); err != nil {
				return ids, err
			}
		}
		c.fake.record(p)
		if c.mux != nil && c.mux.Lookup(p.Name) != nil {
			if err := c.run(ctx, queue, p.Body); err != nil {
				return ids, err
			}
			ids = append(ids, p.UUID)
			continue
		}
		if c.fake.hasty {
			m.Delay = 0
		}
		id, err := c.Conn.Push(ctx, queue, []driver.Message{m})
		if err != nil {
			return ids, err
		}
		ids = append(ids, id...)
	}
	return ids, nil
}

// batches is a store that knows the order of its batches.
type batches struct {
	*batch.Memory
	mu  sync.Mutex
	ids []string
}

// Create implements [spool.BatchCounter].
func (b *batches) Create(ctx context.Context, r spool.BatchRecord) error {
	b.mu.Lock()
	b.ids = append(b.ids, r.ID)
	b.mu.Unlock()
	return b.Memory.Create(ctx, r)
}

func (b *batches) all() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.ids)
}
