package connect

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/spoolq/spool/config"
	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/sqsqueue"
)

// openSQS opens a connection to SQS. Laravel has no retry_after there; without
// one, leases are the driver's own.
func (s *Set) openSQS(ctx context.Context, c *config.Connection, after time.Duration) (driver.Conn, error) {
	o := &sqsqueue.Options{
		Prefix: c.Prefix, Suffix: c.Suffix, RetryAfter: after,
		MessageGroup: c.MessageGroup, ContentDeduplication: c.Deduplication == "content",
		Region: c.Region, Key: c.Key, Secret: c.Secret, Token: c.Token, Endpoint: c.Endpoint,
	}
	if c.Overflow {
		store, err := s.stores.get(ctx, cmp.Or(c.OverflowStore, s.Config.Cache.Default))
		if err != nil {
			return nil, fmt.Errorf("overflow of connection %s: %w", c.Name, err)
		}
		o.Overflow = sqsqueue.Overflow{Store: store, Always: c.OverflowAlways, DeleteAfterProcessing: c.OverflowDelete, FlushOnClear: c.OverflowFlush}
	}
	return sqsqueue.Open(ctx, o)
}
