-- push.lua: store jobs some of which are delayed. (Jobs that are ready at once
-- are pushed without a script, see push.go.)
--
-- KEYS[1] ready list   KEYS[2] delayed set   KEYS[3] notify list, if there is one
-- ARGV[1...] pairs: seconds of delay (0: ready now), payload
--
-- Returns how many jobs are ready at once. A key of another type fails before
-- anything is stored; a server out of memory refuses the first write.

redis.call('LLEN', KEYS[1])
redis.call('ZCARD', KEYS[2])
if KEYS[3] then redis.call('LLEN', KEYS[3]) end
local ready, tokens, scored = {}, {}, {}
for i = 1, #ARGV, 2 do
  if tonumber(ARGV[i]) > 0 then
    scored[#scored + 1] = after(ARGV[i])
    scored[#scored + 1] = ARGV[i + 1]
  else
    ready[#ready + 1] = ARGV[i + 1]
    tokens[#tokens + 1] = '1'
  end
end
for i = 1, #scored, 1000 do
  redis.call('ZADD', KEYS[2], unpack(scored, i, math.min(i + 999, #scored)))
end
for i = 1, #ready, 1000 do
  redis.call('RPUSH', KEYS[1], unpack(ready, i, math.min(i + 999, #ready)))
  if KEYS[3] then redis.call('RPUSH', KEYS[3], unpack(tokens, i, math.min(i + 999, #tokens))) end
end
return #ready
