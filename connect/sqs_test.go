package connect

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/internal/testserver"
	"github.com/spoolq/spool/worker"
)

// A job with a payload over SQS's limit goes through the configured connection
// and its cache, and is retried there.
func TestSQSConnection(t *testing.T) {
	endpoint := testserver.SQS(t)
	client := sqs.New(sqs.Options{
		BaseEndpoint: &endpoint, Region: "eu-west-1", Credentials: credentials.NewStaticCredentialsProvider("key", "secret", ""),
	})
	const queue = "connect-orders-live"
	if _, err := client.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: aws.String(queue)}); err != nil {
		t.Fatal(err)
	}
	s := set(t, `
queue:
  default: sqs
  connections:
    sqs:
      driver: sqs
      key: key
      secret: secret
      region: eu-west-1
      endpoint: `+endpoint+`
      prefix: `+endpoint+"/"+testserver.SQSAccount+`
      suffix: -live
      queue: connect-orders
      retry_after: 30
      overflow: {enabled: true, store: parked}
  failed: {driver: "null"}
cache:
  default: array
  stores:
    parked: {driver: file, path: parked}
`)
	big := strings.Repeat("x", 2<<20)
	ref, err := spool.Push(t.Context(), s.Client, "j", map[string]string{"big": big})
	if err != nil || ref.ID == "" {
		t.Fatalf("push: %+v, %v", ref, err)
	}
	var attempts []int
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	s.Mux.HandleFunc("j", func(_ context.Context, j *spool.Job) error {
		var data struct {
			Big string `json:"big"`
		}
		if err := j.Decode(&data); err != nil || data.Big != big {
			t.Errorf("%d bytes of data came (%v), want %d", len(data.Big), err, len(big))
		}
		if attempts = append(attempts, j.Attempt); j.Attempt < 2 {
			return spool.Release(time.Second)
		}
		cancel()
		return nil
	}, spool.Tries(3))
	conn, err := s.Manager.Connection(ctx, "sqs")
	if err != nil {
		t.Fatal(err)
	}
	o, err := s.WorkerOptions(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := worker.New(conn, s.Mux, o).Run(ctx); err != nil {
		t.Error(err)
	}
	if len(attempts) != 2 || attempts[0] != 1 || attempts[1] != 2 {
		t.Errorf("attempts %v were run, want 1 and 2", attempts)
	}
	size, err := conn.Size(t.Context(), "")
	if err != nil || size.Total() != 0 || !size.Approximate {
		t.Errorf("the size is %+v (%v), want an estimate of nothing", size, err)
	}
}

// A FIFO queue through the settings: the jobs of a group run in order, also
// when one of them fails and while those of others run; a second job of the same
// deduplication id is dropped, and a retried one is in its group again.
func TestSQSGroups(t *testing.T) {
	endpoint := testserver.SQS(t)
	client := sqs.New(sqs.Options{
		BaseEndpoint: &endpoint, Region: "eu-west-1", Credentials: credentials.NewStaticCredentialsProvider("key", "secret", ""),
	})
	answer, err := client.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: aws.String("connect-groups.fifo"), Attributes: map[string]string{"FifoQueue": "true"}})
	if err != nil {
		t.Fatal(err)
	}
	s := set(t, `
queue:
  default: sqs
  connections:
    sqs: {driver: sqs, key: key, secret: secret, region: eu-west-1, endpoint: "`+endpoint+`", queue: connect-groups.fifo,
      prefix: "`+endpoint+"/"+testserver.SQSAccount+`", message_group: everybody}
  failed: {driver: "null"}
cache: {default: array}
`)
	const each = 5
	for n := range each {
		for _, group := range []string{"a", "b"} {
			for range 2 { // the second is dropped
				id := fmt.Sprint(group, n)
				if _, err := spool.Push(t.Context(), s.Client, "j", id, spool.OnGroup(group), spool.Deduplicate(id)); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	var mu sync.Mutex
	var ran []string
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	s.Mux.HandleFunc("j", func(_ context.Context, j *spool.Job) error {
		var id string
		if err := j.Decode(&id); err != nil {
			return err
		}
		if id == "a1" && j.Attempt == 1 {
			return errors.New("not yet")
		}
		mu.Lock()
		defer mu.Unlock()
		if ran = append(ran, id); len(ran) == 2*each {
			cancel()
		}
		return nil
	}, spool.Tries(3), spool.Backoff(time.Second))
	conn, err := s.Manager.Connection(ctx, "sqs")
	if err != nil {
		t.Fatal(err)
	}
	o, err := s.WorkerOptions(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := worker.New(conn, s.Mux, o).Run(ctx); err != nil {
		t.Error(err)
	}
	for _, group := range []string{"a", "b"} {
		mine := slices.DeleteFunc(slices.Clone(ran), func(id string) bool { return id[:1] != group })
		if len(mine) != each || !slices.IsSorted(mine) {
			t.Errorf("of group %s ran %q: want each once, in order", group, mine)
		}
	}
	for want, do := range map[string]func() error{
		"everybody": func() error { _, err := spool.Push(t.Context(), s.Client, "j", 1); return err },
		"a": func() error {
			_, err := conn.PushRaw(t.Context(), "", []byte(`{"uuid":"u","job":"j","data":1,"messageGroup":"a"}`), 0)
			return err
		},
	} {
		if err := do(); err != nil {
			t.Fatal(err)
		}
		got, err := client.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: answer.QueueUrl, WaitTimeSeconds: 5, MessageSystemAttributeNames: []types.MessageSystemAttributeName{"All"}})
		if err != nil || len(got.Messages) != 1 || got.Messages[0].Attributes["MessageGroupId"] != want {
			t.Errorf("a job of group %s: %+v, %v", want, got, err)
		}
	}
}
