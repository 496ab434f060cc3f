-- Adds members to a batch, or takes some away.
--
-- KEYS[1] the batch  KEYS[3] who is failing
-- ARGV[1] how many   ARGV[2] now
-- Returns the numbers before and after, or nothing if there is no such batch.
local batch = redis.call('HMGET', KEYS[1], 'total', 'pending', 'failed', 'cancelled', 'finished')
if not batch[1] then
  return {}
end
local function flag(v)
  if v then return 1 end
  return 0
end
local n = tonumber(ARGV[1])
local total, pending, failed = tonumber(batch[1]), tonumber(batch[2]), tonumber(batch[3])
local failing, finished = redis.call('ZCARD', KEYS[3]), batch[5]
local answer = {total, pending, failed, failing, flag(batch[4]), flag(finished)}
total, pending = total + n, math.max(pending + n, 0)
redis.call('HSET', KEYS[1], 'total', total, 'pending', pending)
if n > 0 then
  finished = nil
  redis.call('HDEL', KEYS[1], 'finished')
elseif pending == 0 then
  finished = ARGV[2]
  redis.call('HSET', KEYS[1], 'finished', finished)
end
for _, v in ipairs({total, pending, failed, failing, flag(batch[4]), flag(finished)}) do
  answer[#answer + 1] = v
end
return answer
