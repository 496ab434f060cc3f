package sqsqueue

import (
	"context"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
)

const fifoSuffix = ".fifo"

func isFIFO(queue string) bool { return strings.HasSuffix(queue, fifoSuffix) }

func isURL(queue string) bool {
	return strings.HasPrefix(queue, "https://") || strings.HasPrefix(queue, "http://")
}

// suffixed appends the suffix to a queue's name, before ".fifo", unless it is
// there.
func suffixed(name, suffix string) string {
	name, fifo := strings.CutSuffix(name, fifoSuffix)
	if !strings.HasSuffix(name, suffix) {
		name += suffix
	}
	if fifo {
		name += fifoSuffix
	}
	return name
}

// unsuffixed undoes suffixed; ok is false for a name without the suffix, which
// is a queue of somebody else.
func unsuffixed(name, suffix string) (_ string, ok bool) {
	name, fifo := strings.CutSuffix(name, fifoSuffix)
	name, ok = strings.CutSuffix(name, suffix)
	if fifo {
		name += fifoSuffix
	}
	return name, ok
}

// url returns the URL of a queue.
func (c *Conn) url(ctx context.Context, queue string) (string, error) {
	if isURL(queue) {
		return queue, nil
	}
	name := suffixed(queue, c.opts.Suffix)
	if c.opts.Prefix != "" {
		return strings.TrimRight(c.opts.Prefix, "/") + "/" + name, nil
	}
	if url, ok := c.names.Load(name); ok {
		return url.(string), nil
	}
	answer, err := c.api.GetQueueUrl(ctx, &sqs.GetQueueUrlInput{QueueName: &name})
	if err != nil {
		return "", told(err)
	}
	url := aws.ToString(answer.QueueUrl)
	c.names.Store(name, url)
	return url, nil
}
