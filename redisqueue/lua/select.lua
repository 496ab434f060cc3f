-- select.lua: reserve.lua for the jobs that are wanted, wherever they stand in
-- the ready list. The others stay where they are.
--
-- KEYS as for reserve.lua
-- ARGV[1...6] as for reserve.lua
-- ARGV[7] how many ready jobs may stand before the last that is looked at
-- ARGV[8] how many are looked at in this call
-- ARGV[9] a ready job up to which all are known to be unwanted; '' if none is
-- ARGV[10] the index (from 0) it had; one behind that is another with its bytes
-- ARGV[11] what stands after a name
-- ARGV[12] how many keys there are, which stand before a name
-- ARGV[13...] those keys, then the names
--
-- Returns what ARGV[9] and ARGV[10] are for the next call, 1 if there is more to
-- look at else 0, then what reserve.lua returns.

move(KEYS[2], KEYS[1], KEYS[4], ARGV[3])
if ARGV[4] == '1' then
  move(KEYS[3], KEYS[1], KEYS[4], ARGV[3], expired)
end

local max, budget, depth = tonumber(ARGV[1]), tonumber(ARGV[5]), tonumber(ARGV[7])
local known, stop = ARGV[9], ARGV[11]
local keys, names = {}, {}
for i = 13, #ARGV do
  if i < 13 + tonumber(ARGV[12]) then keys[#keys + 1] = ARGV[i] else names[ARGV[i]] = true end
end

local function wanted(s)
  for i = 1, #keys do
    local p = 1
    while true do
      local _, e = string.find(s, keys[i], p, true)
      if not e then break end
      local q = string.find(s, stop, e + 1, true)
      if not q then break end
      if names[string.sub(s, e + 1, q - 1)] then return true end
      p = e + 1
    end
  end
  return false
end

-- position returns the index (from 0) of a ready job that was at another, nil if
-- it is gone.
local function position(job, was)
  if redis.call('LINDEX', KEYS[1], was) == job then return tonumber(was) end
  local at = redis.pcall('LPOS', KEYS[1], job, 'MAXLEN', depth)
  if type(at) ~= 'table' then return at or nil end
  for from = 0, depth - 1, 100 do -- Redis before 6.0.6
    local jobs = redis.call('LRANGE', KEYS[1], from, from + 99)
    for i = 1, #jobs do
      if jobs[i] == job then return from + i - 1 end
    end
    if #jobs < 100 then return nil end
  end
end

-- A short job is remembered if there is one: it is sent to and fro.
local short = 4096
local at, known_at = 0, -1
if known ~= '' then
  local now_at = position(known, ARGV[10])
  if now_at and now_at <= tonumber(ARGV[10]) then
    at, known_at = now_at + 1, now_at
  else
    known = ''
  end
end
local ends = lease(ARGV[2], ARGV[6])
local reply, scored, found, bytes, read = {known, 0, 0}, {}, {}, 0, 0
local begun = known_at
local last = math.min(at + tonumber(ARGV[8]), depth)
while at < last and #found < max and bytes < budget and read < budget do
  local n = math.min(100, last - at)
  local jobs = redis.call('LRANGE', KEYS[1], at, at + n - 1)
  for i = 1, #jobs do
    read = read + #jobs[i]
    if wanted(jobs[i]) then
      local member, mark = take(jobs[i])
      found[#found + 1] = at
      local to = 2 * #found + 2
      reply[to], reply[to + 1] = member, mark
      scored[to - 3], scored[to - 2] = ends, member
      bytes = bytes + #member
    elseif #jobs[i] <= short or #known > short or known_at == begun then
      known, known_at = jobs[i], at
    end
    at = at + 1
    if #found == max or bytes >= budget then break end
  end
  if #jobs < n then last = at end
end
if at < depth and redis.call('LINDEX', KEYS[1], at) then reply[3] = 1 end
-- Those that are taken leave its place nearer to the front, or as it was.
reply[1], reply[2] = known, known_at
if #found == 0 then
  -- Whoever looks in vain may have been woken by an element that was meant for
  -- another, e.g. a PHP worker that blocks: it gets one back.
  if KEYS[4] and redis.call('LLEN', KEYS[1]) > redis.call('LLEN', KEYS[4]) then
    redis.pcall('RPUSH', KEYS[4], '1')
  end
  return reply
end

local tokens = KEYS[4] and redis.call('LLEN', KEYS[4]) or 0
redis.call('ZCARD', KEYS[3])
if found[#found] == #found - 1 then
  redis.call('LTRIM', KEYS[1], #found, -1)
else
  -- A write that the server allows when it is out of memory allows the others.
  redis.call('LTRIM', KEYS[1], 0, -1)
  local gone = 'spool: taken, delivery ' .. ends
  for i = 1, #found do redis.call('LSET', KEYS[1], found[i], gone) end
  redis.call('LREM', KEYS[1], #found, gone)
end
for i = 1, #scored, 1000 do
  redis.call('ZADD', KEYS[3], unpack(scored, i, math.min(i + 999, #scored)))
end
if tokens > 0 then
  redis.call('LTRIM', KEYS[4], #found, -1)
end
return reply
