-- Memory that runs out at some allocations of each scenario, and at all of the commonest calls. The long run is
-- `make allocation`, docs/proof.md.

local scenarios = require "spec.allocation.scenarios"
local starved = require "spec.support.starved"

local POINTS <const> = 2 -- of each way, of five
local ALL <const> = { first = true, insert = true, ["first, with all in the caches"] = true }

describe("when memory runs out", function()
  for _, scenario in ipairs(scenarios) do
    it("a call fails cleanly or does what it should: " .. scenario.name, function()
      local points = starved.sweep(scenario.name, ALL[scenario.name] and 0 or POINTS)
      if ALL[scenario.name] then assert(points > 50, points .. " points") end
    end)
  end
end)
