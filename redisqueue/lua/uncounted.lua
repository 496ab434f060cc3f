-- uncounted.lua: counted.lua for scripts of such a layout that take no job.

local expired, released
