-- Whoever makes a directory may be killed before its first placement is in it. collegedb status then ended with an
-- error of Lua.

local collegedb = require "collegedb"
local config = require "collegedb.config"
local fixture = require "spec.support.fixture"
local status = require "collegedb.status"

describe("regression 562:", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("the status is told, and the next program completes it", function()
    fixture.database("CREATE TABLE IF NOT EXISTS users (id TEXT PRIMARY KEY)"):close()
    fixture.sqlite("directory.db", "DELETE FROM _collegedb_homes; DELETE FROM _collegedb_placements")
    local reader = status.new(config.normalize(fixture.config()))
    local told = reader:read()
    reader:close()
    assert.equal(0, told.directory.retiring)
    assert.is_false(told.directory.stays)
    local db <close> = collegedb.open(fixture.config())
    assert.is_true(db:insert("k", "INSERT INTO users VALUES ('k')").success)
  end)
end)
