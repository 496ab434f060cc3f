package rediscache

import (
	"context"
	"errors"

	"github.com/redis/rueidis"

	"github.com/spoolq/spool/cache"
)

var _ cache.Flusher = (*Store)(nil)

// Flush implements [cache.Flusher]. It walks the keys of the database in small
// steps, in a cluster those of every node. A store without a prefix is refused:
// everything in the database would be its own.
func (s *Store) Flush(ctx context.Context) error {
	if s.prefix == "" {
		return errors.New("the cache in Redis has no prefix: emptying it would empty the whole database")
	}
	pattern := escapeGlob(s.prefix) + "*"
	for _, node := range s.values.Nodes() {
		for cursor := uint64(0); ; {
			page, err := node.Do(ctx, node.B().Scan().Cursor(cursor).Match(pattern).Count(1000).Build()).AsScanEntry()
			if err != nil {
				return err
			}
			if err := s.unlink(ctx, page.Elements); err != nil {
				return err
			}
			if cursor = page.Cursor; cursor == 0 {
				break
			}
		}
	}
	return nil
}

// unlink removes keys, each where it is.
func (s *Store) unlink(ctx context.Context, keys []string) error {
	commands := make([]rueidis.Completed, len(keys))
	for i, key := range keys {
		commands[i] = s.values.B().Unlink().Key(key).Build()
	}
	for _, answer := range s.values.DoMulti(ctx, commands...) {
		if err := answer.Error(); err != nil {
			return err
		}
	}
	return nil
}
