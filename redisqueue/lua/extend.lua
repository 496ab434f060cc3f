-- extend.lua: make leases end later.
--
-- KEYS[1] reserved set
-- ARGV[1] seconds of lease from now   ARGV[2...] members of the reserved set
--
-- Returns the indices (from 0) of the members that were not there any more.
-- ZADD XX can't say that: it answers 0 for "gone" and for "same score" alike.

local ends, lost = after(ARGV[1]), {}
for i = 2, #ARGV do
  if redis.call('ZSCORE', KEYS[1], ARGV[i]) then
    redis.call('ZADD', KEYS[1], 'XX', ends, ARGV[i])
  else
    lost[#lost + 1] = i - 2
  end
end
return lost
