package sqsqueue

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/spoolq/spool/driver"
)

// Delete removes the jobs for good. SQS deletes a job of a standard queue with
// an old receipt too, as long as it can: one that ran to its end, if late, isn't
// run again.
func (c *Conn) Delete(ctx context.Context, rs []driver.Reservation) error {
	err := c.settle(ctx, rs, verb{
		admit: func(*receipt, time.Time) error { return nil },
		do: func(url string, batch []*receipt) ([]types.BatchResultErrorEntry, error) {
			entries := make([]types.DeleteMessageBatchRequestEntry, len(batch))
			for i, r := range batch {
				entries[i] = types.DeleteMessageBatchRequestEntry{Id: aws.String(strconv.Itoa(i)), ReceiptHandle: &r.handle}
			}
			answer, err := c.api.DeleteMessageBatch(ctx, &sqs.DeleteMessageBatchInput{QueueUrl: &url, Entries: entries})
			if err != nil {
				return nil, err
			}
			return answer.Failed, nil
		},
		done: func(r *receipt, _ time.Time) { r.settled = true },
	})
	if c.opts.Overflow.Store != nil && c.opts.Overflow.DeleteAfterProcessing {
		for i := range rs {
			if r, ok := rs[i].Receipt.(*receipt); ok && driver.ItemError(err, i) == nil {
				c.forget(ctx, r.pointer)
			}
		}
	}
	return err
}

// Release makes the jobs visible again after delay, up to twelve hours after
// they were received; later is a [driver.LimitError]. SQS puts a job back where
// it was, not behind those that wait: at the head of its group on FIFO queues.
func (c *Conn) Release(ctx context.Context, rs []driver.Reservation, delay time.Duration) error {
	delay = driver.RoundUp(delay, time.Second)
	if delay > maxVisibility {
		if err := c.check(ctx); err != nil {
			return err
		}
		return &driver.LimitError{What: "delay", Have: int64(delay), Max: int64(maxVisibility), Why: visibilityEnds}
	}
	return c.settle(ctx, rs, verb{
		admit: func(r *receipt, now time.Time) error {
			if left := r.left(now); delay > left {
				return &driver.LimitError{What: "delay", Have: int64(delay), Max: int64(left), Why: visibilityEnds}
			}
			return r.held(now)
		},
		do:   c.changeVisibility(ctx, delay, once),
		done: func(r *receipt, _ time.Time) { r.settled = true },
	})
}

const visibilityEnds = "SQS keeps a message hidden for 12 h from its receive at most"

// Extend makes the leases end RetryAfter from now. An item is
// [driver.ErrLost] once that would be more than twelve hours after the receive.
func (c *Conn) Extend(ctx context.Context, rs []driver.Reservation) error {
	lease := c.traits.Lease
	return c.settle(ctx, rs, verb{
		admit: func(r *receipt, now time.Time) error {
			if r.left(now) < lease {
				return fmt.Errorf("%w: %s", driver.ErrLost, visibilityEnds)
			}
			return r.held(now)
		},
		do:   c.changeVisibility(ctx, lease),
		done: func(r *receipt, now time.Time) { r.ends = now.Add(lease) },
	})
}

// left is how long a message can stay hidden.
func (r *receipt) left(now time.Time) time.Duration {
	return r.received.Add(maxVisibility).Sub(now).Truncate(time.Second)
}

// held returns ErrLost if the lease has ended: by then another may hold the
// job, and SQS might change the visibility of its delivery.
func (r *receipt) held(now time.Time) error {
	if !now.Before(r.ends) {
		return driver.ErrLost
	}
	return nil
}

// A verb is what is done to reservations, in batches of ten of one queue.
type verb struct {
	admit func(r *receipt, now time.Time) error // nil if it may be tried; r.mu is held
	do    func(url string, batch []*receipt) ([]types.BatchResultErrorEntry, error)
	done  func(r *receipt, now time.Time) // notes success; r.mu is held
}

func (c *Conn) changeVisibility(ctx context.Context, d time.Duration, how ...func(*sqs.Options)) func(string, []*receipt) ([]types.BatchResultErrorEntry, error) {
	return func(url string, batch []*receipt) ([]types.BatchResultErrorEntry, error) {
		entries := make([]types.ChangeMessageVisibilityBatchRequestEntry, len(batch))
		for i, r := range batch {
			entries[i] = types.ChangeMessageVisibilityBatchRequestEntry{
				Id: aws.String(strconv.Itoa(i)), ReceiptHandle: &r.handle, VisibilityTimeout: wholeSeconds(d),
			}
		}
		answer, err := c.api.ChangeMessageVisibilityBatch(ctx, &sqs.ChangeMessageVisibilityBatchInput{QueueUrl: &url, Entries: entries}, how...)
		if err != nil {
			return nil, err
		}
		return answer.Failed, nil
	}
}

// settle does the verb to those reservations that it admits.
func (c *Conn) settle(ctx context.Context, rs []driver.Reservation, v verb) error {
	if err := c.check(ctx); err != nil {
		return err
	}
	errs := make([]error, len(rs))
	urls, queues := []string(nil), map[string][]int{}
	now := time.Now()
	for i := range rs {
		r, ok := rs[i].Receipt.(*receipt)
		if !ok || r == nil {
			errs[i] = driver.ErrLost
			continue
		}
		if errs[i] = r.admitted(v, now); errs[i] != nil {
			continue
		}
		if queues[r.url] == nil {
			urls = append(urls, r.url)
		}
		queues[r.url] = append(queues[r.url], i)
	}
	for _, url := range urls {
		for items := queues[url]; len(items) > 0; items = items[min(maxBatch, len(items)):] {
			c.settleBatch(rs, errs, url, items[:min(maxBatch, len(items))], v)
		}
	}
	return driver.Outcomes(errs)
}

func (r *receipt) admitted(v verb, now time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.settled {
		return driver.ErrLost
	}
	return v.admit(r, now)
}

// settleBatch does the verb to some reservations of one queue and notes the
// outcome of each.
func (c *Conn) settleBatch(rs []driver.Reservation, errs []error, url string, items []int, v verb) {
	batch := make([]*receipt, len(items))
	for k, i := range items {
		batch[k] = rs[i].Receipt.(*receipt)
	}
	began := time.Now()
	failed, err := v.do(url, batch)
	if err != nil { // unknown for these
		err = told(err)
		for _, i := range items {
			errs[i] = err
		}
		return
	}
	for j := range failed {
		if k, ok := index(failed[j].Id, len(items)); ok {
			errs[items[k]] = outcome(entryError(&failed[j]))
		}
	}
	for k, i := range items {
		if errs[i] == nil {
			batch[k].mu.Lock()
			v.done(batch[k], began)
			batch[k].mu.Unlock()
		}
	}
}

// outcome is how SQS's refusal of an item is told.
func outcome(e *EntryError) error {
	switch {
	case e.handleLost():
		return driver.ErrLost
	case e.overTime():
		return fmt.Errorf("%w: %s", driver.ErrLost, visibilityEnds)
	}
	return e
}
