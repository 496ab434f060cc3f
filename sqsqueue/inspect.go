package sqsqueue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/smithy-go"

	"github.com/spoolq/spool/driver"
)

// Size returns SQS's estimate, which may lag a minute behind.
func (c *Conn) Size(ctx context.Context, queue string) (driver.Size, error) {
	if err := c.check(ctx); err != nil {
		return driver.Size{}, err
	}
	url, err := c.url(ctx, queue)
	if err != nil {
		return driver.Size{}, err
	}
	return c.size(ctx, url)
}

func (c *Conn) size(ctx context.Context, url string) (driver.Size, error) {
	s := driver.Size{Approximate: true}
	counts := map[types.QueueAttributeName]*int64{
		types.QueueAttributeNameApproximateNumberOfMessages:           &s.Pending,
		types.QueueAttributeNameApproximateNumberOfMessagesDelayed:    &s.Delayed,
		types.QueueAttributeNameApproximateNumberOfMessagesNotVisible: &s.Reserved,
	}
	in := &sqs.GetQueueAttributesInput{QueueUrl: &url}
	for name := range counts {
		in.AttributeNames = append(in.AttributeNames, name)
	}
	answer, err := c.api.GetQueueAttributes(ctx, in)
	if err != nil {
		return driver.Size{}, told(err)
	}
	for name, n := range counts {
		if *n, err = strconv.ParseInt(answer.Attributes[string(name)], 10, 64); err != nil {
			return driver.Size{}, fmt.Errorf("SQS's answer lacks %s: %w", name, err)
		}
	}
	return s, nil
}

// Queues returns the names of queues with the connection's prefix and suffix
// that hold jobs, as far as SQS knows at the moment. It asks for each queue.
func (c *Conn) Queues(ctx context.Context) ([]string, error) {
	if err := c.check(ctx); err != nil {
		return nil, err
	}
	var names []string
	pages := sqs.NewListQueuesPaginator(c.api, &sqs.ListQueuesInput{MaxResults: aws.Int32(1000)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, told(err)
		}
		for _, url := range page.QueueUrls {
			name, ours := c.name(url)
			if !ours {
				continue
			}
			s, err := c.size(ctx, url)
			if gone := (*types.QueueDoesNotExist)(nil); errors.As(err, &gone) {
				continue
			}
			if err != nil {
				return nil, err
			}
			if s.Total() > 0 {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return names, nil
}

// name is the name by which a queue of this URL is known here.
func (c *Conn) name(url string) (string, bool) {
	i := strings.LastIndexByte(url, '/')
	if i < 0 || c.opts.Prefix != "" && url[:i] != strings.TrimRight(c.opts.Prefix, "/") {
		return "", false
	}
	return unsuffixed(url[i+1:], c.opts.Suffix)
}

// Clear purges the queue. The number is the estimate just before. SQS takes up
// to a minute, in which jobs may still be received, and refuses a second purge
// meanwhile. Bodies in the cache stay there unless Overflow.FlushOnClear.
func (c *Conn) Clear(ctx context.Context, queue string) (int64, error) {
	if err := c.check(ctx); err != nil {
		return 0, err
	}
	url, err := c.url(ctx, queue)
	if err != nil {
		return 0, err
	}
	s, err := c.size(ctx, url)
	if err != nil {
		return 0, err
	}
	if _, err := c.api.PurgeQueue(ctx, &sqs.PurgeQueueInput{QueueUrl: &url}, once); err != nil {
		return 0, told(err)
	}
	c.takeAny(url)
	if c.opts.Overflow.FlushOnClear {
		if err := c.opts.Overflow.Store.(flusher).Flush(ctx); err != nil {
			return s.Total(), fmt.Errorf("the queue is cleared, the cache of its large bodies is not: %w", err)
		}
	}
	return s.Total(), nil
}

// Ping checks that SQS answers and accepts the credentials, by listing one
// queue. An account that may not list queues passes.
func (c *Conn) Ping(ctx context.Context) error {
	if err := c.check(ctx); err != nil {
		return err
	}
	_, err := c.api.ListQueues(ctx, &sqs.ListQueuesInput{MaxResults: aws.Int32(1)})
	if coded, ok := errors.AsType[smithy.APIError](err); ok && strings.HasPrefix(plain(coded.ErrorCode()), "AccessDenied") {
		return nil
	}
	return told(err)
}
