-- clock.lua: the one clock of all scripts, the server's.
--
-- PHP writes scores from the clocks of its own hosts. Scripts that ask the
-- server agree among themselves whatever those clocks say, so that no worker
-- takes another's lease early because its own clock runs fast.

local clock = redis.call('TIME')
local now = tonumber(clock[1]) + tonumber(clock[2]) / 1000000

-- after returns the score of a moment this many seconds from now. Scores are
-- whole seconds, rounded up: neither a delay nor a lease is ever shorter than
-- promised, and PHP, which compares whole seconds, is never early.
local function after(seconds)
  seconds = tonumber(seconds)
  if seconds <= 0 then return tonumber(clock[1]) end
  return math.ceil(now + seconds)
end
