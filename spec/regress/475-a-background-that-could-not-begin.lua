-- A program crashed when there was no memory for the plan of an integration in the background, and it was taken down.

local starved = require "spec.support.starved"

it("a background that can not begin is an error", function()
  assert.is_true(starved.sweep("integration in the background", 0, "of C, once") > 200)
end)
