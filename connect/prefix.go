package connect

import (
	"context"
	"fmt"
	"time"

	"github.com/spoolq/spool/config"
	"github.com/spoolq/spool/redisqueue"
)

// HasQueues says whether the Redis server of the default queue connection
// holds jobs of any queue under a prefix. It is false for connections of other
// drivers.
func HasQueues(ctx context.Context, cfg *config.Config, prefix string) (found bool, err error) {
	q, err := cfg.Connection("")
	if err != nil || q.Driver != "redis" {
		return false, err
	}
	s, err := New(cfg, nil)
	if err != nil {
		return false, err
	}
	defer func() { _ = s.Close() }() // nothing was written
	client, err := s.Redis(ctx, q.Connection)
	if err != nil {
		return false, err
	}
	conn, err := redisqueue.New(client, &redisqueue.Options{Prefix: prefix, RetryAfter: time.Minute})
	if err != nil {
		return false, err
	}
	defer func() { _ = conn.Close() }()
	queues, err := conn.Queues(ctx)
	if err != nil {
		return false, fmt.Errorf("looking for queues: %w", err)
	}
	return len(queues) > 0, nil
}
