-- When memory ran out while an inner transaction was to be undone, what it had written stayed, and was committed with
-- the outer one.

local starved = require "spec.support.starved"

it("an inner transaction is undone, or the whole", function()
  assert.is_true(starved.sweep("transaction in a transaction", 60, "once") > 50)
end)
