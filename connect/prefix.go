package connect

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
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

// laravelQueue is a key of Laravel's queues behind any prefix.
var laravelQueue = regexp.MustCompile(`^(.*)queues:[^:]+(?::(?:delayed|reserved|notify))?$`)

// someKeys is how many keys [Set.OtherPrefixes] looks at, about.
const someKeys = 50_000

// OtherPrefixes returns, as advice, the prefixes under which the Redis database
// of a Laravel queue connection has queues while it has none under the
// connection's own: with a wrong prefix no job is found, and nothing fails. It
// looks at some keys only, and not on a cluster.
func (s *Set) OtherPrefixes(ctx context.Context, connection string) ([]string, error) {
	q, err := s.Config.Connection(connection)
	if err != nil || q.Driver != "redis" || thinks(q) || s.Config.Laravel.Major == 0 {
		return nil, err
	}
	if r := s.Config.Redis[q.Connection]; r == nil || r.Cluster {
		return nil, nil
	}
	client, err := s.Redis(ctx, q.Connection)
	if err != nil {
		return nil, err
	}
	own, others := s.Config.KeyPrefix(q), map[string]bool{}
	const page = 1000
	cursor := uint64(0)
	for range someKeys / page {
		answer, err := client.Do(ctx, client.B().Scan().Cursor(cursor).Match("*queues:*").Count(page).Build()).AsScanEntry()
		if err != nil {
			return nil, fmt.Errorf("looking for queues: %w", err)
		}
		for _, key := range answer.Elements {
			if strings.HasPrefix(key, own+"queues:") {
				return nil, nil
			}
			if m := laravelQueue.FindStringSubmatch(key); m != nil {
				others[m[1]] = true
			}
		}
		if cursor = answer.Cursor; cursor == 0 {
			break
		}
	}
	if len(others) == 0 {
		return nil, nil
	}
	const most = 3
	names := slices.Sorted(maps.Keys(others))
	return []string{fmt.Sprintf("no queue is under the prefix %q, but there are some under %q: with another prefix than the application's no job is found; if one of these is its own, say so by REDIS_PREFIX", own, names[:min(len(names), most)])}, nil
}
