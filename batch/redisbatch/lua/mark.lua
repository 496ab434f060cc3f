-- Notes that a callback was pushed, or that it has run.
--
-- KEYS[4] callbacks  ARGV[1] its UUID  ARGV[2] p (pushed) or r (ran)
-- Returns how many callbacks were not pushed yet.
local note = redis.call('HGET', KEYS[4], ARGV[1])
if note then
  local event, state, n = string.match(note, '^(.-)|(%w+)|(%d+)$')
  if event and state ~= 'r' then
    redis.call('HSET', KEYS[4], ARGV[1], event .. '|' .. ARGV[2] .. '|' .. n)
  end
end
local left = 0
for _, v in ipairs(redis.call('HVALS', KEYS[4])) do
  if string.match(v, '|%d+|') then
    left = left + 1
  end
end
return left
