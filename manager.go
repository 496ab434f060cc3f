package spool

import (
	"context"
	"errors"
	"slices"
	"sync"
)

// Manager holds named connections and opens each on first use. All methods
// are safe for concurrent use.
type Manager struct {
	events *Events
	def    string

	mu    sync.Mutex
	conns map[string]*Connection
	order []string
}

// ManagerOptions are the options of [NewManager].
type ManagerOptions struct {
	// Default is the name of the default connection; "" means the first added.
	Default string
	// Events receives the events of pushes and workers; nil means nobody
	// listens, until [Manager.Events] is asked.
	Events *Events
}

// NewManager returns a Manager without connections.
func NewManager(opts *ManagerOptions) *Manager {
	m := &Manager{conns: make(map[string]*Connection), events: &Events{}}
	if opts != nil {
		m.def = opts.Default
		if opts.Events != nil {
			m.events = opts.Events
		}
	}
	return m
}

// Add adds a connection, which is opened when it is first used. It panics if
// the name is taken or empty, or cfg has nothing to open it with.
func (m *Manager) Add(cfg ConnectionConfig) {
	if cfg.Name == "" || cfg.Open == nil {
		panic("spool: a connection needs a name and a way to open it")
	}
	if cfg.Queue == "" {
		cfg.Queue = "default"
	}
	if cfg.Format == nil {
		cfg.Format = Native
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.conns[cfg.Name] != nil {
		panic("spool: two connections named " + cfg.Name)
	}
	m.conns[cfg.Name] = &Connection{ConnectionConfig: cfg, events: m.events}
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

// Connection returns an open connection; "" means the default one. The first
// use opens it, and blocks until the backend answers or ctx ends; after a
// failure the next use tries again.
func (m *Manager) Connection(ctx context.Context, name string) (*Connection, error) {
	m.mu.Lock()
	if name == "" {
		name = m.def
	}
	c := m.conns[name]
	m.mu.Unlock()
	if c == nil {
		return nil, &UnknownConnectionError{Name: name, Known: m.Names()}
	}
	if err := c.open(ctx); err != nil {
		return nil, err
	}
	return c, nil
}

// Close closes every connection that was opened. Later uses fail with
// driver.ErrClosed.
func (m *Manager) Close() error {
	m.mu.Lock()
	conns := make([]*Connection, 0, len(m.order))
	for _, name := range m.order {
		conns = append(conns, m.conns[name])
	}
	m.mu.Unlock()
	var errs []error
	for _, c := range conns {
		errs = append(errs, c.close())
	}
	return errors.Join(errs...)
}
