-- Under the thread sanitizer: integration in the background, the one thing of the library that has threads.

local checked = require "spec.support.checked"

describe("integration in the background", function()
  it("has no races", function()
    checked.run(pending, "SANITIZE=thread B=build/quick/thread test", "spec/background_spec.lua")
  end)
end)
