package sqsqueue

import (
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

// held returns n reserved jobs of a new queue.
func held(t *testing.T, c *Conn, n int) (string, []driver.Reservation) {
	t.Helper()
	q := name("")
	create(t, c, q)
	push(t, c, q, slices.Repeat([]string{"a"}, n)...)
	rs := reserve(t, c, q, n)
	if len(rs) != n {
		t.Fatalf("%d jobs were reserved, want %d", len(rs), n)
	}
	return q, rs
}

func verbs(c *Conn, t *testing.T) map[string]func(...driver.Reservation) error {
	return map[string]func(...driver.Reservation) error{
		"Delete":  func(rs ...driver.Reservation) error { return c.Delete(t.Context(), rs) },
		"Release": func(rs ...driver.Reservation) error { return c.Release(t.Context(), rs, 0) },
		"Extend":  func(rs ...driver.Reservation) error { return c.Extend(t.Context(), rs) },
	}
}

// What this process knows to have ended is refused without asking SQS, whose
// receipts of standard queues fence by best effort only.
func TestWhatHasEndedIsLost(t *testing.T) {
	c := connect(t, testserver.SQS(t), nil)
	for first, settle := range verbs(c, t) {
		if first == "Extend" {
			continue
		}
		for second, again := range verbs(c, t) {
			_, rs := held(t, c, 1)
			must(t, settle(rs...))
			if err := again(rs...); !errors.Is(driver.ItemError(err, 0), driver.ErrLost) {
				t.Errorf("%s after %s: %v, want ErrLost", second, first, err)
			}
		}
	}
	for verb, do := range verbs(c, t) {
		_, rs := held(t, c, 3)
		rs[1].Receipt.(*receipt).ends = time.Now() // as if its lease were over
		foreign := driver.Reservation{Receipt: "of another driver"}
		err := do(append(rs, foreign, driver.Reservation{})...)
		want := []bool{false, verb != "Delete", false, true, true}
		for i, lost := range want {
			if e := driver.ItemError(err, i); errors.Is(e, driver.ErrLost) != lost || !lost && e != nil {
				t.Errorf("%s of item %d: %v; lost should be %v", verb, i, e, lost)
			}
		}
	}
}

// SQS's own refusals of receipts are ErrLost, others are told as they are, and
// neither fails the mates.
func TestPartOfABatchNotSettled(t *testing.T) {
	refusals := []struct {
		code, message string
		lost          bool
	}{
		{"ReceiptHandleIsInvalid", "The input receipt handle is invalid.", true},
		{"AWS.SimpleQueueService.MessageNotInflight", "", true},
		{"InvalidParameterValue", "Value x for parameter ReceiptHandle is invalid. Reason: The receipt handle has expired.", true},
		{"InvalidParameterValue", "Value 90 for parameter VisibilityTimeout is invalid. Reason: Total VisibilityTimeout for the message is beyond the limit [43200 seconds]", true},
		{"InternalError", "We encountered an internal error. Please try again.", false},
	}
	failed := make([]types.BatchResultErrorEntry, len(refusals))
	for i, r := range refusals {
		failed[i] = types.BatchResultErrorEntry{Id: aws.String(string(rune('0' + 2*i))), Code: aws.String(r.code), Message: aws.String(r.message)}
	}
	for _, verb := range []string{"Delete", "Release", "Extend"} {
		c := connect(t, testserver.SQS(t), nil)
		_, rs := held(t, c, 25)
		calls := alter(c)
		batches := 0
		nth := func() bool { batches++; return batches == 2 }
		calls.change = func(*sqs.ChangeMessageVisibilityBatchInput) (*sqs.ChangeMessageVisibilityBatchOutput, error) {
			if nth() {
				return &sqs.ChangeMessageVisibilityBatchOutput{Failed: failed}, nil
			}
			return nil, nil
		}
		calls.remove = func(*sqs.DeleteMessageBatchInput) (*sqs.DeleteMessageBatchOutput, error) {
			if nth() {
				return &sqs.DeleteMessageBatchOutput{Failed: failed}, nil
			}
			return nil, nil
		}
		err := verbs(c, t)[verb](rs...)
		for i := range rs {
			e, k := driver.ItemError(err, i), i-10
			if k < 0 || k > 8 || k%2 == 1 {
				if e != nil {
					t.Errorf("%s: item %d failed with its mates: %v", verb, i, e)
				}
				continue
			}
			want := refusals[k/2]
			if e == nil || errors.Is(e, driver.ErrLost) != want.lost {
				t.Errorf("%s: %s %q is told as %v", verb, want.code, want.message, e)
			}
		}
	}
}

// A request that fails leaves the outcome of its ten items unknown, and is no
// reason not to settle the others.
func TestABatchWithoutAnswer(t *testing.T) {
	c := connect(t, testserver.SQS(t), nil)
	q, rs := held(t, c, 25)
	lost := errors.New("connection reset")
	batches := 0
	alter(c).remove = func(*sqs.DeleteMessageBatchInput) (*sqs.DeleteMessageBatchOutput, error) {
		if batches++; batches == 2 {
			return nil, lost
		}
		return nil, nil
	}
	err := c.Delete(t.Context(), rs)
	for i := range rs {
		if e := driver.ItemError(err, i); errors.Is(e, lost) != (i >= 10 && i < 20) {
			t.Errorf("item %d: %v", i, e)
		}
	}
	must(t, c.Delete(t.Context(), rs[10:20])) // can be repeated
	if s, err := c.Size(t.Context(), q); err != nil || s.Total() != 0 {
		t.Errorf("the size is %+v (%v), want nothing", s, err)
	}
}

// A release may be longer than a push may be delayed, up to what is left of
// twelve hours.
func TestReleaseUpToTwelveHours(t *testing.T) {
	c := connect(t, testserver.SQS(t), nil)
	_, rs := held(t, c, 3)
	calls := alter(c)
	var asked []int32
	calls.change = func(in *sqs.ChangeMessageVisibilityBatchInput) (*sqs.ChangeMessageVisibilityBatchOutput, error) {
		for _, e := range in.Entries {
			asked = append(asked, e.VisibilityTimeout)
		}
		return nil, nil
	}
	must(t, c.Release(t.Context(), rs[:1], 11*time.Hour+1))
	if !slices.Equal(asked, []int32{11*3600 + 1}) {
		t.Errorf("SQS was asked for %v seconds", asked)
	}
	var limit *driver.LimitError
	err := c.Release(t.Context(), rs[1:], maxVisibility+1)
	if !errors.As(err, &limit) || limit.What != "delay" || limit.Max != int64(maxVisibility) {
		t.Errorf("a release for over twelve hours: %v", err)
	}
	r := rs[1].Receipt.(*receipt)
	r.received = r.received.Add(-2 * time.Hour)
	err = c.Release(t.Context(), rs[1:], 11*time.Hour)
	if e := driver.ItemError(err, 0); !errors.As(e, &limit) || limit.Max > int64(10*time.Hour) || limit.Max < int64(10*time.Hour-time.Minute) {
		t.Errorf("a release for 11 h, 2 h after the receive: %v", e)
	}
	if e := driver.ItemError(err, 1); e != nil {
		t.Errorf("its mate: %v", e)
	}
	must(t, c.Release(t.Context(), rs[1:2], time.Duration(limit.Max))) // what is left can be had
}

func TestExtendUpToTwelveHours(t *testing.T) {
	c := connect(t, testserver.SQS(t), nil)
	_, rs := held(t, c, 2)
	r := rs[0].Receipt.(*receipt)
	r.received = r.received.Add(-maxVisibility + c.Traits().Lease - time.Millisecond)
	err := c.Extend(t.Context(), rs)
	if e := driver.ItemError(err, 0); !errors.Is(e, driver.ErrLost) || !strings.Contains(e.Error(), "12 h") {
		t.Errorf("Extend when less than a lease of twelve hours is left: %v", e)
	}
	if e := driver.ItemError(err, 1); e != nil {
		t.Errorf("its mate: %v", e)
	}
	must(t, c.Delete(t.Context(), rs))
}
