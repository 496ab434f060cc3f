package sqsqueue

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/internal/testserver"
)

// Batches have ten items and 1,048,576 bytes at most, and no fewer than fit.
func TestBatches(t *testing.T) {
	kib := func(n int) string { return strings.Repeat("x", n<<10) }
	for what, c := range map[string]struct {
		bodies []string
		want   []int // items of each request
	}{
		"items":           {slices.Repeat([]string{"a"}, 23), []int{10, 10, 3}},
		"just a batch":    {slices.Repeat([]string{"a"}, 10), []int{10}},
		"just the size":   {[]string{kib(512), kib(512)}, []int{2}},
		"a byte over":     {[]string{kib(512), kib(512) + "x"}, []int{1, 1}},
		"two of the size": {[]string{kib(1024), kib(1024), "a"}, []int{1, 1, 1}},
	} {
		t.Run(what, func(t *testing.T) {
			conn := connect(t, testserver.SQS(t), nil)
			q := name("")
			create(t, conn, q)
			calls := alter(conn)
			ids := push(t, conn, q, c.bodies...)
			var got []int
			for _, in := range calls.sends {
				got = append(got, len(in.Entries))
			}
			if !slices.Equal(got, c.want) || len(ids) != len(c.bodies) {
				t.Errorf("the batches have %v items, want %v; %d ids", got, c.want, len(ids))
			}
			if n := len(reserve(t, conn, q, 100)); n != len(c.bodies) {
				t.Errorf("%d of %d jobs are stored", n, len(c.bodies))
			}
		})
	}
}

func TestLimitsAreRefusedBeforeAnythingIsStored(t *testing.T) {
	c := connect(t, testserver.SQS(t), func(o *Options) { o.MaxBody = 2048 })
	q := name("")
	create(t, c, q, "MaximumMessageSize", "2048")
	push(t, c, q, strings.Repeat("x", 2048))
	for what, bad := range map[string]driver.Message{
		"body":  {Body: []byte(strings.Repeat("x", 2049))},
		"delay": {Body: []byte("x"), Delay: maxDelay + 1},
		"text":  {},
	} {
		ms := append(messages("1", "2"), bad)
		ids, err := c.Push(t.Context(), q, ms)
		var limit *driver.LimitError
		if !errors.As(err, &limit) || limit.Index != 2 || limit.What != what || len(ids) != 0 {
			t.Errorf("a push over the limit of %s returned %q and %v", what, ids, err)
		} else if limit.Why == "" {
			t.Errorf("the error doesn't say how to mend it: %v", err)
		}
	}
	if n := len(reserve(t, c, q, 10)); n != 1 {
		t.Errorf("%d jobs are stored, want the one within the limits", n)
	}
}

// The driver refuses what SQS refuses, and nothing else: the server is asked
// about the neighbours of every bound.
func TestCharactersThatSQSRefuses(t *testing.T) {
	c := connect(t, testserver.SQS(t), nil)
	q := name("")
	create(t, c, q)
	for _, r := range []rune{
		0, 1, 8, '\t', '\n', 0x0b, 0x0c, '\r', 0x0e, 0x1f, ' ', 0x7f, 0x80, 0x9f, 0xd7ff, 0xe000, 0xfffd, 0xfffe, 0xffff, 0x10000, 0x1f600, 0x10ffff,
	} {
		body := "a" + string(r) + "b"
		answer, err := client(c).SendMessageBatch(t.Context(), &sqs.SendMessageBatchInput{
			QueueUrl: aws.String(mustURL(t, c, q)), Entries: []types.SendMessageBatchRequestEntry{{Id: aws.String("0"), MessageBody: &body}},
		})
		must(t, err)
		takes := len(answer.Failed) == 0
		_, err = c.Push(t.Context(), q, messages("fine", body))
		var limit *driver.LimitError
		switch {
		case takes && err != nil:
			t.Errorf("U+%04X is refused, though SQS takes it: %v", r, err)
		case !takes && (!errors.As(err, &limit) || limit.What != "text" || limit.Index != 1):
			t.Errorf("U+%04X, which SQS refuses, isn't refused as text: %v", r, err)
		case !takes && r != 0 && !strings.Contains(err.Error(), fmt.Sprintf("U+%04X", r)):
			t.Errorf("the error doesn't name U+%04X: %v", r, err)
		}
	}
}

func mustURL(t *testing.T, c *Conn, q string) string {
	t.Helper()
	url, err := c.url(t.Context(), q)
	must(t, err)
	return url
}

// A real refusal of one item of a batch: the queue takes less than SQS does.
func TestPartOfABatchRefused(t *testing.T) {
	c := connect(t, testserver.SQS(t), nil)
	q := name("")
	create(t, c, q, "MaximumMessageSize", "1024")
	calls := alter(c)
	bodies := slices.Repeat([]string{"a"}, 25)
	bodies[13] = strings.Repeat("x", 1025)
	ids, err := c.Push(t.Context(), q, messages(bodies...))
	var e *PushError
	var entry *EntryError
	if !errors.As(err, &e) || !errors.As(err, &entry) || len(ids) != 13 || e.Index != 13 || e.Beyond != 6 || !entry.Sender || !strings.Contains(err.Error(), "1024 bytes") {
		t.Fatalf("Push returned %d ids and %v", len(ids), err)
	}
	if len(calls.sends) != 2 {
		t.Errorf("%d requests were made, want 2: nothing behind a batch that was refused, and no second try of what is at fault", len(calls.sends))
	}
	if n := len(reserve(t, c, q, 100)); n != 19 {
		t.Errorf("%d jobs are stored, want 13 and the 6 beyond", n)
	}
}

// Items that SQS couldn't take by its own fault are sent once more, alone.
func TestPartOfABatchFailed(t *testing.T) {
	for _, times := range []int{1, 2} {
		c := connect(t, testserver.SQS(t), nil)
		q := name("")
		create(t, c, q)
		calls := alter(c)
		failures := 0
		calls.send = func(in *sqs.SendMessageBatchInput) (*sqs.SendMessageBatchOutput, error) {
			if failures >= times {
				return nil, nil
			}
			failures++
			good := *in
			good.Entries = slices.DeleteFunc(slices.Clone(in.Entries), func(e types.SendMessageBatchRequestEntry) bool { return *e.MessageBody == "c" })
			out := &sqs.SendMessageBatchOutput{}
			if len(good.Entries) > 0 {
				var err error
				if out, err = calls.API.SendMessageBatch(t.Context(), &good); err != nil {
					return nil, err
				}
			}
			out.Failed = append(out.Failed, types.BatchResultErrorEntry{Id: aws.String("2"), Code: aws.String("InternalError"), Message: aws.String("try again")})
			return out, nil
		}
		ids, err := c.Push(t.Context(), q, messages("a", "b", "c", "d"))
		stored := sorted(bodies(reserve(t, c, q, 100)))
		if times == 1 {
			if err != nil || len(ids) != 4 || !slices.Equal(stored, []string{"a", "b", "c", "d"}) || len(calls.sends[1].Entries) != 1 {
				t.Errorf("one failure: Push returned %d ids and %v; stored are %q", len(ids), err, stored)
			}
			continue
		}
		var e *PushError
		if !errors.As(err, &e) || len(ids) != 2 || e.Index != 2 || e.Beyond != 1 || !slices.Equal(stored, []string{"a", "b", "d"}) {
			t.Errorf("two failures: Push returned %d ids and %v; stored are %q", len(ids), err, stored)
		}
	}
}

// A request without an answer isn't repeated, and what was stored before is told.
func TestPushWhoseAnswerIsLost(t *testing.T) {
	c := connect(t, testserver.SQS(t), nil)
	q := name("")
	create(t, c, q)
	calls := alter(c)
	lost := errors.New("connection reset")
	calls.send = func(in *sqs.SendMessageBatchInput) (*sqs.SendMessageBatchOutput, error) {
		if len(calls.sends) == 2 {
			if _, err := calls.API.SendMessageBatch(t.Context(), in); err != nil {
				return nil, err
			}
			return nil, lost
		}
		return nil, nil
	}
	ids, err := c.Push(t.Context(), q, messages(slices.Repeat([]string{"a"}, 30)...))
	if len(ids) != 10 || !errors.Is(err, lost) || len(calls.sends) != 2 {
		t.Errorf("Push returned %d ids and %v after %d requests", len(ids), err, len(calls.sends))
	}
	if n := len(reserve(t, c, q, 100)); n != 20 {
		t.Errorf("%d jobs are stored, want 20", n)
	}
}
