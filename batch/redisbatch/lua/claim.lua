-- Claims the callbacks of events that may be claimed.
--
-- KEYS[4] callbacks  ARGV[1] now  ARGV[2] until when they are claimed  ARGV[3..] events
-- Returns UUID, event and how often it was claimed, of each.
local wanted = {}
for i = 3, #ARGV do
  wanted[ARGV[i]] = true
end
local claimed = {}
local notes = redis.call('HGETALL', KEYS[4])
for i = 1, #notes, 2 do
  local event, free, n = string.match(notes[i + 1], '^(.-)|(%d+)|(%d+)$')
  if event and wanted[event] and tonumber(free) <= tonumber(ARGV[1]) then
    n = tonumber(n) + 1
    redis.call('HSET', KEYS[4], notes[i], event .. '|' .. ARGV[2] .. '|' .. n)
    claimed[#claimed + 1] = notes[i]
    claimed[#claimed + 1] = event
    claimed[#claimed + 1] = tostring(n)
  end
end
return claimed
