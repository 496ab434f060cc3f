package worker

import (
	"log/slog"
	"slices"
	"time"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/failed"
	"github.com/spoolq/spool/presence"
)

// Options are the settings of a worker, named after the flags of queue:work.
// The zero value of each field is the default stated with it.
type Options struct {
	// Name tells workers apart in events and logs; "default".
	Name string
	// Queues are tried in this order for every job; the connection's default
	// queue.
	Queues []string
	// Concurrency is how many jobs run at a time; 10.
	Concurrency int
	// Policy is for jobs that don't say themselves: Tries 1, Timeout 60 s,
	// Backoff none.
	Policy spool.Policy
	// Sleep is the longest wait between looks at an empty queue where the
	// backend can't wake the worker; 3 s. Negative means none.
	Sleep time.Duration
	// Rest is a pause of a slot after each job; none.
	Rest time.Duration
	// Once works one job, or sleeps once if there is none, and stops.
	Once bool
	// StopWhenEmpty stops at the first look that finds no job, none running.
	StopWhenEmpty bool
	// StopWhenEmptyFor stops after so long without a job; never.
	StopWhenEmptyFor time.Duration
	// MaxJobs stops after so many jobs, and MaxTime after so long; never.
	MaxJobs int
	MaxTime time.Duration
	// Memory stops the worker with exit code 12 when the process holds that
	// many bytes; no limit.
	Memory uint64
	// Force works in maintenance mode too.
	Force bool
	// Grace is how long a stopping worker waits for running jobs before it
	// cancels them and hands them back; 25 s, which fits the usual 30 s that
	// orchestrators allow. Negative means as long as it takes.
	Grace time.Duration
	// CancelGrace is how long a handler has to return after its context ended
	// (timeout, stop) before it counts as stuck; 5 s.
	CancelGrace time.Duration
	// MaxStuck is how many slots are replaced whose handler never returned,
	// though its job is settled, before the worker stops; 1. Negative means none.
	MaxStuck int
	// Only are the names of the jobs that the worker takes, each of which must have
	// a handler and stands for all of that handler's names; all jobs. The others
	// are left where they are, their attempts not counted, where the backend is a
	// driver.Selector and the format a spool.NameSelector; elsewhere they are put
	// back, as jobs without a handler are.
	Only []string
	// FailUnknown treats a job without a handler as an exception, as Laravel
	// does, instead of putting it back for another worker.
	FailUnknown bool
	// MaxKeeps is how often listeners may keep one job from failing; 3. Negative
	// means never.
	MaxKeeps int
	// Failed records failed jobs; nil records none, and what is no job at all
	// goes to the queue "<queue>:poison".
	Failed failed.Store
	// Signals is where restart, pause and maintenance are told; nil means
	// nowhere.
	Signals spool.Signals
	// Locks is where jobs find locks; nil means where the connection's manager has
	// them.
	Locks spool.Locks
	// Keys are the names used in Signals; those that go with the connection's
	// format, see spool.KeysOf.
	Keys *spool.Keys
	// Maintenance says whether the application is down, besides what Signals
	// says; nil means it isn't. Asked at most once a second.
	Maintenance func() bool
	// Followers do what follows the end of a job; those of the connection's
	// manager.
	Followers *spool.Followers
	// Identity is what the worker tells others on the same queues of itself;
	// application and environment unknown.
	Identity presence.Identity
	// Logger is for what an operator should know; slog.Default().
	Logger *slog.Logger
}

// minSleep keeps a daemon that should not sleep from spinning.
const minSleep = 10 * time.Millisecond

// withDefaults returns a copy with every default filled in.
func (o *Options) withDefaults(conn *spool.Connection) Options {
	var c Options
	if o != nil {
		c = *o
	}
	c.Policy = c.Policy.Or(spool.Policy{Tries: new(1), Timeout: new(time.Minute)})
	if len(c.Queues) == 0 {
		c.Queues = []string{conn.Queue}
	}
	c.Queues = slices.Clone(c.Queues)
	for i, q := range c.Queues {
		c.Queues[i] = conn.QueueOr(q)
	}
	if c.Keys == nil {
		c.Keys = new(spool.KeysOf(conn.Format))
	}
	if c.Followers == nil {
		c.Followers = conn.Followers()
	}
	if c.Locks == nil {
		c.Locks = conn.Locks()
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	c.Name = or(c.Name, "default")
	c.Concurrency = max(or(c.Concurrency, 10), 1)
	if c.Once {
		c.Concurrency = 1
	}
	c.Sleep = max(or(c.Sleep, 3*time.Second), 0)
	if !c.Once {
		c.Sleep = max(c.Sleep, minSleep)
	}
	c.Grace = or(c.Grace, 25*time.Second)
	c.CancelGrace = max(or(c.CancelGrace, 5*time.Second), 0)
	c.MaxStuck = max(or(c.MaxStuck, 1), 0)
	c.MaxKeeps = max(or(c.MaxKeeps, 3), 0)
	return c
}

// or returns v, or def if v is zero.
func or[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}
