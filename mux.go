package spool

import (
	"context"
	"fmt"
	"maps"
	"slices"
)

// HandlerFunc runs one job. It may return nil (done), an error (retried or
// failed by policy), [Release] or [Fail]. Its context ends with the job's
// timeout, with the worker's stop after the grace, and when the lease is lost;
// context.Cause tells which.
type HandlerFunc func(ctx context.Context, job *Job) error

// Middleware wraps a handler: it may act before and after next, or instead of it.
type Middleware func(next HandlerFunc) HandlerFunc

// Handler is a registered handler with its policy.
type Handler struct {
	Name   string
	Policy Policy
	// Run runs the job, middleware included.
	Run HandlerFunc
	// Failed is told that the job has failed for good, after it was recorded;
	// nil if nobody wants to know.
	Failed func(ctx context.Context, job *Job, err error) error

	aliases []string
	wrap    []Middleware

	// Of jobs that PHP has locked or debounced; nil: it hasn't, as far as is known.
	uniqueID, debounceID func(job *Job) (string, error)
	early                bool // their lock is released before they run
}

// Names returns the names that the handler is registered under.
func (h *Handler) Names() []string { return append([]string{h.Name}, h.aliases...) }

// Mux finds the handler of a job by name. Register everything first: a Mux
// must not be changed while a worker uses it.
type Mux struct {
	handlers map[string]*Handler
	wrap     []Middleware
	fallback func(name string) *Handler

	resolve func(name string) string
	full    map[string]*Handler // by resolved name; nil without resolve
}

// NewMux returns an empty Mux.
func NewMux() *Mux { return &Mux{handlers: make(map[string]*Handler)} }

// Use adds middleware around every handler registered after it; the first
// added is the outermost.
func (m *Mux) Use(mw ...Middleware) { m.wrap = append(m.wrap, mw...) }

// HandleFunc registers a handler for jobs of one name, e.g. a PHP class
// ("App\Jobs\SendMail") or a think-queue job ("app\job\Mail@send"). It panics
// if the name is taken.
func (m *Mux) HandleFunc(name string, fn HandlerFunc, opts ...HandlerOption) {
	h := &Handler{Name: name}
	for _, o := range opts {
		o.applyHandler(h)
	}
	h.Run = wrapped(wrapped(fn, h.wrap), m.wrap)
	for _, n := range append([]string{name}, h.aliases...) {
		if n == "" {
			panic("spool: a handler needs a name")
		}
		if _, taken := m.handlers[n]; taken {
			panic(fmt.Sprintf("spool: two handlers for %q", n))
		}
		m.handlers[n] = h
	}
}

// wrapped returns fn inside mw, the first of which is the outermost.
func wrapped(fn HandlerFunc, mw []Middleware) HandlerFunc {
	for _, w := range slices.Backward(mw) {
		fn = w(fn)
	}
	return fn
}

// Handle registers a handler for jobs of type T under the type's name (see
// [Named]). It panics if the name is taken or T has none.
func Handle[T any](m *Mux, fn func(ctx context.Context, job T) error, opts ...HandlerOption) {
	name, err := NameOf[T]()
	if err != nil {
		panic("spool: " + err.Error())
	}
	if id := uniqueOf[T](); id != nil {
		opts = append([]HandlerOption{UniqueBy(id)}, opts...)
	}
	m.HandleFunc(name, func(ctx context.Context, job *Job) error {
		var v T
		if err := job.Decode(&v); err != nil {
			return err
		}
		return fn(ctx, v)
	}, opts...)
}

// Fallback sets a function that may supply a handler for names that aren't
// registered; it returns nil for those it doesn't know. Middleware of
// [Mux.Use], added before or after, goes around these handlers too.
func (m *Mux) Fallback(find func(name string) *Handler) { m.fallback = find }

// Lookup returns the handler for jobs of that name, or nil.
func (m *Mux) Lookup(name string) *Handler {
	h := m.handlers[name]
	full := name
	if h == nil && m.resolve != nil {
		full = m.resolve(name)
		h = m.full[full]
	}
	if h != nil || m.fallback == nil {
		return h
	}
	if h = m.fallback(name); h == nil && full != name {
		h = m.fallback(full)
	}
	if h == nil || len(m.wrap) == 0 {
		return h
	}
	around := *h
	around.Run = wrapped(h.Run, m.wrap)
	return &around
}

// For returns m as jobs of a format are looked up in it: where a job has several
// names (see [NameResolver]), its handler is found by any of them. It panics if
// two handlers are registered for the same job.
func (m *Mux) For(f Format) *Mux {
	r, ok := f.(NameResolver)
	if !ok {
		return m
	}
	c := *m
	c.resolve, c.full = r.ResolveName, make(map[string]*Handler, len(m.handlers))
	for _, name := range m.Names() {
		full, h := c.resolve(name), m.handlers[name]
		if other := c.full[full]; other != nil && other != h {
			panic(fmt.Sprintf("spool: two handlers for %q: %q and %q mean the same job on this connection", full, other.Name, name))
		}
		c.full[full] = h
	}
	return &c
}

// Empty says that the Mux handles nothing, and has no Fallback.
func (m *Mux) Empty() bool { return len(m.handlers) == 0 && m.fallback == nil }

// Names returns the names and aliases that have a handler, sorted.
func (m *Mux) Names() []string { return slices.Sorted(maps.Keys(m.handlers)) }
