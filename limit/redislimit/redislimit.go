// Package redislimit keeps the limits of package limit in Redis as Laravel's
// Redis::throttle and Redis::funnel do: without a cache, under the client's
// prefix. Its middleware are Laravel's RateLimitedWithRedis and
// ThrottlesExceptionsWithRedis.
//
// The source of its keys is Laravel's Illuminate\Redis\Limiters: a throttle is a
// hash of start, end and count, which lives for two windows; the slots of a
// funnel are keys that hold their holder's id.
package redislimit

import (
	"context"
	"strconv"
	"time"

	"github.com/redis/rueidis"

	"github.com/spoolq/spool/cache/rediscache"
	"github.com/spoolq/spool/limit"
)

// In returns the store that client leads to; prefix is that of the client in
// Laravel's settings, e.g. "laravel_database_". It doesn't close the client.
//
// In a cluster several limits are taken one after the other, and given back if
// one is used up: for that moment there is less room than there could be, never
// more. A funnel of Laravel 13 has its name in braces there: "{name}".
func In(client rueidis.Client, prefix string) *limit.Store {
	return &limit.Store{
		Counter: &counter{client, prefix},
		Locks:   rediscache.New(client, &rediscache.Options{Prefix: prefix}),
	}
}

// counter counts as Illuminate\Redis\Limiters\DurationLimiter does. The clock is
// the server's, so that all agree.
type counter struct {
	client rueidis.Client
	prefix string
}

var _ limit.Counter = (*counter)(nil)

// count counts one towards each limit, or none.
//
// KEYS the limits   ARGV[1] 1 to count, 0 to look   ARGV[2i] max of limit i   ARGV[2i+1] seconds of its window
// Returns 0, or for how many milliseconds a limit is used up.
const count = `
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local wait, open = 0, {}
for i, key in ipairs(KEYS) do
  local max, per = tonumber(ARGV[2 * i]), tonumber(ARGV[2 * i + 1])
  local stop = tonumber(redis.call('HGET', key, 'end') or '')
  if stop and now <= stop then
    open[i] = tonumber(redis.call('HGET', key, 'count') or '') or 0
  end
  if max <= 0 then
    wait = math.max(wait, per)
  elseif open[i] and open[i] >= max then
    wait = math.max(wait, math.min(stop - now + 0.001, per))
  end
end
if wait > 0 then
  return math.ceil(wait * 1000)
end
if ARGV[1] == '1' then
  for i, key in ipairs(KEYS) do
    if open[i] then
      redis.call('HSET', key, 'count', open[i] + 1)
    else
      local per = tonumber(ARGV[2 * i + 1])
      redis.call('HSET', key, 'start', time[1], 'end', string.format('%d', tonumber(time[1]) + per), 'count', 1)
      redis.call('EXPIRE', key, per * 2)
    end
  end
end
return 0
`

// uncount takes one back.
//
// KEYS[1] the limit
const uncount = `
local used = tonumber(redis.call('HGET', KEYS[1], 'count') or '') or 0
if used > 0 then
  redis.call('HSET', KEYS[1], 'count', used - 1)
end
return 0
`

// join joins a line that ends with its window.
//
// KEYS[1] the line   ARGV[1] milliseconds that are left
// Returns how many are in it.
const join = `
local n = redis.call('INCR', KEYS[1])
if n == 1 then
  redis.call('PEXPIRE', KEYS[1], ARGV[1])
end
return n
`

// Take implements [limit.Counter].
func (c *counter) Take(ctx context.Context, limits ...limit.Limit) (time.Duration, error) {
	if c.client.Mode() != rueidis.ClientModeCluster || len(limits) == 1 {
		return c.count(ctx, true, limits)
	}
	if wait, err := c.Wait(ctx, limits...); wait > 0 || err != nil {
		return wait, err
	}
	for i, l := range limits {
		wait, err := c.count(ctx, true, []limit.Limit{l})
		if wait == 0 && err == nil {
			continue
		}
		for _, taken := range limits[:i] {
			// What can't be taken back ends with its window.
			_ = c.eval(context.WithoutCancel(ctx), uncount, []string{c.prefix + taken.Key}).Error()
		}
		return wait, err
	}
	return 0, nil
}

// Wait implements [limit.Counter].
func (c *counter) Wait(ctx context.Context, limits ...limit.Limit) (wait time.Duration, err error) {
	if c.client.Mode() != rueidis.ClientModeCluster {
		return c.count(ctx, false, limits)
	}
	for _, l := range limits {
		one, err := c.count(ctx, false, []limit.Limit{l})
		if err != nil {
			return 0, err
		}
		wait = max(wait, one)
	}
	return wait, nil
}

func (c *counter) count(ctx context.Context, take bool, limits []limit.Limit) (time.Duration, error) {
	keys, args := make([]string, len(limits)), []string{"0"}
	if take {
		args[0] = "1"
	}
	for i, l := range limits {
		keys[i] = c.prefix + l.Key
		args = append(args, strconv.Itoa(l.Max), strconv.FormatInt(int64(max((l.Per+time.Second-1)/time.Second, 1)), 10))
	}
	ms, err := c.eval(ctx, count, keys, args...).ToInt64()
	return time.Duration(ms) * time.Millisecond, err
}

// Line implements [limit.Counter].
func (c *counter) Line(ctx context.Context, l limit.Limit, left time.Duration) (int, error) {
	n, err := c.eval(ctx, join, []string{c.prefix + l.Key + ":line"}, strconv.FormatInt(max(left.Milliseconds(), 1), 10)).ToInt64()
	return int(n), err
}

// Clear implements [limit.Counter].
func (c *counter) Clear(ctx context.Context, key string) error {
	return c.client.Do(ctx, c.client.B().Del().Key(c.prefix+key).Build()).Error()
}

// eval sends the whole text, which is hardly longer than its name would be.
func (c *counter) eval(ctx context.Context, script string, keys []string, args ...string) rueidis.RedisResult {
	return c.client.Do(ctx, c.client.B().Eval().Script(script).Numkeys(int64(len(keys))).Key(keys...).Arg(args...).Build())
}
