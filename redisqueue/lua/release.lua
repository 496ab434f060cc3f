-- release.lua: hand reservations back, the attempt counted, if it is only now
-- (counted.lua), by released.
--
-- KEYS[1] reserved set   KEYS[2] delayed set
-- ARGV[1] seconds of delay
-- ARGV[2...] pairs: member of the reserved set, mark of the delivery (held.lua)
--
-- Returns the indices (from 0) of those that are not held any more; nothing is
-- written for those. Laravel's own script adds them even so, which makes a
-- second copy of a job that somebody else holds.

redis.call('ZCARD', KEYS[2])
local at, lost = after(ARGV[1]), {}
for i = 2, #ARGV, 2 do
  if held(KEYS[1], ARGV[i], ARGV[i + 1]) then
    redis.call('ZREM', KEYS[1], ARGV[i])
    redis.call('ZADD', KEYS[2], at, released and released(ARGV[i]) or ARGV[i])
  else
    lost[#lost + 1] = i / 2 - 1
  end
end
return lost
