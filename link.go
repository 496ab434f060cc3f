package spool

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"time"

	"github.com/spoolq/spool/internal/phpjson"
)

// The keys of a payload that are a chain's. PHP passes over them.
const (
	chainKey  = "spoolChain"
	caughtKey = "spoolCaught"
)

// chainBody is the value of chainKey: what a link knows of its chain. Of a job
// that keeps its chain itself, that is ID and At only. Links are text, not
// objects, because a PHP worker that meets the payload on Redis writes objects
// anew, and not always as they were.
type chainBody struct {
	ID         string   `json:"id"`
	At         int      `json:"at"` // how many links went before
	Connection string   `json:"connection,omitempty"`
	Queue      string   `json:"queue,omitempty"`
	Next       []string `json:"next,omitempty"`
	Catch      []string `json:"catch,omitempty"`
}

// put adds a key to the payload. The map that extra was is left as it is.
func (d *dispatch) put(key string, value any) {
	d.extra = maps.Clone(d.extra)
	if d.extra == nil {
		d.extra = make(map[string]any)
	}
	d.extra[key] = value
}

// link is a job of a chain with its options.
type link struct {
	name string
	data any
	o    dispatch
	// given are the options that don't come from the job itself.
	given []DispatchOption
}

// newLink reads a job as it was given to a chain.
func newLink(job any) (*link, error) {
	if batch, ok := job.(*PendingBatch); ok {
		return batch.link()
	}
	name, data, o, err := optioned(job)
	if err != nil {
		return nil, err
	}
	l := &link{name: name, data: data, o: o}
	if with, ok := job.(Optioned); ok {
		l.given = with.opts
	}
	return l, nil
}

// at is where a link goes that doesn't say so itself.
func (l *link) at(connection, queue string) {
	if l.o.connection == "" {
		l.o.connection = connection
	}
	if l.o.queue == "" {
		l.o.queue = queue
	}
}

// text returns the link as it is stored in the payload of one before it.
func (l *link) text(form Chained) (string, error) {
	if l.o.debounce.on {
		return "", errors.New("a link of a chain can't be debounced")
	}
	if (formOf(l.data) == nil) != (form == nil) {
		return "", errMixed
	}
	if form == nil {
		return l.native()
	}
	var own dispatch
	for _, opt := range l.given {
		if _, policy := opt.(PolicyOption); policy {
			return "", errOwnOption
		}
		opt.applyDispatch(&own)
	}
	rest := own
	rest.connection, rest.queue, rest.delay, rest.at, rest.afterCommit = "", "", 0, time.Time{}, nil
	if !reflect.ValueOf(rest).IsZero() || !own.at.IsZero() {
		return "", errOwnOption
	}
	return form.Link(l.data, own.connection, own.queue, own.delay)
}

var errOwnOption = errors.New("a link that PHP may run takes the options OnConnection, OnQueue and Delay; give it the others as properties")

// linkUnique is the lock of a unique link, as it is stored.
type linkUnique struct {
	ID    string `json:"id"`
	For   int64  `json:"for,omitempty"` // seconds
	Early bool   `json:"early,omitempty"`
	As    string `json:"as,omitempty"`
}

// native returns the link in Spool's own form: the keys of a payload that say
// something.
func (l *link) native() (string, error) {
	e, o := envelope{}, &l.o
	o.group, o.dedup = o.keys(l.data)
	if u, ok := l.data.(UniqueJob); ok && !o.unique.on {
		o.unique.on, o.unique.id = true, u.UniqueID()
	}
	some := func(key, s string) {
		if s != "" {
			e.str(key, s)
		}
	}
	e.str("job", l.name)
	e.val("data", l.data)
	some("displayName", o.display)
	some("connection", o.connection)
	some("queue", o.queue)
	some("group", o.group)
	some("dedup", o.dedup)
	if !o.at.IsZero() {
		e.num("availableAt", seconds(time.Duration(o.at.UnixNano())))
	} else if o.delay > 0 {
		e.num("wait", seconds(o.delay))
	}
	l.policy(&e)
	if u := o.unique; u.on {
		e.val("unique", linkUnique{u.id, seconds(u.ttl), u.early, u.as})
	}
	if len(o.extra) > 0 {
		e.val("extra", o.extra)
	}
	if e.err != nil {
		return "", fmt.Errorf("encode %q: %w", e.key, e.err)
	}
	return string(append(e.b, '}')), nil
}

// policy writes what the link says of its policy.
func (l *link) policy(e *envelope) {
	p := l.o.policy
	if p.Tries != nil {
		e.num("maxTries", int64(*p.Tries))
	}
	if p.MaxExceptions > 0 {
		e.num("maxExceptions", int64(p.MaxExceptions))
	}
	if p.FailOnTimeout {
		e.raw("failOnTimeout", "true")
	}
	if p.Backoff != nil {
		e.str("backoff", BackoffText(p.Backoff))
	}
	if p.Timeout != nil {
		e.num("timeout", seconds(*p.Timeout))
	}
	if !p.RetryUntil.IsZero() {
		e.num("retryUntil", p.RetryUntil.Unix())
	}
}

// parseLink reads a link in Spool's own form.
func parseLink(text string) (*link, error) {
	var l link
	var p Payload
	err := phpjson.Fields([]byte(text), func(key string, _ int, v []byte) (err error) {
		o := &l.o
		switch key {
		case "connection":
			err = json.Unmarshal(v, &o.connection)
		case "queue":
			err = json.Unmarshal(v, &o.queue)
		case "group":
			err = json.Unmarshal(v, &o.group)
		case "dedup":
			err = json.Unmarshal(v, &o.dedup)
		case "wait":
			err = number(v, func(n int64) { o.delay = duration(n) })
		case "availableAt":
			err = number(v, func(n int64) { o.at = moment(n) })
		case "unique":
			var u linkUnique
			err = json.Unmarshal(v, &u)
			o.unique = unique{on: true, id: u.ID, ttl: duration(u.For), early: u.Early, as: u.As}
		case "extra":
			var extra map[string]json.RawMessage
			if err = json.Unmarshal(v, &extra); err == nil {
				for k, v := range extra {
					o.put(k, v)
				}
			}
		default:
			err = p.field(key, v, &legacyKeys{})
		}
		if err != nil {
			return fmt.Errorf("key %q: %w", key, err)
		}
		return nil
	})
	if err == nil && p.Job == "" {
		err = errors.New(`no "job" names what to run`)
	}
	if err != nil {
		return nil, fmt.Errorf("link of a chain: %w", err)
	}
	l.name, l.data, l.o.display, l.o.policy = p.Job, p.Data, p.DisplayName, p.Policy
	return &l, nil
}
