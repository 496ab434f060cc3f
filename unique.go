package spool

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"time"
)

// UniqueJob is implemented by jobs of which at most one with the same id is
// queued or running at a time; see [Unique].
type UniqueJob interface {
	// UniqueID tells jobs of one type apart; "" makes them all the same.
	UniqueID() string
}

// Claim is what a payload says of a lock that its job has, or of the jobs that
// it takes the place of.
type Claim struct {
	// Key is the name in the cache; empty where PHP made the job, which stores it
	// nowhere.
	Key string `json:"key,omitempty"`
	// Owner proves whose it is: the job's uuid, or what PHP made up; empty where
	// PHP didn't store that either (before Laravel 13).
	Owner string `json:"owner,omitempty"`
	// Early says that a lock is released before the job runs.
	Early bool `json:"early,omitempty"`
}

// The top-level keys of payloads that hold a [Claim]. PHP passes over them.
const (
	uniqueField    = "spoolUnique"
	debouncedField = "spoolDebounced"
)

// claim reads a Claim; what is none stands for nil.
func claim(v []byte) *Claim {
	var c Claim
	if json.Unmarshal(v, &c) != nil || c == (Claim{}) {
		return nil
	}
	return &c
}

// ErrNoLocks is returned by a dispatch that needs a lock or a counter where
// [ManagerOptions] has none.
var ErrNoLocks = errors.New("no store for locks: set Locks and Signals of spool.ManagerOptions, e.g. to a store of package cache")

// unique are the options of a unique job.
type unique struct {
	on    bool
	id    string
	ttl   time.Duration
	early bool
	as    string
}

// Unique makes a job unique by an id, as Laravel's ShouldBeUnique does: while one
// of its name and id is queued or running, or waits for its next attempt, others
// are not dispatched: their [Ref] says Skipped, and [UniqueJobSkipped] is
// raised. A job type may implement [UniqueJob] instead.
//
// The dispatch takes a lock, whose owner is the job's uuid, stored with the job;
// the lock is given back when the push fails, when the job is done and when it
// has failed for good, and never if another has it by then. It is the lock that
// Laravel's job of that class takes. What crashes between lock and push leaves
// it to its time (see [UniqueFor]), and so does a transaction that isn't ended
// through its [Tx]. The lock is taken outside of the transaction: where locks are
// kept in the SQLite database that the transaction has written to, the dispatch
// waits for the transaction, and fails. A failed job that is retried has none, and
// neither have the members of a batch.
func Unique(id string) DispatchOption {
	return dispatchOption(func(d *dispatch) { d.unique.on, d.unique.id = true, id })
}

// defaultUniqueFor is how long a unique lock lasts at the longest, beyond the
// delay of its job, where nothing is said.
const defaultUniqueFor = 24 * time.Hour

// UniqueFor sets how long the lock of a unique job lasts at the longest: Laravel's
// uniqueFor; a day beyond the job's delay (Laravel: for ever).
func UniqueFor(d time.Duration) DispatchOption {
	return dispatchOption(func(s *dispatch) { s.unique.ttl = max(d, 0) })
}

// UniqueAs has a unique job go by another name in its lock: that of the Laravel
// class which does the same.
func UniqueAs(class string) DispatchOption {
	return dispatchOption(func(d *dispatch) { d.unique.as = class })
}

// UniqueOption is an option of dispatches and handlers.
type UniqueOption struct{}

func (UniqueOption) applyDispatch(d *dispatch) { d.unique.early = true }
func (UniqueOption) applyHandler(h *Handler)   { h.early = true }

// UniqueUntilProcessing has the lock of a unique job released before it runs:
// Laravel's ShouldBeUniqueUntilProcessing. A handler needs it for jobs that PHP
// dispatches, see [UniqueBy].
func UniqueUntilProcessing() UniqueOption { return UniqueOption{} }

// UniqueBy tells a handler the id of unique jobs that PHP has dispatched: which
// classes are unique, and by what, PHP stores nowhere. The handler of a type
// that implements [UniqueJob] knows. Where PHP has stored no owner (before
// Laravel 13), the lock is freed whoever holds it, as PHP does.
func UniqueBy(id func(job *Job) (string, error)) HandlerOption {
	return handlerOption(func(h *Handler) { h.uniqueID = id })
}

// uniqueOf returns the id function of the jobs of a type, nil if they aren't
// unique.
func uniqueOf[T any]() func(job *Job) (string, error) {
	var zero T
	_, is := any(zero).(UniqueJob)
	_, points := any(&zero).(UniqueJob)
	if !is && !points {
		return nil
	}
	return func(job *Job) (string, error) {
		var v T
		if err := job.Decode(&v); err != nil {
			return "", err
		}
		if u, ok := any(v).(UniqueJob); ok { // T may be a pointer itself
			return u.UniqueID(), nil
		}
		return any(&v).(UniqueJob).UniqueID(), nil
	}
}

// lock takes the lock of a job that is to be unique, for its uuid. The claim is
// nil if it isn't; ok is false if another job has the lock.
func (c *Client) lock(ctx context.Context, conn *Connection, w wanted, i int, uuid string) (_ *Claim, ok bool, err error) {
	u := w.o.unique
	if w.o.extra[batchKey] != nil {
		return nil, true, nil // its batch waits for each of its members
	}
	if !u.on {
		job, is := w.data[i].(UniqueJob)
		if !is {
			return nil, true, nil
		}
		u.id = job.UniqueID()
	}
	if w.o.debounce.on {
		return nil, false, errors.New("a job can't be both unique and debounced")
	}
	if c.manager.locks == nil {
		return nil, false, ErrNoLocks
	}
	if u.as == "" {
		u.as = w.names[i]
	}
	if u.ttl == 0 {
		u.ttl = defaultUniqueFor + max(w.o.delay, 0)
	}
	claim := &Claim{Key: KeysOf(conn.Format).Unique(u.as, w.o.display, u.id), Owner: uuid, Early: u.early}
	ok, err = c.manager.locks.Acquire(ctx, claim.Key, uuid, u.ttl)
	return claim, ok, err
}

// unlockTimeout bounds how long a lock is waited for that is given back.
const unlockTimeout = 5 * time.Second

// unlock gives back the locks of jobs that were not pushed. One that can't be
// given back ends by itself.
func (c *Client) unlock(ctx context.Context, jobs []prepared) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), unlockTimeout)
	defer cancel()
	for _, j := range jobs {
		if j.unique != nil {
			_, _ = c.manager.locks.Release(ctx, j.unique.Key, j.unique.Owner)
		}
	}
}

// withKeys returns the extra keys of a job with its group and its claims; extra
// stays as it is.
func withKeys(extra map[string]any, group string, unique, debounced *Claim) map[string]any {
	if group == "" && unique == nil && debounced == nil {
		return extra
	}
	if extra = maps.Clone(extra); extra == nil {
		extra = make(map[string]any)
	}
	if group != "" {
		extra[groupKey] = group
	}
	if unique != nil {
		extra[uniqueField] = unique
	}
	if debounced != nil {
		extra[debouncedField] = debounced
	}
	return extra
}

// uniqueClaim returns the lock that a job has, nil if none is known.
func (j *Job) uniqueClaim() (*Claim, error) {
	p, h := j.Payload, j.Handler
	if p == nil {
		return nil, nil //nolint:nilnil // none, and no error
	}
	if p.Unique != nil && p.Unique.Key != "" {
		c := *p.Unique
		c.Early = c.Early || h != nil && h.early
		return &c, nil
	}
	if h == nil || h.uniqueID == nil || p.Job == p.Name { // no class job of PHP
		return nil, nil //nolint:nilnil // as above
	}
	id, err := h.uniqueID(j)
	if err != nil {
		return nil, err
	}
	c := &Claim{Key: KeysOf(j.Format).Unique(p.Name, p.DisplayName, id), Early: h.early}
	if p.Unique != nil {
		c.Owner = p.Unique.Owner
	}
	return c, nil
}

// lockable says whether the job may have a lock.
func (j *Job) lockable() bool {
	return j.Payload != nil && (j.Payload.Unique != nil || j.Handler != nil && j.Handler.uniqueID != nil)
}

// unlock is the [Follower] that releases the lock of a unique job.
func (m *Manager) unlock(ctx context.Context, job *Job, _ error) error {
	c, err := job.uniqueClaim()
	switch {
	case err != nil:
		return Fail(err)
	case c == nil:
		return nil
	case c.Owner != "":
		_, err = m.locks.Release(ctx, c.Key, c.Owner)
	case !c.Early: // else it was freed at the start, and may be another's
		err = m.locks.ForceRelease(ctx, c.Key)
	}
	return err
}

// notUnlocked is how long a job waits whose lock can't be released.
const notUnlocked = 5 * time.Second

// unlockEarly releases the lock of a job that is unique until it is processed.
func (m *Manager) unlockEarly(ctx context.Context, e JobProcessing) {
	c, err := e.Job.uniqueClaim()
	if err != nil || c == nil || !c.Early { // its handler will meet the error too
		return
	}
	ctx, cancel := context.WithTimeout(ctx, unlockTimeout)
	defer cancel()
	if c.Owner != "" {
		_, err = m.locks.Release(ctx, c.Key, c.Owner)
	} else if e.Job.Attempt == 1 { // later it may be another's
		err = m.locks.ForceRelease(ctx, c.Key)
	}
	if err != nil {
		e.Job.decide(Outcome{Kind: Returned, Delay: notUnlocked})
	}
}
