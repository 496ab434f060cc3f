// Package redisqueue keeps queues in Redis, in the keys and with the effects
// of Laravel's redis driver, so that PHP and Go share them in both directions.
// What exactly is stored is data: see [Layout] and the scripts in lua/.
//
// It differs from Laravel where Laravel loses or doubles jobs: the attempt is
// counted in the payload without re-encoding it; a payload that can't be
// counted is handed out instead of dropped; settling a reservation that is no
// longer held writes nothing; leases can be extended; one script takes many
// jobs. All times come from the server's clock.
//
// Redis knows a delayed or reserved job by its bytes: two jobs with identical
// bytes become one there. Payloads carry an id, so this happens only to
// payloads made by hand.
package redisqueue

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/spoolq/spool/driver"
)

// Options configure a [Conn]. The zero value means Laravel's defaults.
type Options struct {
	// Prefix stands before every key: the prefix of the Redis client in
	// Laravel's configuration, e.g. "laravel_database_".
	Prefix string
	// Layout is what is stored; nil means [Laravel].
	Layout *Layout
	// RetryAfter is the length of a lease, rounded up to whole seconds. 0 means
	// 90 s. Less than [driver.MinLease] is refused.
	RetryAfter time.Duration
	// KeepExpired leaves expired reservations where they are until Rescue is
	// called (Laravel's retry_after null). Leases are written all the same.
	KeepExpired bool
	// BlockFor bounds how long Wait blocks (Laravel's block_for); 0 means as
	// long as the caller asks for.
	BlockFor time.Duration
	// MigrationBatch is how many due jobs a Reserve makes ready at most, from
	// each of delayed and expired; 0 and less mean all. More than 1,000 (or than
	// are reserved at once) are spread over several calls, so that the server
	// isn't held up.
	MigrationBatch int
	// WaitReplicas makes Push wait up to a second until so many replicas of the
	// server (in a cluster, of the queue's node) have the jobs: one of them may
	// then be promoted, and the jobs are there. See [ReplicationError]. 0 means
	// that it doesn't wait: what the server had accepted but not sent on is lost
	// in a fail-over.
	WaitReplicas int
	// CloseClient makes Close close the client too.
	CloseClient bool
}

// MaxBody is the largest payload in bytes that Push accepts. Redis itself
// stores up to 512 MB, but a payload passes through a script, which holds
// several copies of it.
const MaxBody = 64 << 20

// Conn is a connection to queues in Redis. It is safe for concurrent use.
//
// No change of state is ever repeated by the client: a command whose answer was
// lost returns an error, and its outcome is unknown.
type Conn struct {
	client  rueidis.Client
	layout  Layout
	opts    Options
	traits  driver.Traits
	cluster bool

	scripts struct {
		push, reserve, choose, delete, release, giveBack, extend, rescue, due script
		register, registered                                                  script
	}
	lease    string   // seconds, as the scripts want it
	requeue  string   // "1" if Reserve takes expired reservations back
	tokens   []string // "1" for each job of a push
	pushes   announcer
	looks    looks
	closing  context.Context
	shutdown context.CancelFunc
}

var (
	_ driver.Conn        = (*Conn)(nil)
	_ driver.Waiter      = (*Conn)(nil)
	_ driver.Extender    = (*Conn)(nil)
	_ driver.Returner    = (*Conn)(nil)
	_ driver.Sizer       = (*Conn)(nil)
	_ driver.Lister      = (*Conn)(nil)
	_ driver.QueueLister = (*Conn)(nil)
	_ driver.Clearer     = (*Conn)(nil)
	_ driver.Rescuer     = (*Conn)(nil)
	_ driver.Pinger      = (*Conn)(nil)
	_ driver.Advisor     = (*Conn)(nil)
	_ driver.Selector    = (*Conn)(nil)
)

// New returns a connection over an open client, without asking the server
// anything. The client may be shared; it must outlive the connection.
func New(client rueidis.Client, opts *Options) (*Conn, error) {
	if client == nil {
		return nil, errors.New("redisqueue: no client")
	}
	var o Options
	if opts != nil {
		o = *opts
	}
	if o.RetryAfter == 0 {
		o.RetryAfter = driver.DefaultLease
	}
	if o.RetryAfter < driver.MinLease {
		return nil, fmt.Errorf("redisqueue: retry_after of %v is too short to be renewed in time: it must be at least %v", o.RetryAfter, driver.MinLease)
	}
	o.RetryAfter = driver.RoundUp(o.RetryAfter, time.Second)
	layout := Laravel()
	if o.Layout != nil {
		layout = *o.Layout
	}
	if client.Mode() == rueidis.ClientModeCluster {
		if err := layout.scattered(o.Prefix, "x"); err != nil {
			return nil, err
		}
	}
	c := &Conn{
		client:  client,
		layout:  layout,
		opts:    o,
		cluster: client.Mode() == rueidis.ClientModeCluster,
		lease:   seconds(o.RetryAfter),
		requeue: "1",
		tokens:  strings.Split(strings.Repeat("1", pushChunk), ""),
		traits: driver.Traits{
			Driver:       "redis",
			MaxBody:      MaxBody,
			CountsInBody: true,
			Lease:        o.RetryAfter,
			Renew:        o.RetryAfter / 3,
			Resolution:   time.Second,
		},
	}
	if o.KeepExpired {
		c.requeue = "0"
	}
	s := &layout.Scripts
	c.scripts.push, c.scripts.reserve = newScript(s.Push), newScript(s.Reserve)
	c.scripts.delete, c.scripts.release = newScript(clockLua+heldLua+deleteLua), newScript(s.Release)
	c.scripts.giveBack, c.scripts.extend = newScript(s.Return), newScript(s.Extend)
	c.scripts.rescue, c.scripts.due = newScript(s.Rescue), newScript(s.Due)
	c.scripts.choose = newScript(s.Select)
	c.scripts.register, c.scripts.registered = newScript(clockLua+registerLua), newScript(clockLua+registeredLua)
	c.closing, c.shutdown = context.WithCancel(context.Background())
	return c, nil
}

// Traits returns the fixed facts of the connection.
func (c *Conn) Traits() driver.Traits { return c.traits }

// Close wakes those who wait and makes every further call return
// [driver.ErrClosed]. The client stays open unless Options.CloseClient is set.
func (c *Conn) Close() error {
	first := c.closing.Err() == nil
	c.shutdown()
	if first && c.opts.CloseClient {
		c.client.Close()
	}
	return nil
}

// check returns why a call about these queues can't begin.
func (c *Conn) check(ctx context.Context, queues ...string) error {
	if c.closing.Err() != nil {
		return driver.ErrClosed
	}
	if c.cluster {
		for _, q := range queues {
			if err := c.layout.scattered(c.opts.Prefix, q); err != nil {
				return err
			}
		}
	}
	return ctx.Err()
}

func (c *Conn) keys(queue string) keys {
	return c.layout.keys(c.opts.Prefix, queue, c.cluster)
}

// run executes a script by its name, and sends its text if the server doesn't
// know it (it was restarted, or its scripts were flushed). The first attempt
// has done nothing then, so this repeats no change.
func (c *Conn) run(ctx context.Context, s script, keys, args []string) rueidis.RedisResult {
	res := c.client.Do(ctx, c.client.B().Evalsha().Sha1(s.sha).Numkeys(int64(len(keys))).Key(keys...).Arg(args...).Build())
	if err, ok := rueidis.IsRedisErr(res.Error()); ok && err.IsNoScript() {
		res = c.client.Do(ctx, c.client.B().Eval().Script(s.text).Numkeys(int64(len(keys))).Key(keys...).Arg(args...).Build())
	}
	return res
}

// seconds is how scripts are told a duration.
func seconds(d time.Duration) string {
	if d <= 0 {
		return "0"
	}
	if d%time.Second == 0 {
		return strconv.FormatInt(int64(d/time.Second), 10)
	}
	return strconv.FormatFloat(d.Seconds(), 'f', -1, 64)
}
