-- delete.lua: remove reserved jobs for good.
--
-- KEYS[1] reserved set
-- ARGV[1...] pairs: member of the reserved set, mark of the delivery (held.lua)
--
-- Returns the indices (from 0) of those that are not held any more.

local lost = {}
for i = 1, #ARGV, 2 do
  if held(KEYS[1], ARGV[i], ARGV[i + 1]) then
    redis.call('ZREM', KEYS[1], ARGV[i])
  else
    lost[#lost + 1] = (i - 1) / 2
  end
end
return lost
