-- A short campaign: kills, file calls that fail and power cuts at some points of each scenario, and a short storm. The
-- long one is `make campaign`, docs/proof.md.

local checker = require "spec.campaign.checker"
local ledger = require "spec.campaign.ledger"
local scenarios = require "spec.campaign.scenarios"
local storm = require "spec.campaign.storm"
local storms = require "spec.campaign.storms"
local sweep = require "spec.campaign.sweep"
local world = require "spec.campaign.world"

local POINTS <const>, ROUNDS <const> = 2, 8

local made

local function new(scenario)
  made = world.new(scenario)
  return made
end

local function fault_of(name)
  for _, each in ipairs(sweep.faults) do
    if each.name == name then return each end
  end
end

describe("nothing is lost, doubled or left over", function()
  after_each(function()
    if made then made:remove() end
    made = nil
  end)

  for number, scenario in ipairs(scenarios) do
    it("when it ends, or a file call fails, during: " .. scenario.name, function()
      local w = new(scenario)
      local share = scenario.single and 5 or 2 -- every second one; of what is tried with files too, fewer
      for i, fault in ipairs(sweep.faults) do
        if not fault.long and (i + number) % share == 0 then
          assert.same({}, sweep.run(w, scenario, fault, POINTS, i).failed)
        end
      end
    end)
  end

  for _, scenario in ipairs(storms) do
    it("in a storm of " .. scenario.name, function()
      local counts = storm.run(new(scenario), scenario, ROUNDS, 1)
      assert.same({}, counts.failed)
      assert.is_true(counts.kills > 0 and counts.acknowledged > 0)
    end)
  end
end)

-- A campaign that finds nothing proves nothing unless it would find something.
describe("the campaign notices", function()
  after_each(function()
    made:remove()
    made = nil
  end)

  local function damaged(sql, name)
    local w = new { name = "damage" }
    w:reset()
    world.child(function()
      local core = require "collegedb.core"
      local shard = core.sqlite(w:database(name or "a"), {})
      shard:exec(sql)
      core.close(shard)
    end)
    return checker.check(w:files(), w:database "directory", w:ledgers()).kinds
  end

  it("a row that is gone, changed, made up or doubled", function()
    assert.same({}, damaged "SELECT 1")
    assert.is_number(damaged("DELETE FROM items").lost)
    assert.is_number(damaged("UPDATE orders SET n = n + 1").wrong)
    assert.is_number(damaged("UPDATE users SET n = n - 1").lost)
    assert.is_number(damaged("UPDATE users SET n = n + 1").doubled)
    assert.is_number(damaged("INSERT INTO orders SELECT 'more' || id, user_id, n FROM orders").doubled)
    assert.is_number(damaged("DELETE FROM orders").torn)
  end)

  it("what a power cut takes from files that are not synced", function()
    local scenario = { name = "no sync", synchronous = "off", run = function(w, db)
      local key, book = w:keys_of("a")[1], ledger.open(w:path "log-off")
      for _ = 1, 3 do
        book:write({ "users:" .. key .. "+1" }, function()
          db:run(key, "UPDATE users SET n = n + 1 WHERE id = ?", { key })
        end)
      end
    end }
    assert.is_number(sweep.run(new(scenario), scenario, fault_of "power cut", 4, 1).kinds.lost)
  end)
end)
