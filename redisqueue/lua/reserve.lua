-- reserve.lua: make due jobs ready, then take jobs and count the attempt. What
-- it counts by, take and expired, is the part in front (counted.lua).
--
-- KEYS[1] ready list   KEYS[2] delayed set   KEYS[3] reserved set   KEYS[4] notify list, if any
-- ARGV[1] how many jobs at most
-- ARGV[2] seconds of lease
-- ARGV[3] how many due jobs to move at most, from each set
-- ARGV[4] "1": expired reservations are made ready too
-- ARGV[5] bytes after which no further job is taken
-- ARGV[6] mark of this delivery (held.lua)
--
-- Returns member, mark, member, mark, ... : the members of the reserved set,
-- each with its mark (attempts.lua). Everything that can fail comes
-- before the first write, so no job can be taken and then lost.

move(KEYS[2], KEYS[1], KEYS[4], ARGV[3])
if ARGV[4] == '1' then
  move(KEYS[3], KEYS[1], KEYS[4], ARGV[3], expired)
end

local max, budget = tonumber(ARGV[1]), tonumber(ARGV[5])
local ends = lease(ARGV[2], ARGV[6])
local reply, scored, got, bytes, chunk = {}, {}, 0, 0, 8
while got < max and bytes < budget do
  local k = math.min(chunk, max - got)
  local jobs = redis.call('LRANGE', KEYS[1], got, got + k - 1)
  for i = 1, #jobs do
    local member, mark = take(jobs[i])
    local at = 2 * (got + i)
    reply[at - 1], reply[at] = member, mark
    scored[at - 1], scored[at] = ends, member
    bytes = bytes + #member
  end
  got = got + #jobs
  if #jobs < k then break end
  -- The next chunk is as large as the budget allows for jobs like these.
  chunk = math.max(1, math.min(1000, math.floor((budget - bytes) * got / (bytes + 1))))
end
if got == 0 then return reply end

local tokens = KEYS[4] and redis.call('LLEN', KEYS[4]) or 0
redis.call('ZCARD', KEYS[3])
redis.call('LTRIM', KEYS[1], got, -1)
for i = 1, #scored, 1000 do
  redis.call('ZADD', KEYS[3], unpack(scored, i, math.min(i + 999, #scored)))
end
if tokens > 0 then
  redis.call('LTRIM', KEYS[4], got, -1)
end
return reply
