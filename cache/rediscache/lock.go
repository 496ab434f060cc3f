package rediscache

import (
	"context"
	"strconv"
	"time"

	"github.com/redis/rueidis"

	"github.com/spoolq/spool/cache"
)

// acquire takes a free lock, or starts its time again if it is the owner's.
//
// KEYS[1] the lock   ARGV[1] owner   ARGV[2] seconds, 0 for ever
// Returns 1 if the owner has it now, else 0.
const acquire = `
local seconds = tonumber(ARGV[2])
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then
  return 0
end
if seconds > 0 then
  redis.call('SET', KEYS[1], ARGV[1], 'EX', seconds)
else
  redis.call('SET', KEYS[1], ARGV[1])
end
return 1
`

// release frees a lock that the owner still holds.
//
// KEYS[1] the lock   ARGV[1] owner
// Returns how many locks were freed.
const release = `
if redis.call('GET', KEYS[1]) == ARGV[1] then
  return redis.call('DEL', KEYS[1])
end
return 0
`

// acquireAny takes the first free lock of several.
//
// KEYS the locks   ARGV[1] owner   ARGV[2] seconds, 0 for ever
// Returns its number, or 0 if none is free.
const acquireAny = `
local seconds = tonumber(ARGV[2])
for i, holder in ipairs(redis.call('MGET', unpack(KEYS))) do
  if not holder then
    if seconds > 0 then
      redis.call('SET', KEYS[i], ARGV[1], 'EX', seconds)
    else
      redis.call('SET', KEYS[i], ARGV[1])
    end
    return i
  end
end
return 0
`

// maxAny is how many locks one script looks at: Lua can't unpack many more.
const maxAny = 1000

// AcquireAny implements [cache.AnyLocker]. In a cluster, whose keys may be on
// different nodes, it asks for one lock after the other.
func (s *Store) AcquireAny(ctx context.Context, names []string, owner string, ttl time.Duration) (int, error) {
	seconds, err := cache.Seconds(ttl)
	if err != nil {
		return -1, err
	}
	at := 0
	step := maxAny
	if s.locks.Mode() == rueidis.ClientModeCluster {
		step = 1
	}
	for len(names) > 0 {
		n := min(len(names), step)
		keys := make([]string, n)
		for i, name := range names[:n] {
			keys[i] = s.lockPrefix + name
		}
		i, err := s.locks.Do(ctx, s.locks.B().Eval().Script(acquireAny).Numkeys(int64(n)).Key(keys...).
			Arg(owner, strconv.FormatInt(seconds, 10)).Build()).ToInt64()
		if err != nil {
			return -1, err
		}
		if i > 0 {
			return at + int(i) - 1, nil
		}
		names, at = names[n:], at+n
	}
	return -1, nil
}

// Acquire implements [cache.Locker].
func (s *Store) Acquire(ctx context.Context, name, owner string, ttl time.Duration) (bool, error) {
	seconds, err := cache.Seconds(ttl)
	if err != nil {
		return false, err
	}
	n, err := s.eval(ctx, acquire, name, owner, strconv.FormatInt(seconds, 10)).ToInt64()
	return n > 0, err
}

// Release implements [cache.Locker].
func (s *Store) Release(ctx context.Context, name, owner string) (bool, error) {
	n, err := s.eval(ctx, release, name, owner).ToInt64()
	return n > 0, err
}

// eval sends the whole text, which is hardly longer than its name would be.
func (s *Store) eval(ctx context.Context, script, name string, args ...string) rueidis.RedisResult {
	return s.locks.Do(ctx, s.locks.B().Eval().Script(script).Numkeys(1).Key(s.lockPrefix+name).Arg(args...).Build())
}

// ForceRelease implements [cache.Locker].
func (s *Store) ForceRelease(ctx context.Context, name string) error {
	return s.locks.Do(ctx, s.locks.B().Del().Key(s.lockPrefix+name).Build()).Error()
}

// Owner implements [cache.Locker].
func (s *Store) Owner(ctx context.Context, name string) (string, error) {
	owner, err := s.locks.Do(ctx, s.locks.B().Get().Key(s.lockPrefix+name).Build()).ToString()
	if rueidis.IsRedisNil(err) {
		return "", nil
	}
	return owner, err
}
