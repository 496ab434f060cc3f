-- return.lua: undo deliveries, so that each job looks as if it had stayed.
--
-- KEYS[1] reserved set   KEYS[2] delayed set
-- ARGV[1] seconds of delay
-- ARGV[2...] threes: member of the reserved set, mark of the delivery
-- (held.lua), payload before the delivery
--
-- Returns the indices (from 0) of those that are not held any more; nothing is
-- written for those.

redis.call('ZCARD', KEYS[2])
local at, lost = after(ARGV[1]), {}
for i = 2, #ARGV, 3 do
  if held(KEYS[1], ARGV[i], ARGV[i + 1]) then
    redis.call('ZREM', KEYS[1], ARGV[i])
    redis.call('ZADD', KEYS[2], at, ARGV[i + 2])
  else
    lost[#lost + 1] = (i - 2) / 3
  end
end
return lost
