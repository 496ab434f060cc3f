package spool

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spoolq/spool/driver"
)

// Chain is a list of jobs, its links, of which each is dispatched when the one
// before it is done. If a link fails for good, the rest is not dispatched; the
// link's record among the failed jobs holds it, and a retry of that job goes on
// with the chain.
//
// The rest of a chain travels in the payload of its link. A chain is either of
// Go's jobs, which only Spool's workers go on with: give it queues that PHP
// doesn't work. Or it is of jobs that keep it in a form of their own, as those
// of package laravel do, which workers of both sides go on with.
//
// A worker dispatches the next link before it stores that a link is done: a
// crash in between dispatches it once more, under the same uuid. A Chain is not
// safe for concurrent use.
type Chain struct {
	d                 Dispatcher
	links, catch      []any
	connection, queue string
}

// Chain returns a chain of jobs to be dispatched, which may have options of
// their own ([With]). Those that are about a transaction mean something to the
// first link only, and so does [Debounce], which others refuse: a later chain
// takes the place of the whole one before. What [Client.Batch] returns may be a
// link, too: it is done when the batch has succeeded, or has ended where it
// allows failures, and not if it was cancelled.
func (c *Client) Chain(jobs ...any) *Chain { return &Chain{d: c, links: slices.Clone(jobs)} }

// Chain is [Client.Chain] with its first link dispatched through the
// transaction.
func (t *Tx) Chain(jobs ...any) *Chain { return &Chain{d: t, links: slices.Clone(jobs)} }

// OnConnection names the connection of all links, and jobs of Catch, that name
// none themselves; without it they go to the default connection.
func (c *Chain) OnConnection(name string) *Chain {
	c.connection = name
	return c
}

// OnQueue names the queue of all links, and jobs of Catch, that name none
// themselves; without it they go to the default queue of their connection.
func (c *Chain) OnQueue(name string) *Chain {
	c.queue = name
	return c
}

// Prepend puts jobs before the links.
func (c *Chain) Prepend(jobs ...any) *Chain {
	c.links = append(slices.Clone(jobs), c.links...)
	return c
}

// Append puts jobs behind the links.
func (c *Chain) Append(jobs ...any) *Chain {
	c.links = append(c.links, jobs...)
	return c
}

// Catch adds jobs that are dispatched when a link has failed for good, each
// time it does so. [CaughtFrom] tells them of the link.
func (c *Chain) Catch(jobs ...any) *Chain {
	c.catch = append(c.catch, jobs...)
	return c
}

// Dispatch dispatches the first link, with the options given, which win over
// its own. The UUID of the Ref names the chain, too (but for think-queue's
// Redis, whose jobs have ids of their own: there [ChainOf] tells).
func (c *Chain) Dispatch(ctx context.Context, opts ...DispatchOption) (Ref, error) {
	first, body, err := c.first()
	if err != nil {
		return Ref{}, err
	}
	for _, opt := range opts {
		opt.applyDispatch(&first.o)
	}
	body.ID = NewUUID()
	first.o.put(chainKey, body)
	ref, err := c.d.client().dispatchLink(ctx, c.d, first, body.ID)
	if limit, ok := errors.AsType[*driver.LimitError](err); ok && limit.What == "body" {
		err = fmt.Errorf("a chain travels in the payload of its link, and this one, of %d links, is too large: shorten it, or have its last link dispatch the rest: %w", len(c.links), err)
	}
	return ref, err
}

// first returns the first link, and what its payload says of the chain unless
// it has the rest of the chain in itself.
func (c *Chain) first() (*link, *chainBody, error) {
	if len(c.links) == 0 {
		return nil, nil, errors.New("a chain without links: nothing to dispatch")
	}
	first, err := newLink(c.links[0])
	if err != nil {
		return nil, nil, fmt.Errorf("chain: link 1: %w", err)
	}
	form := formOf(first.data)
	links, err := linkTexts(form, c.links[1:])
	if err != nil {
		return nil, nil, fmt.Errorf("chain of %s: link behind it: %w", first.name, err)
	}
	catch, err := linkTexts(form, c.catch)
	if err != nil {
		return nil, nil, fmt.Errorf("chain of %s: catch: %w", first.name, err)
	}
	first.at(c.connection, c.queue)
	if form != nil {
		first.data, err = form.WithChain(links, catch, c.connection, c.queue)
		return first, &chainBody{}, err
	}
	return first, &chainBody{Connection: c.connection, Queue: c.queue, Next: links, Catch: catch}, nil
}

// Chained is the chain of a job that keeps it in a form of its own, as class
// jobs of package laravel do: what a [Format] gives for such a job it has
// decoded, and a job that implements [Chainable] for itself. Links are text, as
// the form stores them. It is not changed by its methods, which are safe for
// concurrent use.
type Chained interface {
	// Linked says, at no cost, whether anything follows the end of the job.
	Linked() bool
	// Link returns a job as a link. Connection, queue and delay, where they are
	// not zero, win over its own.
	Link(job any, connection, queue string, delay time.Duration) (string, error)
	// WithChain returns a copy of the job that begins a chain of these links.
	WithChain(links, catch []string, connection, queue string) (job any, err error)
	// Next returns the job to be dispatched when this one is done, with the rest
	// of the chain in it, once links were put before and behind those there are;
	// nil at the end of the chain.
	Next(before, behind []string) (job any, err error)
	// Caught returns the jobs to be dispatched when this one has failed for good.
	Caught(c Caught) (jobs []any, err error)
	// Rest returns the links to come, and the names of what is told of a failure.
	Rest() (next []NextLink, catch []string, err error)
}

// NextLink is a link to come, as [Chained.Rest] tells of it.
type NextLink struct {
	Name  string
	Batch string // the id of the batch it is a member of, or ""
}

// Chainable is implemented by jobs that can keep a chain themselves.
type Chainable interface {
	Chain() Chained
}

// formOf returns the form in which a job keeps its chain; nil is Spool's own.
func formOf(job any) Chained {
	if c, ok := job.(Chainable); ok {
		return c.Chain()
	}
	return nil
}

// errMixed says that jobs of two forms are in one chain.
var errMixed = errors.New("a chain is either of Go's jobs or of PHP's, which only PHP's can follow; make each link a class job (package laravel), whose handlers may be on either side, or have a link dispatch the other one")

// linkTexts stores jobs as links of a form.
func linkTexts(form Chained, jobs []any) ([]string, error) {
	texts := make([]string, len(jobs))
	for i, job := range jobs {
		l, err := newLink(job)
		if err == nil {
			texts[i], err = l.text(form)
		}
		if err != nil {
			return nil, fmt.Errorf("number %d: %w", i+1, err)
		}
	}
	return texts, nil
}
