package rediscache

import (
	"context"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/spoolq/spool/cache"
)

var _ cache.LockLister = (*Store)(nil)

// Locks implements [cache.LockLister]. Where locks and values are in one
// database a lock is a text that is neither a number nor serialized, as the
// values of Laravel's store are.
func (s *Store) Locks(ctx context.Context, prefix string, fn func(cache.Lock) error) error {
	pattern := escapeGlob(s.lockPrefix+prefix) + "*"
	seen := make(map[string]bool) // a key may be met twice, and on a replica too
	for _, node := range s.locks.Nodes() {
		for cursor := uint64(0); ; {
			page, err := node.Do(ctx, node.B().Scan().Cursor(cursor).Match(pattern).Count(1000).Build()).AsScanEntry()
			if err != nil {
				return err
			}
			if err := s.eachLock(ctx, page.Elements, seen, fn); err != nil {
				return err
			}
			if cursor = page.Cursor; cursor == 0 {
				break
			}
		}
	}
	return nil
}

// eachLock calls fn for those of the keys that are locks.
func (s *Store) eachLock(ctx context.Context, keys []string, seen map[string]bool, fn func(cache.Lock) error) error {
	commands := make([]rueidis.Completed, 0, 2*len(keys))
	for _, key := range keys {
		commands = append(commands, s.locks.B().Get().Key(key).Build(), s.locks.B().Pttl().Key(key).Build())
	}
	answers := s.locks.DoMulti(ctx, commands...)
	for i, key := range keys {
		owner, err := answers[2*i].ToString()
		if _, other := rueidis.IsRedisErr(err); other || seen[key] { // gone, or of another type
			continue
		}
		if err != nil {
			return err
		}
		left, err := answers[2*i+1].ToInt64()
		if err != nil {
			return err
		}
		if _, value := decode(owner); value || left == -2 || strings.HasPrefix(owner, "N;") {
			continue
		}
		seen[key] = true
		l := cache.Lock{Name: strings.TrimPrefix(key, s.lockPrefix), Owner: owner}
		if left >= 0 {
			l.Ends = time.Now().Add(time.Duration(left) * time.Millisecond)
		}
		if err := fn(l); err != nil {
			return err
		}
	}
	return nil
}

// escapeGlob makes a text mean itself in a pattern.
func escapeGlob(text string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`).Replace(text)
}
