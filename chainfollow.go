package spool

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/spoolq/spool/driver"
)

// PrependToChain puts jobs before the rest of the chain that the job of ctx
// belongs to, or begins one behind it. It is to be called by a handler, and
// takes effect if this attempt succeeds. The last call's jobs come first. Jobs
// are as for [Client.Chain], of the same kind as the job's own chain.
func PrependToChain(ctx context.Context, jobs ...any) error { return editChain(ctx, jobs, true) }

// AppendToChain is [PrependToChain] for jobs at the end of the chain; the last
// call's jobs come last.
func AppendToChain(ctx context.Context, jobs ...any) error { return editChain(ctx, jobs, false) }

func editChain(ctx context.Context, jobs []any, before bool) error {
	j := JobFrom(ctx)
	if j == nil || j.Payload == nil {
		return errors.New("this context belongs to no job: a chain is changed from inside one of its links")
	}
	texts, err := linkTexts(j.Payload.Chain, jobs)
	if err != nil {
		return fmt.Errorf("chain of %s: %w", j.Name, err)
	}
	e := &j.edits
	e.mu.Lock()
	defer e.mu.Unlock()
	if before {
		e.before = append(texts, e.before...)
	} else {
		e.behind = append(e.behind, texts...)
	}
	e.any.Store(true)
	return nil
}

// chainEdits are the links that a run of a job adds to its chain.
type chainEdits struct {
	any atomic.Bool

	mu             sync.Mutex
	before, behind []string
}

// linked says whether a chain goes on at the end of the job.
func (j *Job) linked() bool {
	p := j.Payload
	return p != nil && (p.chain != nil || p.Chain != nil && p.Chain.Linked()) || j.edits.any.Load()
}

// chainBody reads what the payload says of the chain in Spool's own form.
func (p *Payload) chainBody() (b chainBody, err error) {
	if p.chain != nil {
		if err := json.Unmarshal(p.chain, &b); err != nil {
			return b, fmt.Errorf("payload key %q: %w", chainKey, err)
		}
	}
	if b.ID == "" {
		b.ID = p.UUID
	}
	return b, nil
}

// LinkError is why the dispatch of a chain, or the job before the link, has
// failed where the link ran at once, on a connection such as sync: the job is
// done, and a link behind it has failed.
type LinkError struct {
	Name, UUID string // of the link
	Err        error
}

func (e *LinkError) Error() string { return fmt.Sprintf("link %s of the chain: %v", e.Name, e.Err) }

// Unwrap returns the error of the link.
func (e *LinkError) Unwrap() error { return e.Err }

// followChain is the [Follower] that dispatches what follows a link of a chain.
func (m *Manager) followChain(ctx context.Context, job *Job, failure error) error {
	if job.stale { // it has not run
		return nil
	}
	if failure == nil {
		return m.linkDone(ctx, job)
	}
	if _, later := errors.AsType[*LinkError](failure); later {
		return nil // that link has told of itself
	}
	return m.linkFailed(ctx, job, failure)
}

// linkDone dispatches the next link.
func (m *Manager) linkDone(ctx context.Context, job *Job) error {
	body, err := job.Payload.chainBody()
	if err != nil {
		return Fail(err)
	}
	next, err := job.nextLink(&body)
	if err != nil {
		return Fail(err)
	}
	if next == nil {
		return nil
	}
	body.At++
	next.o.put(chainKey, &body)
	return m.dispatchFollowing(ctx, job, next, followingUUID(job.UUID, "next", 0))
}

// nextLink returns the link behind a job, nil at the end of the chain. body
// becomes that of the link.
func (j *Job) nextLink(body *chainBody) (*link, error) {
	j.edits.mu.Lock()
	before, behind := j.edits.before, j.edits.behind
	j.edits.mu.Unlock()
	if form := j.Payload.Chain; form != nil {
		*body = chainBody{ID: body.ID, At: body.At}
		next, err := form.Next(before, behind)
		if next == nil || err != nil {
			return nil, err
		}
		return newLink(next)
	}
	texts := slices.Concat(before, body.Next, behind)
	if len(texts) == 0 {
		return nil, nil //nolint:nilnil // the end, and no error
	}
	next, err := parseLink(texts[0])
	if err != nil {
		return nil, err
	}
	next.at(body.Connection, body.Queue)
	body.Next = texts[1:]
	return next, nil
}

// linkFailed dispatches what is to be told of a link that has failed.
func (m *Manager) linkFailed(ctx context.Context, job *Job, failure error) error {
	body, err := job.Payload.chainBody()
	if err != nil {
		return Fail(err)
	}
	caught := Caught{
		Chain: body.ID, UUID: job.UUID, Name: job.Name, Connection: job.Connection, Queue: job.Queue,
		Attempt: job.Attempt, Error: excerpt(failure.Error()),
	}
	links, err := job.catchLinks(&body, caught)
	if err != nil {
		return Fail(err)
	}
	for i, l := range links {
		l.o.put(caughtKey, &caught)
		if err := m.dispatchFollowing(ctx, job, l, followingUUID(job.UUID, "catch", i)); err != nil {
			return err
		}
	}
	return nil
}

// catchLinks returns the jobs that are told of a failure.
func (j *Job) catchLinks(body *chainBody, caught Caught) ([]*link, error) {
	if form := j.Payload.Chain; form != nil {
		jobs, err := form.Caught(caught)
		if err != nil {
			return nil, err
		}
		links := make([]*link, len(jobs))
		for i, job := range jobs {
			if links[i], err = newLink(job); err != nil {
				return nil, err
			}
		}
		return links, nil
	}
	links := make([]*link, len(body.Catch))
	for i, text := range body.Catch {
		l, err := parseLink(text)
		if err != nil {
			return nil, err
		}
		l.at(body.Connection, body.Queue)
		links[i] = l
	}
	return links, nil
}

// dispatchFollowing dispatches what follows the end of a job. An error that no
// waiting will mend is a Fail.
func (m *Manager) dispatchFollowing(ctx context.Context, job *Job, l *link, uuid string) error {
	if m.instant(ctx, l.o.connection) && !m.instant(ctx, job.Connection) {
		ctx = context.WithoutCancel(ctx) // of a call that is to be short
	}
	c := m.client()
	ref, err := c.dispatchLink(ctx, c, l, uuid)
	e, ok := errors.AsType[*Error](err)
	later, isLater := errors.AsType[*LinkError](err)
	switch {
	case err == nil && ref.Skipped:
		return Fail(fmt.Errorf("link %s of the chain was not dispatched: another job has its lock", l.name))
	case err == nil, errors.Is(err, driver.ErrStored):
		return nil
	case isLater: // one behind this link, which ran at once
		return Fail(later)
	case ok && e.Op != "open" && e.Op != "batch" && m.instant(ctx, e.Connection):
		return Fail(&LinkError{Name: l.name, UUID: uuid, Err: err})
	case ctx.Err() != nil:
		return err
	case !ok, isLimit(err):
		return Fail(fmt.Errorf("link %s of the chain can't be dispatched: %w", l.name, err))
	}
	return err
}

func isLimit(err error) bool {
	_, ok := errors.AsType[*driver.LimitError](err)
	return ok
}

// instant says whether a connection runs jobs at once; not if it can't be
// opened.
func (m *Manager) instant(ctx context.Context, name string) bool {
	name, f := m.target(name)
	if f != nil {
		return false
	}
	c, err := m.backend(ctx, name)
	return err == nil && c.conn.Traits().Instant
}

// dispatchLink dispatches a link under this uuid.
func (c *Client) dispatchLink(ctx context.Context, d Dispatcher, l *link, uuid string) (Ref, error) {
	if l.name == batchLinkName {
		return c.dispatchBatch(ctx, l, uuid)
	}
	now := time.Now()
	if !l.o.at.IsZero() {
		l.o.delay = l.o.at.Sub(now)
	}
	w := wanted{names: []string{l.name}, data: []any{l.data}, uuids: []string{uuid}, o: &l.o, now: now}
	name, f := c.manager.target(l.o.connection)
	var refs []Ref
	var err error
	if f != nil {
		refs, err = f.dispatch(ctx, d, w)
	} else {
		refs, err = dispatchTo(ctx, d, name, w, nil)
	}
	if len(refs) == 0 {
		return Ref{}, err
	}
	return refs[0], err
}

// followingUUID returns the uuid of what follows the end of a job, which is the
// same every time: a version 8 made of the job's own.
func followingUUID(uuid, what string, i int) string {
	if uuid == "" {
		return NewUUID()
	}
	return UUIDOf(fmt.Sprintf("%s %d %s", what, i, uuid))
}

// maxError bounds, in bytes, how much of an error's text goes with a job.
const maxError = 2048

// excerpt returns the beginning of a text, as UTF-8 without NUL, which some
// stores refuse.
func excerpt(s string) string {
	if len(s) > maxError {
		cut := maxError
		for cut > 0 && !utf8.RuneStart(s[cut]) {
			cut--
		}
		s = s[:cut] + "…"
	}
	return strings.ReplaceAll(strings.ToValidUTF8(s, "?"), "\x00", "?")
}
