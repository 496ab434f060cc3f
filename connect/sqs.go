package connect

import (
	"context"
	"time"

	"github.com/spoolq/spool/config"
	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/sqsqueue"
)

// openSQS opens a connection to SQS. Laravel has no retry_after there; without
// one, leases are the driver's own.
func (s *Set) openSQS(ctx context.Context, c *config.Connection, after time.Duration) (driver.Conn, error) {
	return sqsqueue.Open(ctx, &sqsqueue.Options{
		Prefix: c.Prefix, Suffix: c.Suffix, RetryAfter: after,
		Region: c.Region, Key: c.Key, Secret: c.Secret, Token: c.Token, Endpoint: c.Endpoint,
	})
}
