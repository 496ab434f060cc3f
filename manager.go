package spool

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
)

// Manager holds named connections and opens each on first use. All methods
// are safe for concurrent use.
type Manager struct {
	events    *Events
	followers Followers
	locks     Locks
	signals   Signals
	lastMark  atomic.Int64 // of a job that is debounced
	batching  *batching    // see UseBatches; guarded by mu
	def       string

	degraded atomic.Pointer[string] // where dispatches go instead
	linker   atomic.Pointer[Client] // dispatches the links of chains

	mu        sync.Mutex
	conns     map[string]*Connection
	failovers map[string]*failover
	order     []string
}

// ManagerOptions are the options of [NewManager].
type ManagerOptions struct {
	// Default is the name of the default connection; "" means the first added.
	Default string
	// Events receives the events of pushes and workers; nil means nobody
	// listens, until [Manager.Events] is asked.
	Events *Events
	// Locks is where the locks of unique jobs are (see [Unique]); nil means that
	// there are none, and that such jobs can't be dispatched.
	Locks Locks
	// Signals is where it is kept which of the jobs that are debounced is the last
	// (see [Debounce]); nil means nowhere, and that they can't be dispatched.
	Signals Signals
}

// NewManager returns a Manager without connections.
func NewManager(opts *ManagerOptions) *Manager {
	m := &Manager{conns: make(map[string]*Connection), failovers: make(map[string]*failover), events: &Events{}}
	if opts != nil {
		m.def = opts.Default
		if opts.Events != nil {
			m.events = opts.Events
		}
		m.locks, m.signals = opts.Locks, opts.Signals
	}
	if m.locks != nil {
		m.followers.unlock = m.unlock
		Listen(m.events, m.unlockEarly)
	}
	if m.signals != nil {
		Listen(m.events, m.supersede)
	}
	m.followers.chain = m.followChain
	return m
}

// Add adds a connection, which is opened when it is first used. It panics if
// the name is taken or empty, or cfg has neither something to open it with nor
// connections to choose from.
func (m *Manager) Add(cfg ConnectionConfig) {
	if cfg.Name == "" || (cfg.Open == nil) == (len(cfg.Failover) == 0) {
		panic("spool: a connection needs a name and a way to open it, or others to fail over to")
	}
	if cfg.Queue == "" {
		cfg.Queue = "default"
	}
	if cfg.Format == nil {
		cfg.Format = Native
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.conns[cfg.Name] != nil || m.failovers[cfg.Name] != nil {
		panic("spool: two connections named " + cfg.Name)
	}
	if len(cfg.Failover) > 0 {
		m.failovers[cfg.Name] = newFailover(cfg.Name, cfg.Failover)
	} else {
		m.conns[cfg.Name] = &Connection{ConnectionConfig: cfg, events: m.events, followers: &m.followers, locks: m.locks, signals: m.signals, opening: make(chan struct{}, 1)}
	}
	m.order = append(m.order, cfg.Name)
	if m.def == "" {
		m.def = cfg.Name
	}
}

// Default returns the name of the default connection, "" if there is none.
func (m *Manager) Default() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.def
}

// Names returns the names of all connections in the order they were added.
func (m *Manager) Names() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.order)
}

// Events returns where listeners are added.
func (m *Manager) Events() *Events { return m.events }

// Followers returns where followers of the jobs of all connections are added.
func (m *Manager) Followers() *Followers { return &m.followers }

// Degrade has every dispatch go to one connection, whatever connection it
// names: to "sync", and all jobs run at once in their callers while the
// backends are down or moving; "" ends it. Workers, inspection and
// [Connection.PushRaw] are not affected. It may be called at any time.
func (m *Manager) Degrade(connection string) {
	if connection == "" {
		m.degraded.Store(nil)
		return
	}
	m.degraded.Store(&connection)
}

// Degraded returns where dispatches go instead of their own connections; "" if
// they go where they should.
func (m *Manager) Degraded() string {
	if name := m.degraded.Load(); name != nil {
		return *name
	}
	return ""
}

// target returns the connection that a dispatch goes to, and the failover
// behind it, if it is one.
func (m *Manager) target(name string) (string, *failover) {
	if d := m.degraded.Load(); d != nil {
		name = *d
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if name == "" {
		name = m.def
	}
	return name, m.failovers[name]
}

// Connection returns an open connection; "" means the default one. The first
// use opens it, and blocks until the backend answers or ctx ends; after a
// failure the next use tries again. For a failover it is the first of its
// connections: that is where it is read and worked.
func (m *Manager) Connection(ctx context.Context, name string) (*Connection, error) {
	m.mu.Lock()
	if name == "" {
		name = m.def
	}
	if f := m.failovers[name]; f != nil {
		name = f.names[0]
	}
	m.mu.Unlock()
	return m.backend(ctx, name)
}

// backend is Connection for one that has a backend of its own.
func (m *Manager) backend(ctx context.Context, name string) (*Connection, error) {
	m.mu.Lock()
	c, isFailover := m.conns[name], m.failovers[name] != nil
	m.mu.Unlock()
	switch {
	case isFailover:
		return nil, fmt.Errorf("connection %q is a failover, which another one can't use: name the connections behind it", name)
	case c == nil:
		return nil, &UnknownConnectionError{Name: name, Known: m.Names()}
	}
	if err := c.open(ctx); err != nil {
		return nil, err
	}
	return c, nil
}

// Close closes every connection that was opened, first those that run jobs in
// this process: they may wait for jobs, which dispatch others. Later uses fail
// with driver.ErrClosed.
func (m *Manager) Close() error {
	m.mu.Lock()
	var inline, others []*Connection
	for _, name := range m.order {
		switch c := m.conns[name]; {
		case c == nil: // a failover
		case c.runsInline():
			inline = append(inline, c)
		default:
			others = append(others, c)
		}
	}
	m.mu.Unlock()
	var errs []error
	for _, c := range append(inline, others...) {
		errs = append(errs, c.close())
	}
	return errors.Join(errs...)
}
