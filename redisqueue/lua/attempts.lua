-- attempts.lua: the part that raises the attempt counter inside a payload.
-- Layouts that count in the payload put it in front of their scripts.
--
-- It never re-encodes: only the number's own bytes change. Laravel's pop script
-- decodes and encodes instead, which turns [] into {}, rounds big integers and
-- reorders keys.

local find, sub, byte, gsub = string.find, string.sub, string.byte, string.gsub

-- closing returns how many more brackets a piece of JSON closes than it opens.
-- The piece must begin outside of a string. Only C loops: payloads may be
-- megabytes, and the server does nothing else meanwhile.
local function closing(text)
  if find(text, '^[^{}%[%]\\]*}$') then return 1 end
  if find(text, '\\', 1, true) then text = gsub(text, '\\.', '') end
  text = gsub(text, '"[^"]*"', '')
  text = gsub(text, '[^{}%[%]]+', '')
  local _, closed = gsub(text, '[}%]]', '')
  return 2 * closed - #text
end

-- value returns where the value behind a colon stands: its first and last
-- byte; 0, 0 if that is an array, an object or nothing.
local function value(s, colon)
  local from = find(s, '[^ \t\r\n]', colon + 1)
  if not from then return 0, 0 end
  local to
  if byte(s, from) == 34 then
    to = find(gsub(sub(s, from), '\\.', '__'), '"', 2, true)
    to = to and from + to - 1
  else
    local _
    _, to = find(s, '^[^%s,{}%[%]"%z]+', from)
  end
  if not to then return 0, 0 end
  return from, to
end

-- locate returns where the value of the last top-level "attempts" stands, as
-- value does; 0, 0 if there is none.
local function locate(s)
  local ends, p = {}, 1
  while true do
    local _, e = find(s, '"attempts"', p, true)
    if not e then break end
    ends[#ends + 1], p = e, e + 1
  end
  -- Decoding is the fastest way to know that the only one is at the top level
  -- (unless the end says so at once). What was decoded is not used further.
  local only = false
  if #ends == 1 and not find(s, '^[^{}%[%]\\]*}$', ends[1] + 1) then
    local ok, doc = pcall(cjson.decode, s)
    if ok and doc.attempts == nil then return 0, 0 end
    only = ok
  end
  -- Whatever stands behind the text "attempts" with both quotes is outside of
  -- a string, so the depth there is what the rest of the document closes.
  local depth, rest = 0, #s
  for i = #ends, 1, -1 do
    local e = ends[i]
    depth, rest = only and 1 or depth + closing(sub(s, e + 1, rest)), e
    if depth == 1 and byte(s, e - 10) ~= 92 then
      local _, colon = find(s, '^[ \t\r\n]*:', e + 1)
      if colon then return value(s, colon) end
    end
  end
  return 0, 0
end

-- scan is locate for documents whose keys may be spelled with \u escapes. No
-- encoder writes letters so, but decoders read them: it walks the document.
local function scan(s)
  -- Escapes are blanked at equal length, so that a string ends at its next quote.
  local t = gsub(s, '\\.', '__')
  local depth, p, from, to = 0, 1, 0, 0
  while true do
    local i = find(t, '["{}%[%]]', p)
    if not i then return from, to end
    local c = byte(t, i)
    p = i + 1
    if c == 123 or c == 91 then
      depth = depth + 1
    elseif c ~= 34 then
      depth = depth - 1
    else
      local j = find(t, '"', p, true)
      if not j then return 0, 0 end
      p = j + 1
      local _, colon = find(t, '^[ \t\r\n]*:', p)
      if depth == 1 and colon and j - i >= 9 then
        local ok, key = pcall(cjson.decode, '[' .. sub(s, i, j) .. ']')
        if ok and key[1] == 'attempts' then from, to = value(s, colon) end
      end
    end
  end
end

-- count returns the attempts that a value's text stands for. What is not a
-- number counts as none, as in PHP; the rest stays in a range that any reader
-- can hold.
local function count(text)
  local n = tonumber((gsub(text, '"', ''))) or 0
  if not (n > 0) then return 0 end
  if n > 999999999 then return 999999999 end
  return math.floor(n)
end

-- odd returns the changed payload and the mark that undoes it when the plain
-- form (see raise) does not say enough.
local function odd(s, from, to, text, n)
  local old = sub(s, from, to)
  return sub(s, 1, from - 1) .. text .. sub(s, to + 1),
    string.format('%d %d %d ', n, from, #text) .. old
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
  local _, brace, digits = find(s, '[,{]"attempts":(%d+)}$', -24)
  local from, to
  if brace then
    from, to = brace - #digits, brace - 1
  else
    -- Laravel 12 and later, and Spool, put the delay behind it.
    local at
    at, _, digits = find(s, ',"attempts":(%d+),"delay":[%dnul]+}$', -48)
    if at then from, to = at + 12, at + 11 + #digits end
  end
  if not from then
    brace = byte(s, -1) == 125 and #s or string.match(s, '^.*()}[ \t\r\n]*$')
    if not brace or not find(s, '^[ \t\r\n]*{') then return s, 0 end
    if find(s, '\\u006', 1, true) or find(s, '\\u007', 1, true) then
      from, to = scan(s)
    else
      from, to = locate(s)
    end
    digits = sub(s, from, to)
  end

  if from > 0 then
    if digits == '0' or #digits < 9 and find(digits, '^[1-9]%d*$') then
      return sub(s, 1, from - 1) .. (digits + 1) .. sub(s, to + 1), from
    end
    local n = count(digits) + 1
    return odd(s, from, to, string.format('%d', n), n)
  end
  -- No usable counter: append one. The last of two equal keys wins everywhere.
  local ok, doc = pcall(cjson.decode, s)
  if not ok then return s, 0 end
  return odd(s, brace, brace - 1, (next(doc) and ',' or '') .. '"attempts":1', 1)
end
