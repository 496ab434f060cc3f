-- register.lua: keep the record of a worker for a while.
--
-- KEYS[1] the records: a hash of id to "end of life in seconds, newline, text"
-- ARGV[1] id
-- ARGV[2] seconds
-- ARGV[3] text; without it the record goes
--
-- The hash lives as long as the record that lives longest.

if not ARGV[3] then return redis.call('HDEL', KEYS[1], ARGV[1]) end
local ends = after(ARGV[2])
redis.call('HSET', KEYS[1], ARGV[1], string.format('%d', ends) .. '\n' .. ARGV[3])
local left = ends - tonumber(clock[1])
if redis.call('TTL', KEYS[1]) < left then redis.call('EXPIRE', KEYS[1], left) end
return 1
