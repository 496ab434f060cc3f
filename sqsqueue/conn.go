// Package sqsqueue keeps queues in Amazon SQS, with the messages that Laravel's
// sqs driver sends and expects, so that PHP and Go share them.
//
// # What SQS is
//
// A reservation is a receive: the message is invisible to others for
// Options.RetryAfter, and [Conn.Extend] makes it so anew. Attempts are the
// receives that SQS has counted. A job released without having run has been
// received all the same: SQS can't take a receive back, so this driver is no
// [driver.Returner].
//
// A standard queue promises at least one delivery, in roughly the order of
// arrival. Receipts fence as far as SQS does, which is best effort: a job whose
// lease has run out may still be deleted by its late holder. What this process
// knows to have ended is refused here: settling twice, and extending or
// releasing after the lease.
//
// Sizes are estimates. SQS ends a reservation twelve hours after the receive,
// however often it is renewed; Extend reports [driver.ErrLost] once it couldn't
// grant a full lease any more.
//
// # FIFO queues
//
// A queue whose name ends in ".fifo" delivers the jobs of a message group in
// order, one at a time. The driver receives them one by one, so that SQS itself
// holds back the others of the group, in all processes, until the first is
// deleted; when it fails, they wait until it has been released and its turn is
// over. No job is received only to be held back, which would count an attempt
// that never ran. The price is one request for each job.
//
// # Limits
//
// A body has 1 to 1,048,576 bytes of text without control characters. A push
// may be delayed by 15 minutes, on FIFO queues not at all (the queue itself may
// have a delay); a release by 12 hours less the age of the reservation. More is
// a [driver.LimitError]. [Overflow] keeps larger bodies in a cache, as Laravel
// 13 does.
package sqsqueue

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/spoolq/spool/driver"
)

// What SQS allows.
const (
	maxBatch      = 10
	maxBytes      = 1 << 20 // of a message, and of a batch
	maxDelay      = 15 * time.Minute
	maxVisibility = 12 * time.Hour // from the receive
	maxPoll       = 20 * time.Second
)

const defaultPoll = 5 * time.Second

// MaxBody is the largest body in bytes that SQS takes.
const MaxBody = maxBytes

// Options configure a [Conn].
type Options struct {
	// Prefix is what stands before a queue's name in its URL, e.g.
	// "https://sqs.eu-west-1.amazonaws.com/123456789012". Empty: SQS is asked
	// for the URL of each name, once. A queue that is named by its URL needs none.
	Prefix string
	// Suffix is appended to names of queues, before ".fifo"; not to URLs.
	Suffix string
	// RetryAfter is the length of a lease, rounded up to whole seconds. 0 means
	// 90 s. It is sent with each receive, so that the queue's own visibility
	// timeout doesn't matter. From [driver.MinLease] to six hours.
	RetryAfter time.Duration
	// PollFor is how long a request of Wait waits in SQS for a job: whole
	// seconds from 1 to 20; 0 means 5 s. An idle queue costs a request every
	// PollFor, and Close may last that long.
	PollFor time.Duration
	// MaxBody is the largest body that Push sends, for queues whose
	// MaximumMessageSize is lower than SQS's; 0 means [MaxBody].
	MaxBody int
	// MessageGroup is the group of messages that name none, up to 128 ASCII
	// characters. On a FIFO queue jobs of a group run in order; on a standard one
	// the group is the tenant among whom SQS is fair. Empty: on FIFO queues the
	// queue's name, as Laravel does for string jobs, else none.
	MessageGroup string
	// ContentDeduplication leaves it to a FIFO queue with content-based
	// deduplication to know messages that name no deduplication id: it drops one
	// with the body of another that was sent within the last five minutes.
	// Without it each gets a new id, as in Laravel, so that nothing is dropped.
	ContentDeduplication bool
	// Overflow says what becomes of bodies that are too large for SQS.
	Overflow Overflow

	// The following are for [Open]; [New] ignores them.

	// Region is the AWS region; empty: that of the usual AWS settings.
	Region string
	// Key, Secret and Token are the credentials. Without a key they are looked
	// for where AWS tools look: environment, shared files, web identity,
	// container, instance.
	Key, Secret, Token string
	// Endpoint replaces the endpoint of the region, e.g. of a local server.
	Endpoint string
}

// Conn is a connection to queues in SQS. It is safe for concurrent use.
//
// Sending and releasing are never repeated: where the answer was lost, their
// outcome is unknown. What does no harm twice is.
type Conn struct {
	api    API
	opts   Options
	traits driver.Traits
	names  sync.Map // queue name -> URL, where SQS was asked

	polls    polls
	polling  sync.WaitGroup // requests that wait for jobs
	closing  context.Context
	shutdown context.CancelFunc
	closed   sync.Once
	idle     func() // closes idle connections of the client that Open made
}

var (
	_ driver.Conn        = (*Conn)(nil)
	_ driver.Waiter      = (*Conn)(nil)
	_ driver.Extender    = (*Conn)(nil)
	_ driver.Sizer       = (*Conn)(nil)
	_ driver.QueueLister = (*Conn)(nil)
	_ driver.Clearer     = (*Conn)(nil)
	_ driver.Pinger      = (*Conn)(nil)
)

// New returns a connection over a client, without asking SQS anything. The
// client must outlive the connection.
func New(api API, opts *Options) (*Conn, error) {
	if api == nil {
		return nil, errors.New("sqsqueue: no client")
	}
	var o Options
	if opts != nil {
		o = *opts
	}
	if o.RetryAfter == 0 {
		o.RetryAfter = driver.DefaultLease
	}
	if o.RetryAfter < driver.MinLease || o.RetryAfter > maxVisibility/2 {
		return nil, fmt.Errorf("sqsqueue: retry_after is %v: it must be from %v to %v", o.RetryAfter, driver.MinLease, maxVisibility/2)
	}
	o.RetryAfter = driver.RoundUp(o.RetryAfter, time.Second)
	if o.PollFor == 0 {
		o.PollFor = defaultPoll
	}
	if o.PollFor < time.Second || o.PollFor > maxPoll || o.PollFor%time.Second != 0 {
		return nil, fmt.Errorf("sqsqueue: requests wait for %v: it must be whole seconds from 1 to 20", o.PollFor)
	}
	if _, ok := o.Overflow.Store.(flusher); o.Overflow.FlushOnClear && !ok {
		return nil, fmt.Errorf("sqsqueue: FlushOnClear needs a store that can be emptied, %T can't", o.Overflow.Store)
	}
	if o.MaxBody == 0 {
		o.MaxBody = MaxBody
	}
	if o.MaxBody < 1 || o.MaxBody > MaxBody {
		return nil, fmt.Errorf("sqsqueue: the largest body is %d bytes: it must be from 1 to %d", o.MaxBody, MaxBody)
	}
	c := &Conn{
		api:  api,
		opts: o,
		traits: driver.Traits{
			Driver:     "sqs",
			MaxBody:    o.MaxBody,
			TextOnly:   true,
			MaxDelay:   maxDelay,
			MaxRelease: maxVisibility,
			Lease:      o.RetryAfter,
			Renew:      o.RetryAfter / 3,
			Resolution: time.Second,
			WaitTakes:  true,
		},
	}
	if o.Overflow.Store != nil {
		c.traits.MaxBody = 0
	}
	c.closing, c.shutdown = context.WithCancel(context.Background())
	return c, nil
}

// Traits returns the fixed facts of the connection.
func (c *Conn) Traits() driver.Traits { return c.traits }

// Close makes every further call return [driver.ErrClosed] and ends those who
// wait at once. Then it waits, up to Options.PollFor, for the requests that
// they have started: SQS would hand jobs to a request that was broken off. What
// these still bring is made available again.
func (c *Conn) Close() error {
	c.closed.Do(func() {
		c.polls.mu.Lock() // no request begins after this
		c.shutdown()
		c.polls.mu.Unlock()
		c.polling.Wait()
		if c.idle != nil {
			c.idle()
		}
	})
	return nil
}

// check returns why a call can't begin.
func (c *Conn) check(ctx context.Context) error {
	if c.closing.Err() != nil {
		return driver.ErrClosed
	}
	return ctx.Err()
}
