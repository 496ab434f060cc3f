-- due.lua: how long until Reserve may find a job.
--
-- KEYS: for each queue its ready list, delayed set and reserved set
-- ARGV[1] "1": expired reservations count too
--
-- Returns milliseconds: 0 when there is a job now, -1 when none is in sight.

local least = -1
local function sooner(set)
  local first = redis.call('ZRANGE', set, 0, 0, 'WITHSCORES')
  if not first[2] then return end
  local ms = math.max(0, math.ceil((tonumber(first[2]) - now) * 1000))
  if least < 0 or ms < least then least = ms end
end
for i = 1, #KEYS, 3 do
  if redis.call('LLEN', KEYS[i]) > 0 then return 0 end
  sooner(KEYS[i + 1])
  if ARGV[1] == '1' then sooner(KEYS[i + 2]) end
end
return least
