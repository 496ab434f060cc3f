package spool

import (
	"context"
	"time"
)

// DispatchOption is an option of [Dispatch] and its relatives.
type DispatchOption interface{ applyDispatch(*dispatch) }

// HandlerOption is an option of [Handle] and [Mux.HandleFunc].
type HandlerOption interface{ applyHandler(*Handler) }

// PolicyOption is an option of both: given at dispatch it travels in the
// payload and wins over the handler's.
type PolicyOption func(*Policy)

func (o PolicyOption) applyDispatch(d *dispatch) { o(&d.policy) }
func (o PolicyOption) applyHandler(h *Handler)   { o(&h.Policy) }

// Configured is implemented by jobs that carry their own options, as Laravel's
// job classes do; options given to Dispatch win over them.
type Configured interface {
	JobOptions() []DispatchOption
}

// Grouped is implemented by jobs that say which message group they belong to;
// see [OnGroup]. "" is none.
type Grouped interface {
	MessageGroup() string
}

// Deduplicated is implemented by jobs that have a deduplication id of their own;
// see [Deduplicate]. "" is none.
type Deduplicated interface {
	DeduplicationID() string
}

// Tries sets how many attempts a job has; 0 means any number.
func Tries(n int) PolicyOption { return func(p *Policy) { p.Tries = new(max(n, 0)) } }

// MaxExceptions fails a job after n attempts that ended with an error;
// attempts that ended with a release don't count.
func MaxExceptions(n int) PolicyOption { return func(p *Policy) { p.MaxExceptions = max(n, 0) } }

// Timeout ends the handler's context after d; 0 means never. Rounded up to
// whole seconds in the payload.
func Timeout(d time.Duration) PolicyOption {
	return func(p *Policy) { p.Timeout = new(max(d, 0)) }
}

// Backoff sets the waits before the second attempt, the third and so on; the
// last one repeats. Rounded up to whole seconds in the payload.
func Backoff(ds ...time.Duration) PolicyOption {
	return func(p *Policy) { p.Backoff = append([]time.Duration{}, ds...) }
}

// RetryUntil lets a job be retried any number of times until t, and fails it
// then. It replaces Tries.
func RetryUntil(t time.Time) PolicyOption { return func(p *Policy) { p.RetryUntil = t } }

// FailOnTimeout fails a job at its first timeout.
func FailOnTimeout() PolicyOption { return func(p *Policy) { p.FailOnTimeout = true } }

type dispatch struct {
	connection  string
	queue       string
	delay       time.Duration
	at          time.Time
	afterCommit *bool
	display     string
	group       string
	dedup       string
	extra       map[string]any
	policy      Policy
	unique      unique
	debounce    debounce
}

type dispatchOption func(*dispatch)

func (o dispatchOption) applyDispatch(d *dispatch) { o(d) }

// OnConnection sends the job to a connection other than the default one.
func OnConnection(name string) DispatchOption {
	return dispatchOption(func(d *dispatch) { d.connection = name })
}

// OnQueue sends the job to a queue other than the connection's default one.
func OnQueue(name string) DispatchOption {
	return dispatchOption(func(d *dispatch) { d.queue = name })
}

// OnGroup puts the job into a message group, where the store knows groups
// (SQS): on a FIFO queue the jobs of a group run in order, on a standard queue
// the group is the tenant of a fair queue. It wins over [Grouped], and stays the
// job's when it is retried. Other stores ignore it.
func OnGroup(id string) DispatchOption {
	return dispatchOption(func(d *dispatch) { d.group = id })
}

// Deduplicate gives the job the id by which a FIFO queue of SQS knows a job that
// was dispatched within the last five minutes, and drops it. It wins over
// [Deduplicated]. Other stores ignore it. Of several jobs in one call only one
// would be left, so these are refused.
func Deduplicate(id string) DispatchOption {
	return dispatchOption(func(d *dispatch) { d.dedup = id })
}

// Delay keeps the job invisible for at least d.
func Delay(d time.Duration) DispatchOption {
	return dispatchOption(func(s *dispatch) { s.delay, s.at = d, time.Time{} })
}

// At keeps the job invisible until t.
func At(t time.Time) DispatchOption {
	return dispatchOption(func(d *dispatch) { d.at = t })
}

// AfterCommit holds the job until the transaction of the context (see
// [NewTxContext]) has committed; without one it is pushed at once.
func AfterCommit() DispatchOption {
	return dispatchOption(func(d *dispatch) { d.afterCommit = new(true) })
}

// BeforeCommit pushes the job at once, whatever the connection's after_commit.
func BeforeCommit() DispatchOption {
	return dispatchOption(func(d *dispatch) { d.afterCommit = new(false) })
}

// DisplayName sets the name that people see.
func DisplayName(name string) DispatchOption {
	return dispatchOption(func(d *dispatch) { d.display = name })
}

// Extra adds a top-level key to the payload.
func Extra(key string, value any) DispatchOption {
	return dispatchOption(func(d *dispatch) {
		if d.extra == nil {
			d.extra = make(map[string]any)
		}
		d.extra[key] = value
	})
}

type handlerOption func(*Handler)

func (o handlerOption) applyHandler(h *Handler) { o(h) }

// Alias lets a handler serve jobs of other names too: a Laravel or
// think-queue class, or the name a type had before it was renamed.
func Alias(names ...string) HandlerOption {
	return handlerOption(func(h *Handler) { h.aliases = append(h.aliases, names...) })
}

// Through adds middleware around this handler, inside that of [Mux.Use]; the
// first is the outermost.
func Through(mw ...Middleware) HandlerOption {
	return handlerOption(func(h *Handler) { h.wrap = append(h.wrap, mw...) })
}

// OnFailed sets a function that is told when a job of type T has failed for
// good: after it was recorded and deleted. Its error is logged.
func OnFailed[T any](fn func(ctx context.Context, job T, err error) error) HandlerOption {
	return handlerOption(func(h *Handler) {
		h.Failed = func(ctx context.Context, job *Job, cause error) error {
			var v T
			if err := job.Decode(&v); err != nil {
				return err
			}
			return fn(ctx, v, cause)
		}
	})
}
