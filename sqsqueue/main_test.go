package sqsqueue

import (
	"context"
	"crypto/rand"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/internal/testserver"
)

func TestMain(m *testing.M) { testserver.Main(m) }

// connect opens a connection to the server at endpoint, with the options
// changed by change.
func connect(t testing.TB, endpoint string, change func(*Options)) *Conn {
	t.Helper()
	o := Options{
		Prefix: endpoint + "/" + testserver.SQSAccount, Region: "eu-west-1", Key: "key", Secret: "secret", Endpoint: endpoint,
		RetryAfter: driver.MinLease, PollFor: time.Second,
	}
	if change != nil {
		change(&o)
	}
	c, err := Open(t.Context(), &o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// create makes a queue of this name, with attributes in pairs, and returns its
// URL.
func create(t testing.TB, c *Conn, name string, attributes ...string) string {
	t.Helper()
	in := &sqs.CreateQueueInput{QueueName: &name, Attributes: map[string]string{}}
	for i := 0; i+1 < len(attributes); i += 2 {
		in.Attributes[attributes[i]] = attributes[i+1]
	}
	answer, err := client(c).CreateQueue(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	return aws.ToString(answer.QueueUrl)
}

// client returns the SDK's client of a connection that Open made.
func client(c *Conn) *sqs.Client {
	if api, ok := c.api.(*altered); ok {
		return api.API.(*sqs.Client)
	}
	return c.api.(*sqs.Client)
}

// name returns a queue name of the test's own.
func name(suffix string) string { return "t-" + strings.ToLower(rand.Text()[:10]) + suffix }

// altered is the real client with some calls looked at, or changed.
type altered struct {
	API
	send    func(*sqs.SendMessageBatchInput) (*sqs.SendMessageBatchOutput, error)
	sends   []*sqs.SendMessageBatchInput
	receive func(*sqs.ReceiveMessageInput)
	change  func(*sqs.ChangeMessageVisibilityBatchInput) (*sqs.ChangeMessageVisibilityBatchOutput, error)
	remove  func(*sqs.DeleteMessageBatchInput) (*sqs.DeleteMessageBatchOutput, error)
}

// alter puts an altered client in front of that of the connection.
func alter(c *Conn) *altered {
	a := &altered{API: c.api}
	c.api = a
	return a
}

func (a *altered) SendMessageBatch(ctx context.Context, in *sqs.SendMessageBatchInput, o ...func(*sqs.Options)) (*sqs.SendMessageBatchOutput, error) {
	a.sends = append(a.sends, in)
	if a.send != nil {
		if out, err := a.send(in); out != nil || err != nil {
			return out, err
		}
	}
	return a.API.SendMessageBatch(ctx, in, o...)
}

func (a *altered) ReceiveMessage(ctx context.Context, in *sqs.ReceiveMessageInput, o ...func(*sqs.Options)) (*sqs.ReceiveMessageOutput, error) {
	if a.receive != nil {
		a.receive(in)
	}
	return a.API.ReceiveMessage(ctx, in, o...)
}

func (a *altered) ChangeMessageVisibilityBatch(ctx context.Context, in *sqs.ChangeMessageVisibilityBatchInput, o ...func(*sqs.Options)) (*sqs.ChangeMessageVisibilityBatchOutput, error) {
	if a.change != nil {
		if out, err := a.change(in); out != nil || err != nil {
			return out, err
		}
	}
	return a.API.ChangeMessageVisibilityBatch(ctx, in, o...)
}

func (a *altered) DeleteMessageBatch(ctx context.Context, in *sqs.DeleteMessageBatchInput, o ...func(*sqs.Options)) (*sqs.DeleteMessageBatchOutput, error) {
	if a.remove != nil {
		if out, err := a.remove(in); out != nil || err != nil {
			return out, err
		}
	}
	return a.API.DeleteMessageBatch(ctx, in, o...)
}

func messages(bodies ...string) []driver.Message {
	ms := make([]driver.Message, len(bodies))
	for i, b := range bodies {
		ms[i] = driver.Message{ID: strconv.Itoa(i), Body: []byte(b)}
	}
	return ms
}

func push(t testing.TB, c *Conn, queue string, bodies ...string) []string {
	t.Helper()
	ids, err := c.Push(t.Context(), queue, messages(bodies...))
	if err != nil {
		t.Fatal("Push:", err)
	}
	return ids
}

func reserve(t testing.TB, c *Conn, queue string, n int) []driver.Reservation {
	t.Helper()
	rs, err := c.Reserve(t.Context(), queue, n)
	if err != nil {
		t.Fatal("Reserve:", err)
	}
	return rs
}

func bodies(rs []driver.Reservation) []string {
	list := make([]string, len(rs))
	for i := range rs {
		list[i] = string(rs[i].Body)
	}
	return list
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
