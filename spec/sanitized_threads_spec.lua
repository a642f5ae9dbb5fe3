-- Under the thread sanitizer: integration in the background, the one thing of the library that has threads.

local checked = require "spec.support.checked"

describe("integration in the background", function()
  it("has no races", function()
    checked.sanitized(pending, "thread", "spec/background_spec.lua")
  end)
end)
