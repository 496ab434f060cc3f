-- delete.lua: remove reserved jobs for good.
--
-- KEYS[1] reserved set
-- ARGV[1...] members of the reserved set
--
-- Returns the indices (from 0) of the members that were not there any more.

local lost = {}

-- one removes the members from … to one by one.
local function one(from, to)
  for i = from, to do
    if redis.call('ZREM', KEYS[1], ARGV[i]) == 0 then
      lost[#lost + 1] = i - 1
    end
  end
end

-- Looking at all and removing all is faster than asking for each. A member
-- that is given twice is held once: so then they are removed one by one.
for from = 1, #ARGV, 1000 do
  local to = math.min(from + 999, #ARGV)
  local held, twice, seen = redis.pcall('ZMSCORE', KEYS[1], unpack(ARGV, from, to)), false, {}
  for i = from, to do
    twice = twice or seen[ARGV[i]]
    seen[ARGV[i]] = true
  end
  if held.err or twice then -- Redis before 6.2 has no ZMSCORE
    one(from, to)
  else
    for i = 1, #held do
      if not held[i] then lost[#lost + 1] = from + i - 2 end
    end
    redis.call('ZREM', KEYS[1], unpack(ARGV, from, to))
  end
end
return lost
