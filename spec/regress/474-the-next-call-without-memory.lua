-- A statement that SQLite could not prepare anew for lack of memory was left as it was, where Lua had none either; then
-- the next call failed, too, although there was memory again.

local starved = require "spec.support.starved"

it("the next call finds memory", function()
  assert.is_true(starved.sweep("ensure_schema", 60, "from then on") > 50)
end)
