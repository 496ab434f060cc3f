-- rescue.lua: make expired reservations ready again, their attempts kept.
--
-- KEYS[1] reserved set   KEYS[2] ready list   KEYS[3] notify list
-- ARGV[1] how many at most
--
-- Returns how many there were.

return move(KEYS[1], KEYS[2], KEYS[3], ARGV[1])
