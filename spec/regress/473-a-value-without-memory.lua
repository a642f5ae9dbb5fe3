-- A loop got an empty string where SQLite had no memory for a value, and the error only at the next row.

local starved = require "spec.support.starved"

it("a row is right, or not given", function()
  assert.is_true(starved.sweep("each of UTF-16, with conversions", 0, "of SQLite from then on") > 30)
end)
