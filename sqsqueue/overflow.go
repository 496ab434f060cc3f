package sqsqueue

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"time"

	"github.com/spoolq/spool/driver"
)

// Overflow keeps bodies that are too large for SQS in a cache, as Laravel 13
// does: the message is then {"@pointer":"…"} with the key of the body. PHP and
// Go workers that share the cache read each other's.
type Overflow struct {
	// Store keeps the bodies; nil: bodies over the limit are refused. With a
	// store, pointers in received messages are followed.
	Store OverflowStore
	// Always keeps every body there, not only those as large as
	// Options.MaxBody.
	Always bool
	// DeleteAfterProcessing removes a body when its job is deleted. Without it
	// nothing removes bodies. What can't be removed stays: the job is done.
	DeleteAfterProcessing bool
	// FlushOnClear empties the store when a queue is cleared, whatever else is in
	// it, the bodies of other queues too. The store must be able to (a
	// cache.Flusher is). Without it the bodies of cleared jobs stay.
	FlushOnClear bool
}

// OverflowStore is what keeps large bodies; a cache.Store does.
type OverflowStore interface {
	Many(ctx context.Context, keys ...string) (map[string]string, error)
	Put(ctx context.Context, key string, value any, ttl time.Duration) error
	Forget(ctx context.Context, key string) error
}

// flusher is a store that can be emptied.
type flusher interface {
	Flush(ctx context.Context) error
}

// pointerPrefix is what keys of bodies begin with in Laravel.
const pointerPrefix = "laravel:sqs-payloads:"

// pointer is the message that stands for a body in the cache.
type pointer struct {
	Key string `json:"@pointer"`
}

// parse returns the key that a message points to, "" if it is a body itself.
func parse(message []byte) string {
	if !bytes.HasPrefix(message, []byte(`{"@pointer"`)) {
		return ""
	}
	var p pointer
	if json.Unmarshal(message, &p) != nil {
		return ""
	}
	return p.Key
}

// park returns the texts of the messages of the next batch, large bodies
// replaced by pointers, and the keys of these, "" for others.
func (c *Conn) park(ctx context.Context, ms []driver.Message) (texts, keys []string, err error) {
	o := c.opts.Overflow
	size := 0
	for i := range min(len(ms), maxBatch) {
		text, key := string(ms[i].Body), ""
		if o.Store != nil && (o.Always || len(text) >= c.opts.MaxBody) {
			key = pointerPrefix + uuid()
			b, err := json.Marshal(pointer{key})
			if err != nil {
				return nil, nil, err
			}
			text = string(b)
		}
		if i > 0 && size+len(text) > maxBytes {
			break
		}
		if key != "" {
			if err := o.Store.Put(ctx, key, string(ms[i].Body), 0); err != nil {
				c.forget(ctx, keys...)
				return nil, nil, fmt.Errorf("a body that is too large for SQS can't be kept in the cache: %w", err)
			}
		}
		size += len(text)
		texts, keys = append(texts, text), append(keys, key)
	}
	return texts, keys, nil
}

// unpark removes the bodies of messages that SQS has refused.
func (c *Conn) unpark(ctx context.Context, keys []string, s sent) {
	for i, key := range keys {
		if s.all[i] == "" {
			c.forget(ctx, key)
		}
	}
}

// forget removes bodies as far as it can.
func (c *Conn) forget(ctx context.Context, keys ...string) {
	for _, key := range keys {
		if key != "" {
			_ = c.opts.Overflow.Store.Forget(ctx, key) // what stays does no harm but take room
		}
	}
}

// follow replaces pointers by the bodies that they point to. A pointer whose
// body is gone stays what it is: the worker will find that it can't be run.
func (c *Conn) follow(ctx context.Context, rs []driver.Reservation) error {
	store := c.opts.Overflow.Store
	if store == nil {
		return nil
	}
	var keys []string
	for i := range rs {
		if key := parse(rs[i].Body); key != "" {
			rs[i].Receipt.(*receipt).pointer = key
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return nil
	}
	bodies, err := store.Many(ctx, keys...)
	if err != nil {
		return fmt.Errorf("bodies that are kept in the cache can't be read: %w", err)
	}
	for i := range rs {
		if body, ok := bodies[rs[i].Receipt.(*receipt).pointer]; ok {
			rs[i].Body = []byte(body)
		}
	}
	return nil
}

// uuid returns a UUID of version 7: random, and ordered by time.
func uuid() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	ms := time.Now().UnixMilli()
	for i := range 6 {
		b[i] = byte(ms >> (40 - 8*i))
	}
	b[6], b[8] = b[6]&0x0f|0x70, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
