-- delete.lua: remove reserved jobs for good.
--
-- KEYS[1] reserved set
-- ARGV[1...] members of the reserved set
--
-- Returns the indices (from 0) of the members that were not there any more.

local lost = {}
for i = 1, #ARGV do
  if redis.call('ZREM', KEYS[1], ARGV[i]) == 0 then
    lost[#lost + 1] = i - 1
  end
end
return lost
