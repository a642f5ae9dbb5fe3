-- A transaction that failed because memory ran out was not rolled back: that took memory too. Its lock stayed, and what
-- was written next went into it, and was lost when the database was closed.

local starved = require "spec.support.starved"

it("a transaction is rolled back without memory", function()
  assert.is_true(starved.sweep("transaction", 10, "from then on") > 9)
  assert.is_true(starved.sweep("transaction", 10, "of SQLite from then on") > 9)
  assert.is_true(starved.sweep("transaction that changes tables", 10, "from then on") > 9)
end)
