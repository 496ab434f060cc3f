package spool

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/spoolq/spool/driver"
)

// held is a dispatch that waits in memory: for a commit, or for the end of a
// scope.
type held struct {
	client *Client
	sending
	since time.Time // when the delay was counted from
}

// letGo pushes the jobs, whatever becomes of ctx, and adds those that could not
// be pushed to missing.
func (h *held) letGo(ctx context.Context, missing *HeldError) {
	ctx = context.WithoutCancel(ctx)
	for i := range h.jobs {
		if d := &h.jobs[i].msg.Delay; *d > 0 {
			*d -= time.Since(h.since)
		}
	}
	ids, err := h.client.send(ctx, h.sending)
	accepted := len(ids)
	if err != nil && h.again != nil {
		var more int
		more, err = h.again(ctx, accepted, err)
		accepted += more
	}
	switch {
	case errors.Is(err, driver.ErrStored): // none is missing, but somebody should know
		missing.Err = errors.Join(missing.Err, err)
	case err != nil:
		h.client.unlock(ctx, h.jobs[accepted:])
		missing.add(h, accepted, err)
	}
}

// HeldError says that jobs which were held, for a transaction or a scope, could
// not be pushed when it had ended. A transaction has committed all the same.
type HeldError struct {
	Jobs   []Ref    // what is missing; empty if Err is driver.ErrStored
	Bodies [][]byte // the same jobs, to be pushed with [Connection.PushRaw]
	Err    error
}

func (e *HeldError) add(h *held, accepted int, err error) {
	for _, j := range h.jobs[accepted:] {
		e.Jobs = append(e.Jobs, Ref{Connection: h.conn.Name, Queue: h.queue, UUID: j.uuid})
		e.Bodies = append(e.Bodies, j.msg.Body)
	}
	e.Err = errors.Join(e.Err, err)
}

func (e *HeldError) orNil() error {
	if e.Err == nil {
		return nil
	}
	return e
}

func (e *HeldError) Error() string {
	if len(e.Jobs) == 0 {
		return fmt.Sprintf("jobs that were held, for a commit or the end of a request, were pushed, but: %v", e.Err)
	}
	return fmt.Sprintf("%d jobs that were held, for a commit or the end of a request, were not pushed: %v", len(e.Jobs), e.Err)
}

// Unwrap returns the errors of the pushes.
func (e *HeldError) Unwrap() error { return e.Err }

// scope holds deferred dispatches.
type scope struct {
	mu    sync.Mutex
	ended bool
	held  []held
}

type scopeKey struct{}

func scopeFrom(ctx context.Context) *scope {
	s, _ := ctx.Value(scopeKey{}).(*scope)
	return s
}

// Deferred begins a scope: dispatches with the returned context to connections
// that defer (see [ConnectionConfig.Deferred]) are held in memory until end is
// called, e.g. once the response to a request is written. Those to other
// connections go out at once. Package deferred does this for HTTP handlers.
//
//	ctx, end := spool.Deferred(ctx)
//	defer end()
//
// end pushes what was held, whatever has become of ctx, and returns a
// [*HeldError] if some of it could not be pushed. Later dispatches with the
// context go out at once; calling end again does nothing. A process that
// crashes before has lost the jobs. Both are safe for concurrent use.
func Deferred(ctx context.Context) (inside context.Context, end func() error) {
	s := &scope{}
	return context.WithValue(ctx, scopeKey{}, s), func() error { return s.end(ctx) }
}

// hold takes a dispatch, unless the scope has ended.
func (s *scope) hold(c *Client, what sending) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return false
	}
	s.held = append(s.held, held{c, what, time.Now()})
	return true
}

func (s *scope) end(ctx context.Context) error {
	s.mu.Lock()
	all := slices.Clone(s.held)
	s.held, s.ended = nil, true
	s.mu.Unlock()
	var missing HeldError
	for i := range all {
		all[i].letGo(ctx, &missing)
	}
	return missing.orNil()
}
