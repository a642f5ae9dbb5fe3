-- A service in the place of D1, in a process of its own so that its work is not counted with ours: started by
-- figures/d1.lua. It answers what the file arg[1] says: a Lua table from paths to steps (spec/support/fault_server.c).
-- Prints its address and ends when its input does.

local faults = require "spec.support.faults"

faults.start()
for path, steps in pairs(dofile(arg[1])) do faults.play_at(path, table.unpack(steps)) end
print(faults.origin())
io.flush()
io.read "a"
faults.stop()
