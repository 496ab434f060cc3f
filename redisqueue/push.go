package redisqueue

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"unsafe"

	"github.com/redis/rueidis"

	"github.com/spoolq/spool/driver"
)

// A Push is stored in transactions of at most so many jobs and bytes.
const (
	pushChunk = 1000
	pushBytes = 32 << 20
)

// maxDepth is how deep a payload may be nested: PHP workers decode it in a
// script after they have taken it off the list, and lose it if it is deeper.
const maxDepth = 1000

// replicaWait is how long Push waits for replicas, in milliseconds.
const replicaWait = 1000

// ReplicationError says that jobs were stored, but that fewer replicas than
// Options.WaitReplicas have confirmed them in time. They may be lost if the
// server fails now; pushing them again may store them twice.
type ReplicationError struct {
	Have, Want int
}

// Unwrap returns [driver.ErrStored].
func (e *ReplicationError) Unwrap() error { return driver.ErrStored }

func (e *ReplicationError) Error() string {
	return fmt.Sprintf("stored, but only %d of %d replicas confirmed it in time", e.Have, e.Want)
}

// Push stores the messages in order. Up to 1,000 messages of 32 MB together
// are one atomic step; more are stored in several, and if one fails, the ids
// of those before it are returned with the error.
//
// Jobs that are ready at once and their notify elements are pushed by two
// plain commands in a transaction: three times as fast as by a script.
func (c *Conn) Push(ctx context.Context, queue string, ms []driver.Message) ([]string, error) {
	if err := c.check(ctx, queue); err != nil {
		return nil, err
	}
	if err := c.traits.Check(ms); err != nil {
		return nil, err
	}
	for i, m := range ms {
		if d := depth(m.Body); d > maxDepth {
			return nil, &driver.LimitError{Index: i, What: "depth", Have: int64(d), Max: maxDepth,
				Why: "PHP workers can't decode deeper JSON and lose the job"}
		}
	}
	ids := make([]string, 0, len(ms))
	k := c.keys(queue)
	var short error
	sure := 0 // how many ids come before the first that is stored, but short of replicas
	for len(ms) > 0 {
		n, size, later := chunk(ms)
		var err error
		if later {
			err = c.pushMixed(ctx, k, ms[:n], size)
		} else {
			err = c.pushReady(ctx, k, ms[:n], size)
		}
		if k.notify == "" {
			c.pushes.announce()
		}
		switch {
		case errors.Is(err, driver.ErrStored): // which is said of all messages, so it goes on
			if short == nil {
				short, sure = err, len(ids)
			}
		case err != nil:
			return ids, err
		}
		for _, m := range ms[:n] {
			ids = append(ids, m.ID)
		}
		ms = ms[n:]
	}
	if short != nil {
		return ids[:sure], short
	}
	return ids, nil
}

// chunk returns how many of ms to store in one transaction, their size, and
// whether one of them is delayed.
func chunk(ms []driver.Message) (n, size int, later bool) {
	for n < len(ms) && n < pushChunk {
		m := &ms[n]
		if n > 0 && size+len(m.Body) > pushBytes {
			break
		}
		size += len(m.Body)
		later = later || m.Delay > 0
		n++
	}
	return n, size, later
}

// pushReady stores jobs that are ready at once.
func (c *Conn) pushReady(ctx context.Context, k keys, ms []driver.Message, size int) error {
	bodies := texts(ms, size, make([]string, 0, len(ms)))
	cmds := make([]rueidis.Completed, 0, 4)
	cmds = append(cmds,
		c.client.B().Multi().Build(),
		c.client.B().Rpush().Key(k.ready).Element(bodies...).Build())
	if k.notify != "" {
		cmds = append(cmds, c.client.B().Rpush().Key(k.notify).Element(c.tokens[:len(ms)]...).Build())
	}
	cmds = append(cmds, c.client.B().Exec().Build())
	if c.opts.WaitReplicas > 0 {
		return c.replicated(ctx, cmds)
	}
	return executed(c.client.DoMulti(ctx, cmds...))
}

// executed looks at the answers to a transaction.
func executed(res []rueidis.RedisResult) error {
	exec := len(res) - 1
	answers, err := res[exec].ToArray()
	if err != nil {
		// An aborted transaction says only that: the command that was refused
		// says why (out of memory, read-only replica, no permission).
		for _, r := range res[:exec] {
			if _, refused := rueidis.IsRedisErr(r.Error()); refused {
				return r.Error()
			}
		}
		return err
	}
	for i := range answers {
		if err := answers[i].Error(); err != nil {
			return err
		}
	}
	return nil
}

// pushMixed stores jobs some of which are delayed.
func (c *Conn) pushMixed(ctx context.Context, k keys, ms []driver.Message, size int) error {
	args := make([]string, 0, 2*len(ms))
	bodies := texts(ms, size, make([]string, 0, len(ms)))
	for i := range ms {
		args = append(args, seconds(ms[i].Delay), bodies[i])
	}
	names := []string{k.ready, k.delayed}
	if k.notify != "" {
		names = append(names, k.notify)
	}
	if c.opts.WaitReplicas <= 0 {
		return c.run(ctx, c.scripts.push, names, args).Error()
	}
	// In a transaction like the other pushes; a script fails inside of it.
	return c.replicated(ctx, []rueidis.Completed{
		c.client.B().Multi().Build(),
		c.client.B().Eval().Script(c.scripts.push.text).Numkeys(int64(len(names))).Key(names...).Arg(args...).Build(),
		c.client.B().Exec().Build(),
	})
}

// redirects is how often a push with WaitReplicas follows the slots of a
// cluster to another node.
const redirects = 3

// replicated runs the transaction of a push and waits for replicas. WAIT speaks
// of the writes of its own connection, and only if it is asked there: a client
// that follows a redirect would send the transaction on and take the answer of
// the node that was asked first. So they have a connection for themselves, and
// a redirect, before which nothing was stored, is followed here.
func (c *Conn) replicated(ctx context.Context, tx []rueidis.Completed) error {
	for i := range tx {
		tx[i] = tx[i].Pin()
	}
	wait := c.client.B().Wait().Numreplicas(int64(c.opts.WaitReplicas)).Timeout(replicaWait).Build().Pin()
	node := c.client
	for n := 0; ; n++ {
		var have int64
		err := node.Dedicated(func(one rueidis.DedicatedClient) error {
			res := one.DoMulti(ctx, append(tx[:len(tx):len(tx)], wait)...)
			if err := executed(res[:len(tx)]); err != nil {
				return err
			}
			var err error
			have, err = res[len(tx)].AsInt64()
			return err
		})
		switch next := c.redirected(err); {
		case next != nil && n < redirects:
			node = next
		case err != nil:
			return err
		case int(have) < c.opts.WaitReplicas:
			return &ReplicationError{Have: int(have), Want: c.opts.WaitReplicas}
		default:
			return nil
		}
	}
}

// redirected returns the node of the cluster that an error points to, nil if
// there is none, or none that the client knows yet.
func (c *Conn) redirected(err error) rueidis.Client {
	e, ok := rueidis.IsRedisErr(err)
	if !ok || !c.cluster {
		return nil
	}
	if addr, moved := e.IsMoved(); moved {
		return c.client.Nodes()[addr]
	}
	return nil
}

// texts appends the bodies to dst as strings, in one copy: the client may
// still hold them when Push returns early, and the caller owns the slices.
func texts(ms []driver.Message, size int, dst []string) []string {
	buf := make([]byte, 0, size)
	for i := range ms {
		from := len(buf)
		buf = append(buf, ms[i].Body...)
		dst = append(dst, text(buf[from:]))
	}
	return dst
}

// text is b as a string, not copied: nobody may change b any more.
func text(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// depth returns how deep a JSON text is nested, but 0 where a glance shows
// that it isn't deeper than maxDepth.
func depth(body []byte) int {
	if len(body) <= 2*maxDepth || bytes.Count(body, []byte{'{'})+bytes.Count(body, []byte{'['}) <= maxDepth {
		return 0
	}
	deepest, now := 0, 0
	for i := 0; i < len(body); i++ {
		switch body[i] {
		case '{', '[':
			now++
			deepest = max(deepest, now)
		case '}', ']':
			now--
		case '"':
			i = stringEnd(body, i)
		}
	}
	return deepest
}

// stringEnd returns the index of the quote that ends the string which begins
// at i, or the length of body.
func stringEnd(body []byte, i int) int {
	for i++; i < len(body); i++ {
		switch body[i] {
		case '\\':
			i++
		case '"':
			return i
		}
	}
	return len(body)
}
