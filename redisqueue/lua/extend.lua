-- extend.lua: make leases end later.
--
-- KEYS[1] reserved set
-- ARGV[1] seconds of lease from now
-- ARGV[2...] pairs: member of the reserved set, mark of the delivery (held.lua)
--
-- Returns the indices (from 0) of those that are not held any more. ZADD XX
-- can't say that: it answers 0 for "gone" and for "same score" alike.

local lost = {}
for i = 2, #ARGV, 2 do
  if held(KEYS[1], ARGV[i], ARGV[i + 1]) then
    redis.call('ZADD', KEYS[1], 'XX', lease(ARGV[1], ARGV[i + 1]), ARGV[i])
  else
    lost[#lost + 1] = i / 2 - 1
  end
end
return lost
