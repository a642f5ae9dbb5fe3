-- `doctor --repair` opened the database with a config that doctor itself called wrong, and so took it into use: a
-- strategy that always fails became another placement. And one broken script was told three times.

local collegedb = require "collegedb"
local config = require "collegedb.config"
local doctor = require "collegedb.doctor"
local fixture = require "spec.support.fixture"
local status = require "collegedb.status"

describe("regression 412: doctor", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  local function make()
    local db = collegedb.open(fixture.config())
    db:ensure_schema "CREATE TABLE users (id TEXT PRIMARY KEY)"
    db:close()
  end

  local function epoch()
    return fixture.rows("directory.db", "SELECT max(number) AS n FROM _collegedb_placements")[1].n
  end

  local function faults(report)
    local list = {}
    for _, each in ipairs(report.diagnoses) do
      if each.state == "fault" then list[#list + 1] = each.what end
    end
    return list
  end

  it("repairs nothing with a strategy that fails", function()
    make()
    local given = fixture.config { strategy = function() error "never" end }
    local before = epoch()
    local report = doctor.run(given, true)
    assert.matches("nothing was repaired: strategy .*never", table.concat(faults(report), "\n"))
    assert.equal(before, epoch())
  end)

  it("repairs nothing while the config would place keys anew, or is wrong", function()
    make()
    local before = epoch()
    local report = doctor.run(fixture.config { shards = { a = { weight = 7 } } }, true)
    assert.matches("nothing was repaired: the config has other shards, weights", table.concat(faults(report), "\n"))
    report = doctor.run(fixture.config { strategy = 17 }, true)
    assert.matches("nothing was repaired, as the config has faults", table.concat(faults(report), "\n"))
    assert.equal(before, epoch())
    assert.is_true(doctor.run(fixture.config(), true).success)
  end)

  it("tells a broken script once, and what names a strategy may have", function()
    make()
    os.execute("mkdir -p " .. fixture.path "s/strategies")
    fixture.write("s/strategies/own.lua", "return {")
    local told = faults(doctor.run(fixture.config { strategy = "own", script_dirs = { fixture.path "s" } }))
    assert.equal(1, #told, table.concat(told, "\n"))
    local given = fixture.config { strategy = "hsah" }
    told = table.concat(faults(doctor.run(given)), "\n")
    assert.matches("did you mean hash%? there are hash, hash_compat, location, random, round_robin", told)
    local reader = status.new(config.normalize(given))
    local report = reader:read()
    reader:close()
    assert.same({ false, "scripts" }, { report.healthy, report.problems[1].about })
  end)
end)
