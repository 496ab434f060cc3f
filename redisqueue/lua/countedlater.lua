-- countedlater.lua: counted.lua for layouts whose payload says which delivery is
-- the present or the next one: 1 in a new job, one more each time a job is
-- released or its lease runs out. (think-queue 1 and 2.)

-- number returns what a changed payload and its mark say: the number in it.
local function number(s, mark)
  if mark == 0 then return 0 end
  if type(mark) == 'number' then return tonumber(string.match(s, '^%d+', mark)) end
  return tonumber(string.match(mark, '^%d+'))
end

-- A payload is reserved byte for byte. One without a usable number is on its
-- first delivery; PHP's workers would stumble over it for ever.
local function take(s)
  local n = number(raise(s)) - 1
  return s, string.format('%d 1 0 ', math.max(n, 1))
end

local function again(s)
  local more, mark = raise(s)
  if mark ~= 0 and number(more, mark) < 2 then more = raise(more) end
  return more
end

local expired, released = again, again
