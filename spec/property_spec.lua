-- The property test, for some seconds: what a seed gives is done by CollegeDB, in several processes, and by plain
-- tables, and compared. The long one is `make property`, docs/proof.md.

local driver = require "spec.property.driver"
local generate = require "spec.property.generate"
local plants = require "spec.property.plants"
local report = require "spec.property.report"
local shrink = require "spec.property.shrink"

local CASES <const>, LENGTH <const> = 12, 60

-- Makes what fails as short as it goes, and says it.
local function check(seed)
  local case = generate.case(seed, LENGTH)
  local failure, at = driver.run(case)
  if not failure then return end
  local short, runs = shrink.case(case, driver.run)
  error(("seed %d, operation %d: %s\n%s"):format(seed, at, failure, report.failure(short, driver.run(short), runs)), 0)
end

describe("CollegeDB does what plain tables do", function()
  it("by fixed seeds", function()
    for seed = 1, CASES do check(seed) end
  end)

  it("by seeds of the day", function()
    local first = os.time()
    io.write(("   seeds %d and %d\n"):format(first, first + 1))
    for seed = first, first + 1 do check(seed) end
  end)

  it("from the same seed in the same order", function()
    local function source(seed) return require "spec.property.wire".source(generate.case(seed)) end
    assert.equal(source(7), source(7))
    assert.is_true(source(7) ~= source(8))
  end)
end)

-- Cases that have what a fault needs to show: a second program, and new keys that the directory is told of.
local function case_for(seed)
  local case = generate.case(seed, LENGTH)
  case.setup.strategy, case.setup.directory = "random", "sparse"
  return case
end

-- A test that finds nothing proves nothing unless it would find something.
describe("the property test notices that", function()
  local SEEDS <const> = { fence_lets_inserts_through = 1, nothing_is_believed = 17, claim_is_dropped = 1,
    source_is_not_cleared = 1 }

  for name, first in pairs(SEEDS) do
    it((name:gsub("_", " ")), function()
      local options = { plant = plants[name] }
      for seed = first, first + 30 do
        local case = case_for(seed)
        if driver.run(case, options) then return end
      end
      error "nothing was noticed"
    end)
  end

  it("and shows it in few operations", function()
    local options = { plant = plants.claim_is_dropped }
    local short = shrink.case(case_for(1), function(case) return (driver.run(case, options)) end)
    assert.is_string((driver.run(short, options)))
    assert.is_true(#short.ops <= 4)
  end)
end)
