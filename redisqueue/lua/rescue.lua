-- rescue.lua: make expired reservations ready again, their attempts kept: what
-- an expired delivery counts is the part in front (counted.lua).
--
-- KEYS[1] ready list   KEYS[2] delayed set   KEYS[3] reserved set   KEYS[4] notify list, if any
-- ARGV[1] how many at most
--
-- Returns how many there were.

return move(KEYS[3], KEYS[1], KEYS[4], ARGV[1], expired)
