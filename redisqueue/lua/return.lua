-- return.lua: undo deliveries, so that each job looks as if it had stayed.
--
-- KEYS[1] reserved set   KEYS[2] delayed set
-- ARGV[1] seconds of delay
-- ARGV[2...] pairs: member of the reserved set, payload before the delivery
--
-- Returns the indices (from 0) of the members that were not there any more;
-- nothing is written for those.

redis.call('ZCARD', KEYS[2])
local at, lost = after(ARGV[1]), {}
for i = 2, #ARGV, 2 do
  if redis.call('ZREM', KEYS[1], ARGV[i]) == 1 then
    redis.call('ZADD', KEYS[2], at, ARGV[i + 1])
  else
    lost[#lost + 1] = i / 2 - 1
  end
end
return lost
