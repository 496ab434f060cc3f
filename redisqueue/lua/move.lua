-- move.lua: the part that makes due jobs ready.

-- move takes up to limit members with a score of now or less from the sorted
-- set and appends them to the ready list, with one notify element for each if
-- the layout has such a list. change, if there is one, makes the payload of each
-- what it is from then on. It returns how many.
local function move(from, ready, notify, limit, change)
  local due = redis.call('ZRANGEBYSCORE', from, '-inf', now, 'LIMIT', 0, limit)
  if #due == 0 then return 0 end
  -- A key of another type fails here, before anything was taken away. The
  -- first write takes away: it is allowed when the server is out of memory,
  -- and those that follow it in the same script are too.
  redis.call('LLEN', ready)
  if notify then redis.call('LLEN', notify) end
  if change then
    for i = 1, #due do due[i] = change(due[i]) end
  end
  redis.call('ZREMRANGEBYRANK', from, 0, #due - 1)
  for i = 1, #due, 500 do
    redis.call('RPUSH', ready, unpack(due, i, math.min(i + 499, #due)))
  end
  if not notify then return #due end
  for i = 1, #due do due[i] = '1' end
  for i = 1, #due, 500 do
    redis.call('RPUSH', notify, unpack(due, i, math.min(i + 499, #due)))
  end
  return #due
end
