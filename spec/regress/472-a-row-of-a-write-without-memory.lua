-- When Lua had no memory for a row that a write returned, the write stayed open, and its lock, until the next call.

local starved = require "spec.support.starved"

it("a write whose row can not be made ends at once", function()
  assert.is_true(starved.sweep("insert that returns its row", 0, "once") > 50)
end)
