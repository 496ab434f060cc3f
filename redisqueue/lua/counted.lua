-- counted.lua: the part that says when attempts are counted: as a job is taken.
--
--   take      what a job taken from the list becomes in the reserved set, and
--             the mark of that change (attempts.lua)
--   expired   what becomes of the payload of an expired reservation; nil: nothing
--   released  what becomes of the payload of a released job; nil: nothing

local take, expired, released = raise, nil, nil
