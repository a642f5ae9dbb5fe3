-- Of programs that took from one budget at the same moment, one could read the time that another had just written for
-- one of long ago, and was told to wait for as long as the whole window.

local core = require "collegedb.core"
local fixture = require "spec.support.fixture"

describe("a budget of several programs", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("makes none wait while there is enough for all", function()
    local source = [[
      local net = require "collegedb.net"
      wait_for_go()
      for round = 1, 40 do
        local budget = net.budget(%q .. round)
        for _ = 1, 300 do assert(budget:take() == 0) end
        os.remove(budget:file())
      end]]
    fixture.together(3, source:format(("spec-%x-"):format(core.random())))
  end)
end)
