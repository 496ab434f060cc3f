-- held.lua: the part that tells one delivery from the next.
--
-- A member of the reserved set may be reserved again with identical bytes: when
-- a server that didn't know of the first delivery (a promoted replica, one that
-- crashed) hands the job out anew. So each delivery has a mark, 1 to 999999,
-- which is the fraction of its score in millionths. PHP compares scores with
-- whole seconds and writes whole seconds itself, which is no mark at all.

-- lease returns, as text, the first moment with this mark that is at least so
-- many seconds from now.
local function lease(seconds, mark)
  local at = now + tonumber(seconds)
  local whole = math.floor(at)
  if whole + tonumber(mark) / 1000000 < at then whole = whole + 1 end
  return string.format('%d.%06d', whole, mark)
end

-- held says whether the member is reserved by the delivery with this mark.
local function held(set, member, mark)
  local score = redis.call('ZSCORE', set, member)
  return score and math.floor(tonumber(score) % 1 * 1000000 + 0.5) == tonumber(mark)
end
