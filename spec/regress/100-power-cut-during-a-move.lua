-- A power cut during a move on shards whose commits are not synced, or not wholly: a step was lost after the next
-- one, in another file, had been made; rows were then where nothing looked for them, or gone.

local scenarios = require "spec.campaign.scenarios"
local sweep = require "spec.campaign.sweep"
local world = require "spec.campaign.world"

local function find(list, name)
  for _, each in ipairs(list) do
    if each.name == name then return each end
  end
end

describe("a power cut during a move", function()
  for _, name in ipairs { "move in rollback journals", "move with synchronous = normal" } do
    it("loses nothing: " .. name, function()
      local scenario = find(scenarios, name)
      local w = world.new(scenario)
      local counts = sweep.run(w, scenario, find(sweep.faults, "power cut"), 40, 3)
      w:remove()
      assert.same({}, counts.failed)
      assert.equal(40, counts.struck)
    end)
  end
end)
