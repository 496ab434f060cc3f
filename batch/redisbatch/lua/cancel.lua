-- Cancels a batch.
--
-- KEYS[1] the batch  ARGV[1] now
-- Returns 1 if it wasn't before, 0 if it was, -1 if there is no such batch.
local batch = redis.call('HMGET', KEYS[1], 'total', 'cancelled')
if not batch[1] then
  return -1
end
if batch[2] then
  return 0
end
redis.call('HSET', KEYS[1], 'cancelled', ARGV[1], 'finished', ARGV[1])
return 1
