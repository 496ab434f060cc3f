-- attempts.lua: the part that raises the attempt counter inside a payload.
-- Layouts that count in the payload put it in front of their scripts.
--
-- It never re-encodes: only the number's own bytes change. Laravel's pop script
-- decodes and encodes instead, which turns [] into {}, rounds big integers and
-- reorders keys.

local find, sub, byte = string.find, string.sub, string.byte

-- skip returns the position after the string that opens at i, or nil.
local function skip(s, i)
  i = i + 1
  while true do
    i = find(s, '["\\]', i)
    if not i then return nil end
    if byte(s, i) == 34 then return i + 1 end
    i = i + 2
  end
end

-- closes says whether the text from p on ends the document by closing exactly
-- one open object: what stands before p is then a member of the top level.
local function closes(s, p)
  local depth = 0
  while true do
    local i = find(s, '["{}%[%]]', p)
    if not i then return false end
    local c = byte(s, i)
    if c == 34 then
      p = skip(s, i)
      if not p then return false end
    elseif c == 123 or c == 91 then
      depth, p = depth + 1, i + 1
    elseif depth > 0 then
      depth, p = depth - 1, i + 1
    else
      return c == 125 and not find(s, '[^ \t\r\n]', i + 1)
    end
  end
end

-- is_key says whether the string between i and j spells "attempts", escapes
-- resolved.
local function is_key(s, i, j)
  local text = sub(s, i, j)
  if text == '"attempts"' then return true end
  if j - i < 10 or not find(text, '\\u', 1, true) then return false end
  local ok, v = pcall(cjson.decode, '[' .. text .. ']')
  return ok and v[1] == 'attempts'
end

-- scan walks the whole document. It returns whether it is closed like an
-- object, and where the value of the last top-level "attempts" stands (0, 0:
-- there is none; 0, -1: its value is an array or an object).
local function scan(s)
  -- Escapes are blanked at equal length, so that a string ends at its next quote.
  local t = string.gsub(s, '\\.', '__')
  local _, p = find(t, '^[ \t\r\n]*{')
  if not p then return false end
  local depth, from, to = 1, 0, 0
  p = p + 1
  while depth > 0 do
    local i = find(t, '["{}%[%]]', p)
    if not i then return false end
    local c = byte(t, i)
    p = i + 1
    if c == 34 then
      local j = find(t, '"', p, true)
      if not j then return false end
      p = j + 1
      if depth == 1 and j - i >= 9 then
        local _, colon = find(t, '^[ \t\r\n]*:[ \t\r\n]*', p)
        if colon and is_key(s, i, j) then
          local v = byte(t, colon + 1)
          if v == 34 then
            from, to = colon + 1, find(t, '"', colon + 2, true)
            if not to then return false end
            p = to + 1
          elseif v == 123 or v == 91 then
            from, to = 0, -1
          else
            from, to = find(t, '^[^%s,}%]"]+', colon + 1)
            if not from then return false end
          end
        end
      end
    elseif c == 123 or c == 91 then
      depth = depth + 1
    else
      depth = depth - 1
      if depth == 0 and c ~= 125 then return false end
    end
  end
  if find(t, '[^ \t\r\n]', p) then return false end
  return true, from, to
end

-- count returns the attempts that a value's text stands for. What is not a
-- number counts as none, as in PHP; the rest stays in a range that any reader
-- can hold.
local function count(text)
  local n = tonumber((string.gsub(text, '"', ''))) or 0
  if not (n > 0) then return 0 end
  if n > 999999999 then return 999999999 end
  return math.floor(n)
end

-- odd returns the changed payload and the mark that undoes it when the plain
-- form (see raise) does not say enough.
local function odd(s, from, to, text, n)
  local old = sub(s, from, to)
  return sub(s, 1, from - 1) .. text .. sub(s, to + 1),
    string.format('%d %d %d %s', n, from, #text, old)
end

-- raise returns the payload with its attempts one higher, and a mark:
--   an integer p: at byte p (from 1) of the new payload stands the number of
--     this attempt; the old payload had one less there;
--   a string "ATTEMPT FROM LENGTH OLD": at byte FROM stand LENGTH new bytes
--     where the old payload had OLD (to the end of the mark, may be empty);
--   0: the payload is not a JSON object and is unchanged; this is attempt 1.
local function raise(s)
  -- Laravel 8 to 11 end with it, and the end of the document closes the top
  -- level: no search, and no later duplicate that could win.
  local a, b, digits = find(s, '[,{]"attempts":(%d+)}$', -24)
  local from, to
  if a then
    from, to = b - #digits, b - 1
  else
    -- Later versions and Horizon put little behind it: look at the end only.
    local at, p = nil, 1
    while true do
      local i = find(s, '"attempts"', p, true)
      if not i then break end
      at, p = i, i + 10
    end
    if at and byte(s, at - 1) ~= 92 then
      a, b, digits = find(s, '^"attempts"[ \t\r\n]*:[ \t\r\n]*(%d+)[ \t\r\n]*[,}]', at)
      if a then
        local _, e = find(s, '^"attempts"[ \t\r\n]*:[ \t\r\n]*', at)
        from, to = e + 1, e + #digits
        -- A key spelled with \u escapes may still come behind it.
        if find(s, '\\u00[67]', to) or not closes(s, to + 1) then from = nil end
      end
    end
  end
  if from then
    if #digits <= 8 and (byte(digits) ~= 48 or digits == '0') then
      return sub(s, 1, from - 1) .. (digits + 1) .. sub(s, to + 1), from
    end
    local n = count(digits) + 1
    return odd(s, from, to, string.format('%d', n), n)
  end

  local object
  object, from, to = scan(s)
  if not object then return s, 0 end
  if from > 0 then
    local n = count(sub(s, from, to)) + 1
    return odd(s, from, to, string.format('%d', n), n)
  end
  -- No usable counter: append one. The last of two equal keys wins everywhere.
  local ok, doc = pcall(cjson.decode, s)
  if not ok or type(doc) ~= 'table' then return s, 0 end
  local close = find(s, '}[ \t\r\n]*$')
  local text = next(doc) == nil and '"attempts":1' or ',"attempts":1'
  return odd(s, close, close - 1, text, 1)
end
