-- registered.lua: the records of workers whose time isn't up.
--
-- KEYS[1] the records, see register.lua
--
-- Returns id, text, id, text, … and drops what has run out.

local found = {}
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  local cut = string.find(all[i + 1], '\n', 1, true)
  local ends = cut and tonumber(string.sub(all[i + 1], 1, cut - 1))
  if ends and ends > now then
    found[#found + 1] = all[i]
    found[#found + 1] = string.sub(all[i + 1], cut + 1)
  else
    redis.call('HDEL', KEYS[1], all[i])
  end
end
return found
