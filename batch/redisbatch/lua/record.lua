-- Counts the ends of members of one batch.
--
-- KEYS[1] the batch  KEYS[2] who has ended  KEYS[3] who is failing  KEYS[4] callbacks
-- ARGV[1] now        ARGV[2..] UUID of a member and 1 if it failed, else 0, for each end
-- Returns the numbers before and after, or nothing if they have not changed or there is no such batch.
local batch = redis.call('HMGET', KEYS[1], 'total', 'pending', 'failed', 'cancelled', 'finished', 'allow')
if not batch[1] then
  return {}
end
local total, pending, failed = tonumber(batch[1]), tonumber(batch[2]), tonumber(batch[3])
local cancelled, finished = batch[4], batch[5]
local failing = redis.call('ZCARD', KEYS[3])
local function flag(v)
  if v then return 1 end
  return 0
end
local answer = {total, pending, failed, failing, flag(cancelled), flag(finished)}
local uuids, had = {}, {}
for i = 2, #ARGV, 2 do
  uuids[#uuids + 1] = ARGV[i]
end
for i, was in ipairs(redis.call('HMGET', KEYS[2], unpack(uuids))) do
  had[uuids[i]] = was
end
local ended = {}
for i = 2, #ARGV, 2 do
  local uuid, bad = ARGV[i], ARGV[i + 1] == '1'
  local was = had[uuid]
  if bad and not was then
    failed = failed + 1
    failing = failing + 1
    redis.call('ZADD', KEYS[3], failed, uuid)
    had[uuid] = '1'
    if batch[6] ~= '1' then
      cancelled, finished = cancelled or ARGV[1], finished or ARGV[1]
    end
  elseif not bad and was ~= '0' then
    if was then
      failing = failing - 1
      redis.call('ZREM', KEYS[3], uuid)
    end
    had[uuid] = '0'
    if pending > 0 then
      pending = pending - 1
    end
    if pending == 0 then
      finished = ARGV[1]
    end
  else
    uuid = nil
  end
  if uuid then
    ended[#ended + 1] = uuid
    ended[#ended + 1] = had[uuid]
  end
end
if #ended == 0 then
  return {}
end
redis.call('HSET', KEYS[2], unpack(ended))
redis.call('HSET', KEYS[1], 'pending', pending, 'failed', failed)
if cancelled then
  redis.call('HSET', KEYS[1], 'cancelled', cancelled)
end
if finished then
  redis.call('HSET', KEYS[1], 'finished', finished)
end
for _, n in ipairs({total, pending, failed, failing, flag(cancelled), flag(finished)}) do
  answer[#answer + 1] = n
end
return answer
