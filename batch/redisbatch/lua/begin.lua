-- Says whether a callback may run that was pushed after its nth claim.
--
-- KEYS[4] callbacks  ARGV[1] its UUID  ARGV[2] n
-- Returns 1 or 0.
local note = redis.call('HGET', KEYS[4], ARGV[1])
if not note then
  return 1
end
local event, state, n = string.match(note, '^(.-)|(%w+)|(%d+)$')
if not event or n ~= ARGV[2] or state == 'r' then
  return 0
end
redis.call('HSET', KEYS[4], ARGV[1], event .. '|p|' .. n)
return 1
