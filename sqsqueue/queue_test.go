package sqsqueue

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/internal/testserver"
)

func TestQueueURLs(t *testing.T) {
	for _, c := range []struct{ prefix, suffix, queue, want string }{
		{"https://sqs.eu-west-1.amazonaws.com/1", "", "mail", "https://sqs.eu-west-1.amazonaws.com/1/mail"},
		{"https://sqs.eu-west-1.amazonaws.com/1/", "", "mail", "https://sqs.eu-west-1.amazonaws.com/1/mail"},
		{"https://a/1", "-live", "mail", "https://a/1/mail-live"},
		{"https://a/1", "-live", "mail-live", "https://a/1/mail-live"},
		{"https://a/1", "-live", "mail.fifo", "https://a/1/mail-live.fifo"},
		{"https://a/1", "-live", "mail-live.fifo", "https://a/1/mail-live.fifo"},
		{"https://a/1", "-live", "https://b/2/other", "https://b/2/other"},
		{"https://a/1", "-live", "http://b/2/other.fifo", "http://b/2/other.fifo"},
		{"", "-live", "http://b/2/other", "http://b/2/other"},
	} {
		conn, err := New(&sqs.Client{}, &Options{Prefix: c.prefix, Suffix: c.suffix})
		must(t, err)
		got, err := conn.url(t.Context(), c.queue)
		if err != nil || got != c.want {
			t.Errorf("prefix %q, suffix %q: queue %q has the URL %q (%v), want %q", c.prefix, c.suffix, c.queue, got, err, c.want)
		}
	}
}

// counted counts how often SQS is asked for a queue's URL.
type counted struct {
	API
	n int
}

func (c *counted) GetQueueUrl(ctx context.Context, in *sqs.GetQueueUrlInput, o ...func(*sqs.Options)) (*sqs.GetQueueUrlOutput, error) {
	c.n++
	return c.API.GetQueueUrl(ctx, in, o...)
}

func TestWithoutPrefixSQSIsAskedOnce(t *testing.T) {
	c := connect(t, testserver.SQS(t), func(o *Options) { o.Prefix, o.Suffix = "", "-live" })
	q := name("")
	create(t, c, q+"-live")
	asked := &counted{API: c.api}
	c.api = asked
	push(t, c, q, "a")
	if got := bodies(reserve(t, c, q, 1)); !slices.Equal(got, []string{"a"}) {
		t.Errorf("the jobs are %q", got)
	}
	if asked.n != 1 {
		t.Errorf("SQS was asked %d times for the URL", asked.n)
	}
	_, err := c.Push(t.Context(), name(""), messages("a"))
	if missing := (*types.QueueDoesNotExist)(nil); !errors.As(err, &missing) {
		t.Errorf("a push to a queue that doesn't exist: %v", err)
	}
	for _, prefix := range []string{"", testserver.SQS(t) + "/" + testserver.SQSAccount} {
		c := connect(t, testserver.SQS(t), func(o *Options) { o.Prefix = prefix })
		_, err := c.Push(t.Context(), name(""), messages("a"))
		if none := (*NoQueueError)(nil); !errors.As(err, &none) || !strings.Contains(err.Error(), "create it, or check prefix") {
			t.Errorf("with prefix %q a push to a queue that doesn't exist: %v", prefix, err)
		}
	}
}

func TestQueuesAreThoseOfThePrefixAndSuffix(t *testing.T) {
	endpoint := testserver.SQS(t)
	suffix := name("")
	c := connect(t, endpoint, func(o *Options) { o.Suffix = suffix })
	for _, q := range []string{"b", "a.fifo", "empty"} {
		create(t, c, suffixed(q, suffix))
	}
	create(t, c, suffix+"-other") // without the suffix at its end
	push(t, c, "b", "1")
	push(t, c, "a.fifo", "1")
	names, err := c.Queues(t.Context())
	if want := []string{"a.fifo", "b"}; err != nil || !slices.Equal(names, want) {
		t.Errorf("the queues are %q (%v), want %q", names, err, want)
	}
}

func TestSizeIsAnEstimate(t *testing.T) {
	c := connect(t, testserver.SQS(t), nil)
	q := name("")
	create(t, c, q)
	push(t, c, q, "1", "2", "3")
	if _, err := c.Push(t.Context(), q, []driver.Message{{Body: []byte("4"), Delay: maxDelay}}); err != nil {
		t.Fatal(err)
	}
	reserve(t, c, q, 1)
	got, err := c.Size(t.Context(), q)
	if want := (driver.Size{Pending: 2, Delayed: 1, Reserved: 1, Approximate: true}); err != nil || got != want {
		t.Errorf("the size is %+v (%v), want %+v", got, err, want)
	}
	_, err = c.Size(t.Context(), name(""))
	if missing := (*types.QueueDoesNotExist)(nil); !errors.As(err, &missing) {
		t.Errorf("the size of a queue that doesn't exist: %v", err)
	}
}

// A queue may be set to hold receives until a job comes. Reserve mustn't wait.
func TestReserveReturnsAtOnceOnQueuesThatWait(t *testing.T) {
	c := connect(t, testserver.SQS(t), nil)
	q := name("")
	create(t, c, q, "ReceiveMessageWaitTimeSeconds", "20")
	ctx, cancel := context.WithTimeout(t.Context(), callTimeout/3)
	defer cancel()
	if rs, err := c.Reserve(ctx, q, 1); len(rs) != 0 || err != nil || ctx.Err() != nil {
		t.Errorf("Reserve of an empty queue returned %d jobs, %v and %v", len(rs), err, ctx.Err())
	}
}

func TestOptionsThatCanNotBeMeant(t *testing.T) {
	for name, o := range map[string]Options{
		"a lease too short":    {RetryAfter: driver.MinLease - 1},
		"a lease too long":     {RetryAfter: maxVisibility},
		"bodies over SQS's":    {MaxBody: MaxBody + 1},
		"bodies without bytes": {MaxBody: -1},
		"polls too long":       {PollFor: maxPoll + time.Second},
		"polls of no time":     {PollFor: time.Millisecond},
	} {
		if _, err := New(&sqs.Client{}, &o); err == nil {
			t.Errorf("New accepted %s", name)
		}
	}
	if _, err := New(nil, nil); err == nil {
		t.Error("New accepted no client")
	}
	c, err := New(&sqs.Client{}, nil)
	must(t, err)
	if got := c.Traits(); got.Lease != driver.DefaultLease || got.MaxBody != MaxBody {
		t.Errorf("the default traits are %+v", got)
	}
}

func TestPurgedJobsAreNotHandedOut(t *testing.T) {
	c := connect(t, testserver.SQS(t), nil)
	q := name("")
	create(t, c, q)
	push(t, c, q, "1", "2")
	must(t, c.Wait(t.Context(), []string{q}, time.Minute)) // keeps one
	n, err := c.Clear(t.Context(), q)
	if n != 2 || err != nil {
		t.Errorf("Clear returned %d and %v, want 2", n, err)
	}
	if rs := reserve(t, c, q, 10); len(rs) != 0 {
		t.Errorf("%q came after the queue was cleared", bodies(rs))
	}
}

func TestPingNeedsNoRightToList(t *testing.T) {
	c := connect(t, testserver.SQS(t), nil)
	must(t, c.Ping(t.Context()))
	denied := apiFault(t, "AccessDeniedException", "User: x is not authorized to perform: sqs:listqueues")
	if err := denied.Ping(t.Context()); err != nil {
		t.Errorf("Ping of an account that may not list queues: %v", err)
	}
	down := apiFault(t, "InternalError", "We encountered an internal error.")
	down.api = sqs.New(client(down).Options(), func(o *sqs.Options) { o.Retryer = aws.NopRetryer{} })
	if err := down.Ping(t.Context()); err == nil {
		t.Error("Ping of a server that fails returned nil")
	}
}
