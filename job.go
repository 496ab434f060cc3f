package spool

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/spoolq/spool/internal/assign"
)

// Job is one delivery of a job, as its handler sees it. A handler finds it
// with [JobFrom]. Its methods are safe for concurrent use.
type Job struct {
	ID         string // the backend's or the payload's id
	UUID       string // the same for every attempt and retry
	Name       string // what its handler is registered under
	Queue      string
	Connection string
	Attempt    int    // 1 on the first run
	Body       []byte // as stored; don't change it
	// Payload is the decoded body; don't change it.
	Payload *Payload
	// Format is that of the job's connection; nil stands for [Native].
	Format Format
	// Handler is what runs it; nil if there is none here.
	Handler *Handler
	// Locks and Signals are the stores of the job's [Manager]; nil if it has none.
	Locks   Locks
	Signals Signals

	batching *batching // of a job that has to do with a batch
	// stale says that it doesn't run: it is a callback that was pushed again, or
	// has run, or another job has taken its place.
	stale bool

	mu      sync.Mutex
	outcome Outcome
	ignored []Outcome

	edits chainEdits
}

// Attempts returns how often the job has been attempted, this one included.
func (j *Job) Attempts() int { return j.Attempt }

// DisplayName returns the name that people see.
func (j *Job) DisplayName() string {
	if j.Payload != nil && j.Payload.DisplayName != "" {
		return j.Payload.DisplayName
	}
	return j.Name
}

// Decode stores the job's data in v, a pointer. Data that Redis has rewritten
// on the way (an empty list as {}, a large integer as a float) is accepted
// where its value survived.
func (j *Job) Decode(v any) error {
	var err error
	switch p := j.Payload; {
	case p.Into != nil:
		err = p.Into(v)
	case len(p.Data) == 0:
		return nil
	default:
		err = decodeJSON(p.Data, v)
	}
	if err != nil {
		return &DecodeError{Name: j.Name, Type: fmt.Sprintf("%T", v), Err: err}
	}
	return nil
}

// decodeJSON is strict first, because that is fast; what strict refuses may
// be text that Redis has rewritten.
func decodeJSON(data []byte, v any) error {
	err := json.Unmarshal(data, v)
	if err == nil || string(data) == `""` { // PHP's data of a job without any
		return nil
	}
	if assign.JSON(data, v) == nil {
		return nil
	}
	return err
}

// Delete removes the job when its handler returns, even with an error.
func (j *Job) Delete() { j.decide(Outcome{Kind: Deleted}) }

// Release puts the job back on its queue, to run again after d, when its
// handler returns.
func (j *Job) Release(d time.Duration) { j.decide(Outcome{Kind: Released, Delay: max(d, 0)}) }

// Fail fails the job when its handler returns. A nil err stands for
// [ErrFailedByHand].
func (j *Job) Fail(err error) {
	if err == nil {
		err = ErrFailedByHand
	}
	j.decide(Outcome{Kind: Failed, Err: err})
}

// decide keeps the first final action; later ones have no effect.
func (j *Job) decide(o Outcome) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.outcome.Kind == Undecided {
		j.outcome = o
	} else {
		j.ignored = append(j.ignored, o)
	}
}

// Outcome returns what the handler decided through Delete, Release or Fail,
// and the later calls that had no effect.
func (j *Job) Outcome() (first Outcome, ignored []Outcome) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.outcome, j.ignored
}

type jobKey struct{}

// JobFrom returns the job that ctx belongs to, or nil outside of a handler.
func JobFrom(ctx context.Context) *Job {
	if c, ok := ctx.(interface{ Job() *Job }); ok { // a worker's own context
		return c.Job()
	}
	j, _ := ctx.Value(jobKey{}).(*Job)
	return j
}

// WithJob returns a context that [JobFrom] finds j in. Workers call it; tests
// of handlers may.
func WithJob(ctx context.Context, j *Job) context.Context {
	return context.WithValue(ctx, jobKey{}, j)
}
