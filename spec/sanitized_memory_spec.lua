-- Under the address and the undefined behaviour sanitizer: the core, routing, cursors, transactions, values.

local checked = require "spec.support.checked"

describe("some specs", function()
  it("touch no memory that is not theirs, and do nothing undefined", function()
    checked.sanitized(pending, "address,undefined",
      "spec/core/scanner_spec.lua spec/route_spec.lua spec/each_spec.lua spec/transaction_spec.lua "
      .. "spec/values_spec.lua")
  end)
end)
