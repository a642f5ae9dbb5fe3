-- A short load: programs that write, move, grow and integrate on 32 shards, killed and stopped meanwhile. The long one
-- is `make load`, docs/proof.md.
--
-- Runs alone: it has eight programs of its own, and a write that waits too long fails it.

local checker = require "spec.campaign.checker"
local core = require "collegedb.core"
local fleet = require "spec.load.fleet"
local ledger = require "spec.campaign.ledger"
local load = require "spec.load.load"
local meter = require "spec.load.meter"
local world = require "spec.campaign.world"

local SECONDS <const> = tonumber(os.getenv "CDB_LOAD_SECONDS") or 30
local KEYS <const> = 800
local EVERY <const> = 10 -- seconds between two checks

describe("a load", function()
  local files
  after_each(function() files:remove() end)

  it("loses and doubles nothing, and no write waits for long", function()
    files = fleet.new(KEYS)
    local seed = os.time()
    local counts = load.run(files, SECONDS, EVERY, seed)
    assert.same({}, counts.wrong, "seed " .. seed)
    assert.is_true(counts.acknowledged > 0 and counts.checks > 0)
    assert.is_true(next(counts.faults) ~= nil)
    assert.is_true(meter.wait(counts.done, 0.5) > 0)
  end)

  -- What was found by one check is what the next one goes by.
  it("notices what is lost or doubled after a check", function()
    files = fleet.new(40)
    local name = files.old[1] -- one that has rows
    local function check() return checker.check(files:files(), files:database "directory", files:ledgers()) end
    local first = check()
    assert.same({}, first.wrong)
    for _, path in ipairs(files:ledgers()) do os.remove(path) end
    ledger.begin_anew(files:path "log-found", first.found, function(row) return first.known[row].counts end)
    assert.same({}, check().wrong)
    local function damage(sql)
      world.child(function()
        local shard = core.sqlite(files:database(name), {})
        shard:exec(sql)
        core.close(shard)
      end)
      return check().kinds
    end
    assert.is_number(damage("INSERT INTO users SELECT 'more' || id, n FROM users").doubled)
    assert.is_number(damage("UPDATE users SET n = n + 1").doubled)
    assert.is_number(damage("DELETE FROM users").lost)
  end)
end)
