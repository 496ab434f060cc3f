package connect

import (
	"cmp"
	"context"
	"time"

	"github.com/spoolq/spool/cache"
	"github.com/spoolq/spool/limit"
	"github.com/spoolq/spool/limit/redislimit"
)

// Limits returns the limits in the cache store in use, where middleware of
// package limit have them anyway.
func (s *Set) Limits(ctx context.Context) (*limit.Store, error) {
	store, err := s.Cache(ctx)
	if err != nil {
		return nil, err
	}
	return limit.In(store), nil
}

// RedisLimits returns the limits that Laravel's Redis::throttle and Redis::funnel
// have on a Redis connection; "" means "default".
func (s *Set) RedisLimits(ctx context.Context, name string) (*limit.Store, error) {
	client, err := s.Redis(ctx, name)
	if err != nil {
		return nil, err
	}
	return redislimit.In(client, s.Config.Redis[cmp.Or(name, "default")].Prefix), nil
}

// later is the cache store in use, opened when it is first used: most programs
// dispatch no unique jobs.
type later struct {
	open func(ctx context.Context) (Cache, error)
}

var (
	_ Cache           = later{}
	_ cache.AnyLocker = later{}
)

func (s *Set) later() later { return later{s.Cache} }

// asked calls fn with the store.
func asked[T any](ctx context.Context, l later, fn func(c Cache) (T, error)) (v T, err error) {
	c, err := l.open(ctx)
	if err != nil {
		return v, err
	}
	return fn(c)
}

// Many implements [cache.Store].
func (l later) Many(ctx context.Context, keys ...string) (map[string]string, error) {
	return asked(ctx, l, func(c Cache) (map[string]string, error) { return c.Many(ctx, keys...) })
}

// Put implements [cache.Store].
func (l later) Put(ctx context.Context, key string, value any, ttl time.Duration) error {
	_, err := asked(ctx, l, func(c Cache) (bool, error) { return true, c.Put(ctx, key, value, ttl) })
	return err
}

// Add implements [cache.Store].
func (l later) Add(ctx context.Context, key string, value any, ttl time.Duration) (bool, error) {
	return asked(ctx, l, func(c Cache) (bool, error) { return c.Add(ctx, key, value, ttl) })
}

// Increment implements [cache.Store].
func (l later) Increment(ctx context.Context, key string, by int64, ttl time.Duration) (int64, error) {
	return asked(ctx, l, func(c Cache) (int64, error) { return c.Increment(ctx, key, by, ttl) })
}

// Forget implements [cache.Store].
func (l later) Forget(ctx context.Context, key string) error {
	_, err := asked(ctx, l, func(c Cache) (bool, error) { return true, c.Forget(ctx, key) })
	return err
}

// Acquire implements [cache.Locker].
func (l later) Acquire(ctx context.Context, name, owner string, ttl time.Duration) (bool, error) {
	return asked(ctx, l, func(c Cache) (bool, error) { return c.Acquire(ctx, name, owner, ttl) })
}

// AcquireAny implements [cache.AnyLocker].
func (l later) AcquireAny(ctx context.Context, names []string, owner string, ttl time.Duration) (int, error) {
	return asked(ctx, l, func(c Cache) (int, error) { return cache.AcquireAny(ctx, c, names, owner, ttl) })
}

// Release implements [cache.Locker].
func (l later) Release(ctx context.Context, name, owner string) (bool, error) {
	return asked(ctx, l, func(c Cache) (bool, error) { return c.Release(ctx, name, owner) })
}

// ForceRelease implements [cache.Locker].
func (l later) ForceRelease(ctx context.Context, name string) error {
	_, err := asked(ctx, l, func(c Cache) (bool, error) { return true, c.ForceRelease(ctx, name) })
	return err
}

// Owner implements [cache.Locker].
func (l later) Owner(ctx context.Context, name string) (string, error) {
	return asked(ctx, l, func(c Cache) (string, error) { return c.Owner(ctx, name) })
}
