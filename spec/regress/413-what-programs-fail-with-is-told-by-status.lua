-- status was healthy where no program could open the database, or its keys were not found: one file under two names, a
-- directory that was there, one of another config, a strategy that fails.

local collegedb = require "collegedb"
local config = require "collegedb.config"
local fixture = require "spec.support.fixture"
local lfs = require "lfs"
local status = require "collegedb.status"
local view = require "collegedb.status_view"

describe("regression 413: status tells", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  local function make(names)
    local db = collegedb.open(fixture.config(nil, names))
    db:ensure_schema "CREATE TABLE users (id TEXT PRIMARY KEY)"
    db:close()
  end

  local function problem(given)
    local reader = status.new(config.normalize(given))
    local report = reader:read()
    reader:close()
    assert.is_false(report.healthy)
    local shown = table.concat(view.lines(report, 200), "\n")
    assert.is_truthy(shown:find(report.problems[1].message, 1, true))
    return report.problems[1].message
  end

  it("one file under two names", function()
    make { "a" }
    assert(lfs.link("a.db", fixture.path "b.db", true))
    assert.matches("are one file", problem(fixture.config()))
  end)

  it("a directory that was there", function()
    make()
    os.remove(fixture.path "directory.db")
    assert.matches("there is no directory at .* any more", problem(fixture.config()))
  end)

  it("a directory of another config", function()
    make()
    assert.matches("keys are placed on shard a, which the config does not have",
      problem(fixture.config(nil, { "c", "d" })))
  end)

  it("a strategy that fails", function()
    make()
    assert.matches("never", problem(fixture.config { strategy = function() error "never" end }))
  end)
end)
