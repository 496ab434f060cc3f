package sqsqueue

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/spoolq/spool/driver"
)

// A receipt is the driver's handle of a reservation.
type receipt struct {
	url, handle string
	pointer     string    // key of the body in the cache, if it is there
	received    time.Time // when the answer came

	mu      sync.Mutex
	ends    time.Time // of the lease, as far as this process knows
	settled bool
}

// callTimeout bounds a receive, which isn't cancelled with its context.
const callTimeout = 30 * time.Second

// Reserve receives up to max jobs, ten with each request, one with each on
// FIFO queues, several at a time. Jobs that Wait has received come first. It
// asks no further when SQS had less than it was asked for, which on a standard
// queue may happen although there is more.
func (c *Conn) Reserve(ctx context.Context, queue string, max int) ([]driver.Reservation, error) {
	if err := c.check(ctx); err != nil {
		return nil, err
	}
	if max <= 0 {
		return nil, nil
	}
	url, err := c.url(ctx, queue)
	if err != nil {
		return nil, err
	}
	// A job that was received must be returned: the call isn't cancelled.
	asking, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTimeout)
	defer cancel()
	rs := c.takeKept(asking, url)
	receive := c.receiveBatches
	if isFIFO(queue) {
		receive = c.receiveSingly
	}
	more, err := receive(ctx, asking, url, max-len(rs))
	rs = append(rs, more...)
	if len(rs) == 0 {
		return nil, err // with jobs in hand the next Reserve will say what is wrong
	}
	for i := range rs {
		rs[i].Queue = queue
	}
	if err := c.follow(asking, rs); err != nil {
		_ = c.Release(asking, rs, 0) // or they come back when their leases end
		return nil, err
	}
	return rs, nil
}

// receiveBatches receives up to n jobs in requests of ten, until ctx ends.
func (c *Conn) receiveBatches(ctx, asking context.Context, url string, n int) ([]driver.Reservation, error) {
	var all []driver.Reservation
	for len(all) < n {
		want := min(n-len(all), maxBatch)
		rs, err := c.receive(asking, url, want, 0)
		all = append(all, rs...)
		if err != nil || len(rs) < want || ctx.Err() != nil {
			return all, err
		}
	}
	return all, nil
}

// receiveSingly receives up to n jobs in requests for one, of which it makes
// more and more at a time, until one finds nothing or ctx ends.
func (c *Conn) receiveSingly(ctx, asking context.Context, url string, n int) ([]driver.Reservation, error) {
	var all []driver.Reservation
	for width := 1; len(all) < n && ctx.Err() == nil; width = min(2*width, maxBatch) {
		requests := min(width, n-len(all))
		found, errs := make([][]driver.Reservation, requests), make([]error, requests)
		var asked sync.WaitGroup
		for i := range requests {
			asked.Go(func() { found[i], errs[i] = c.receive(asking, url, 1, 0) })
		}
		asked.Wait()
		got := 0
		var failed error
		for i := range found {
			got += len(found[i])
			all = append(all, found[i]...)
			if errs[i] != nil {
				failed = errs[i]
			}
		}
		if failed != nil || got < requests {
			return all, failed
		}
	}
	return all, nil
}

// receive makes one request, which waits for wait, whole seconds, if there is
// no job.
func (c *Conn) receive(ctx context.Context, url string, n int, wait time.Duration) ([]driver.Reservation, error) {
	in := &sqs.ReceiveMessageInput{
		QueueUrl:                    &url,
		MaxNumberOfMessages:         int32(n),
		VisibilityTimeout:           wholeSeconds(c.traits.Lease),
		WaitTimeSeconds:             wholeSeconds(wait),
		MessageSystemAttributeNames: []types.MessageSystemAttributeName{types.MessageSystemAttributeNameApproximateReceiveCount},
	}
	var how []func(*sqs.Options)
	if wait == 0 {
		how = append(how, atOnce)
	}
	if isFIFO(url) {
		// The client may repeat a request whose answer was lost, and gets the same job.
		in.ReceiveRequestAttemptId = aws.String(uuid())
	}
	answer, err := c.api.ReceiveMessage(ctx, in, how...)
	if err != nil {
		return nil, told(err)
	}
	now := time.Now()
	rs := make([]driver.Reservation, len(answer.Messages))
	for i := range answer.Messages {
		m := &answer.Messages[i]
		rs[i] = driver.Reservation{
			ID:       aws.ToString(m.MessageId),
			Body:     []byte(aws.ToString(m.Body)),
			Attempts: receives(m),
			Receipt:  &receipt{url: url, handle: aws.ToString(m.ReceiptHandle), received: now, ends: now.Add(c.traits.Lease)},
		}
	}
	return rs, nil
}

// receives is how often SQS has handed out a message, this time included.
func receives(m *types.Message) int {
	n, err := strconv.Atoi(m.Attributes[string(types.MessageSystemAttributeNameApproximateReceiveCount)])
	if err != nil || n < 1 {
		return 1
	}
	return n
}
