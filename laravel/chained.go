package laravel

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/laravel/phpserial"
)

// The stock classes that chains are handed over with. They exist in Laravel 8 to
// 13, and none of their properties is typed.
const (
	closureClass  = `Illuminate\Queue\CallQueuedClosure`
	listenerClass = `Illuminate\Events\CallQueuedListener`
	handlerClass  = `Illuminate\Queue\CallQueuedHandler`
	// dispatchMethod dispatches the next link of the job that it is called on.
	dispatchMethod = "dispatchNextJobInChain"
)

// chained is the chain of a command, in Laravel's own form.
type chained struct{ c *Command }

// Linked implements [spool.Chained].
func (h chained) Linked() bool {
	for _, p := range h.c.Props {
		if p.Name == "chained" || p.Name == "chainCatchCallbacks" {
			if a, ok := phpserial.Resolve(p.Value).(*phpserial.Array); ok && len(a.Entries) > 0 {
				return true
			}
		}
	}
	return false
}

// Link implements [spool.Chained].
func (h chained) Link(job any, connection, queue string, delay time.Duration) (string, error) {
	c, err := commandOf(job)
	if err != nil {
		return "", err
	}
	if connection == "" && queue == "" && delay == 0 {
		return c.Serialize()
	}
	if c, err = c.copy(); err != nil {
		return "", err
	}
	if connection != "" {
		c.OnConnection(connection)
	}
	if queue != "" {
		c.OnQueue(queue)
	}
	if delay != 0 {
		c.WithDelay(delay)
	}
	return c.Serialize()
}

func commandOf(job any) (*Command, error) {
	switch c := job.(type) {
	case *Command:
		if c != nil && c.Object != nil {
			return c, nil
		}
	case Command:
		if c.Object != nil {
			return &c, nil
		}
	default:
		return nil, fmt.Errorf("%T is no *laravel.Command", job)
	}
	return nil, errNoObject
}

// copy returns a command that can be changed without c.
func (c *Command) copy() (*Command, error) {
	text, err := c.Serialize()
	if err != nil {
		return nil, err
	}
	n, err := ParseCommand(text, nil)
	if err != nil {
		return nil, err
	}
	n.Encrypt, n.DeleteWhenMissingModels, n.format = c.Encrypt, c.DeleteWhenMissingModels, c.format
	return n, nil
}

// WithChain implements [spool.Chained].
func (h chained) WithChain(links, catch []string, connection, queue string) (any, error) {
	c, err := h.c.copy()
	if err != nil {
		return nil, err
	}
	c.set("chained", texts(links), len(links) == 0)
	if connection != "" || queue != "" {
		c.ChainOn(connection, queue)
	}
	if c.Connection() == "" {
		c.setText("connection", connection)
	}
	if c.Queue() == "" {
		c.setText("queue", queue)
	}
	callbacks := make([]any, len(catch))
	for i, text := range catch {
		carrier := NewCommand(closureClass)
		carrier.set("chained", texts([]string{text}), false)
		carrier.ChainOn(connection, queue)
		callbacks[i] = phpserial.List(carrier.Object, dispatchMethod)
	}
	if len(callbacks) > 0 {
		c.set("chainCatchCallbacks", phpserial.List(callbacks...), false)
	}
	return c, nil
}

func texts(ss []string) *phpserial.Array { return phpserial.List(anys(ss)...) }

func anys(ss []string) []any {
	values := make([]any, len(ss))
	for i, s := range ss {
		values[i] = s
	}
	return values
}

// Next implements [spool.Chained].
func (h chained) Next(before, behind []string) (any, error) {
	values := slices.Concat(anys(before), h.c.list("chained"), anys(behind))
	next, err := h.c.next(values)
	if next == nil || err != nil {
		return nil, err
	}
	return next, nil
}

// Caught implements [spool.Chained].
func (h chained) Caught(f spool.Caught) ([]any, error) {
	var jobs, theirs []any
	callbacks, _ := h.c.value("chainCatchCallbacks").(*phpserial.Array)
	if callbacks == nil {
		return nil, nil
	}
	for _, e := range callbacks.Entries {
		carrier := carrierOf(e.Value)
		if carrier == nil {
			theirs = append(theirs, e.Value)
			continue
		}
		carrier.Encrypt, carrier.format = h.c.Encrypt, h.c.format
		job, err := carrier.Next()
		if err != nil {
			return nil, err
		}
		if job != nil {
			jobs = append(jobs, job)
		}
	}
	if len(theirs) > 0 {
		job, err := h.handOver(theirs, f)
		if err != nil {
			return nil, err
		}
		jobs = append(jobs, job)
	}
	return jobs, nil
}

// carrierOf returns the command that a callback dispatches the next link of;
// nil if it is another callback.
func carrierOf(callback any) *Command {
	a, _ := phpserial.Resolve(callback).(*phpserial.Array)
	if a == nil || len(a.Entries) != 2 {
		return nil
	}
	o, _ := phpserial.Resolve(a.Entries[0].Value).(*phpserial.Object)
	method, _ := phpserial.Resolve(a.Entries[1].Value).(string)
	if o == nil || o.Class != closureClass || method != dispatchMethod {
		return nil
	}
	return &Command{Object: o}
}

// handOver returns the job that has PHP call these callbacks. It is a queued
// listener, which calls any method of any class: here the method that Laravel
// itself calls when a job has failed. The job it is told of is a carrier of the
// callbacks without a batch, a lock or a failed() of its own.
func (h chained) handOver(callbacks []any, f spool.Caught) (any, error) {
	carrier := NewCommand(closureClass, Public("chainCatchCallbacks", phpserial.List(callbacks...)))
	text, err := carrier.Serialize()
	if err != nil {
		return nil, err
	}
	failure := &phpserial.Object{Class: "RuntimeException", Props: []Prop{Protected("message", f.Error)}}
	data := phpserial.List(map[string]any{"command": text}, failure, f.UUID)
	job := NewCommand(listenerClass, Public("class", handlerClass), Public("method", "failed"), Public("data", data))
	connection, queue := h.c.ChainConnection(), h.c.ChainQueue()
	if o := h.c.format; o != nil && (o.phpConnection != "" || o.phpQueue != "") {
		connection, queue = o.phpConnection, o.phpQueue
	}
	job.setText("connection", connection)
	job.setText("queue", queue)
	job.Encrypt, job.format = h.c.Encrypt, h.c.format
	return spool.With(job, spool.DisplayName(f.Name+" (catch)")), nil
}

// Rest implements [spool.Chained].
func (h chained) Rest() (next []spool.NextLink, catch []string, err error) {
	for _, text := range h.c.list("chained") {
		s, ok := text.(string)
		if !ok {
			return nil, nil, errors.New("a link of the chain is no serialized job")
		}
		c, err := ParseCommand(s, nil)
		if err != nil {
			return nil, nil, err
		}
		next = append(next, spool.NextLink{Name: c.displayName(), Batch: c.BatchID()})
	}
	for _, callback := range h.c.ChainCatchCallbacks() {
		name := "(PHP)"
		if carrier := carrierOf(callback); carrier != nil {
			job, err := carrier.Next()
			if err != nil {
				return nil, nil, err
			}
			if job != nil {
				name = job.displayName()
			}
		}
		catch = append(catch, name)
	}
	return next, catch, nil
}

// unknown is the chain of a command that can't be read.
type unknown struct{ err error }

func (unknown) Linked() bool { return true }

func (u unknown) Link(any, string, string, time.Duration) (string, error)   { return "", u.err }
func (u unknown) WithChain([]string, []string, string, string) (any, error) { return nil, u.err }
func (u unknown) Next([]string, []string) (any, error)                      { return nil, u.err }
func (u unknown) Caught(spool.Caught) ([]any, error)                        { return nil, u.err }
func (u unknown) Rest() ([]spool.NextLink, []string, error)                 { return nil, nil, u.err }
