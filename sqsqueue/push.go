package sqsqueue

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"path"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/spoolq/spool/driver"
)

// Push sends the messages in batches of up to ten and 1,048,576 bytes. The ids
// are those that SQS gives. SQS takes or refuses each item of a batch: what it
// couldn't take by its own fault is sent once more, and if an item is still
// refused, no further batch is sent and the error is a [*PushError].
func (c *Conn) Push(ctx context.Context, queue string, ms []driver.Message) ([]string, error) {
	if err := c.check(ctx); err != nil {
		return nil, err
	}
	if err := c.admit(queue, ms); err != nil {
		return nil, err
	}
	if len(ms) == 0 {
		return nil, nil
	}
	url, err := c.url(ctx, queue)
	if err != nil {
		return nil, err
	}
	ids := make([]string, 0, len(ms))
	for len(ids) < len(ms) {
		rest := ms[len(ids):]
		bodies, parked, err := c.park(ctx, rest)
		if err != nil {
			return ids, err
		}
		sent, err := c.sendBatch(ctx, url, c.entries(queue, rest, bodies))
		ids = append(ids, sent.ids...)
		if err == nil && sent.refused == nil {
			continue
		}
		if err == nil {
			c.unpark(ctx, parked, sent)
			err = &PushError{Index: len(ids), Beyond: sent.beyond, Err: sent.refused}
		}
		return ids, err
	}
	return ids, nil
}

// admit refuses what SQS can't carry.
func (c *Conn) admit(queue string, ms []driver.Message) error {
	if err := c.traits.Check(ms); err != nil {
		return err
	}
	fifo := isFIFO(queue)
	for i := range ms {
		if fifo && ms[i].Delay > 0 {
			return &driver.LimitError{Index: i, What: "delay", Have: int64(ms[i].Delay),
				Why: "SQS delays no single message of a FIFO queue: set the delay of the queue itself (DelaySeconds), or use a standard queue"}
		}
		if why := refusedText(ms[i].Body); why != "" {
			return &driver.LimitError{Index: i, What: "text", Why: why}
		}
	}
	return nil
}

// refusedText says why SQS refuses a body of valid UTF-8, "" if it doesn't.
func refusedText(body []byte) string {
	if len(body) == 0 {
		return "SQS refuses an empty body"
	}
	for i, b := range body {
		if b < ' ' && b != '\t' && b != '\n' && b != '\r' {
			return fmt.Sprintf("SQS refuses the character U+%04X (at byte %d): escape it, as JSON does", b, i)
		}
	}
	for _, r := range []rune{'\uFFFE', '\uFFFF'} {
		if i := bytes.IndexRune(body, r); i >= 0 {
			return fmt.Sprintf("SQS refuses the character U+%04X (at byte %d): escape it, as JSON does", r, i)
		}
	}
	return ""
}

// entries makes the entries of one batch of the messages, as many as bodies
// has. The id of an entry is its index.
func (c *Conn) entries(queue string, ms []driver.Message, bodies []string) []types.SendMessageBatchRequestEntry {
	fifo := isFIFO(queue)
	entries := make([]types.SendMessageBatchRequestEntry, len(bodies))
	for i := range entries {
		e := &entries[i]
		e.Id, e.MessageBody = aws.String(strconv.Itoa(i)), &bodies[i]
		e.DelaySeconds = wholeSeconds(ms[i].Delay)
		if group := c.group(queue, fifo, &ms[i]); group != "" {
			e.MessageGroupId = &group
		}
		if !fifo {
			continue
		}
		id := ms[i].Deduplication
		if id == "" && !c.opts.ContentDeduplication {
			id = uuid()
		}
		if id != "" {
			e.MessageDeduplicationId = &id
		}
	}
	return entries
}

// group returns the group of a message, "" for none; on a FIFO queue there must
// be one.
func (c *Conn) group(queue string, fifo bool, m *driver.Message) string {
	group := cmp.Or(m.Group, c.opts.MessageGroup)
	if group == "" && fifo {
		group = path.Base(queue)
	}
	return group
}

// wholeSeconds rounds up.
func wholeSeconds(d time.Duration) int32 {
	return int32(driver.RoundUp(d, time.Second) / time.Second)
}

// sent is the outcome of a batch.
type sent struct {
	ids     []string // of the items before the first that was refused
	beyond  int      // items behind that one which were taken
	refused *EntryError
	all     []string // ids by entry, "" for one that was refused
}

// sendBatch sends a batch. Items that SQS couldn't take by its own fault are
// known not to be stored, and sent once more.
func (c *Conn) sendBatch(ctx context.Context, url string, entries []types.SendMessageBatchRequestEntry) (sent, error) {
	s := sent{all: make([]string, len(entries))}
	refused := make([]*EntryError, len(entries))
	todo := entries
	for try := 0; try < 2 && len(todo) > 0; try++ {
		answer, err := c.api.SendMessageBatch(ctx, &sqs.SendMessageBatchInput{QueueUrl: &url, Entries: todo}, once)
		if err != nil {
			return s.until(refused), told(err)
		}
		for _, e := range answer.Successful {
			if i, ok := index(e.Id, len(entries)); ok {
				s.all[i], refused[i] = aws.ToString(e.MessageId), nil
			}
		}
		todo = nil
		for k := range answer.Failed {
			i, ok := index(answer.Failed[k].Id, len(entries))
			if !ok {
				continue
			}
			if refused[i] = entryError(&answer.Failed[k]); !refused[i].Sender {
				todo = append(todo, entries[i])
			}
		}
	}
	return s.until(refused), nil
}

// until fills in what follows from the outcome of each item.
func (s sent) until(refused []*EntryError) sent {
	first := len(s.all)
	for i, id := range s.all {
		switch {
		case id == "" && first == len(s.all):
			first = i
			if s.refused = refused[i]; s.refused == nil {
				s.refused = &EntryError{Code: "NoAnswer", Message: "SQS said neither that it took nor that it refused it"}
			}
		case id != "" && first < i:
			s.beyond++
		}
	}
	s.ids = s.all[:first]
	return s
}

// index reads the id of an entry.
func index(id *string, n int) (int, bool) {
	i, err := strconv.Atoi(aws.ToString(id))
	return i, err == nil && i >= 0 && i < n
}
