-- With all garbage collected at each hundredth value that Lua makes.

local checked = require "spec.support.checked"

describe("some specs", function()
  it("lose no value to the collector", function()
    checked.collected(pending, 100,
      "spec/each_spec.lua spec/transaction_spec.lua spec/values_spec.lua spec/params_spec.lua")
  end)
end)
