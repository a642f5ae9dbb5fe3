-- The five seconds that open waits for a program that changes the shards were counted in sleeps, each of which took
-- longer than it said: on a busy machine they were seven and more.

local collegedb = require "collegedb"
local core = require "collegedb.core"
local fixture = require "spec.support.fixture"
local process = require "spec.support.process"

describe("regression 520: open", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("waits for five seconds at most for a program that changes the shards", function()
    fixture.database("CREATE TABLE users (id TEXT PRIMARY KEY)"):close()
    local lock = process.quote(fixture.path "directory.db-users")
    local pipe = assert(io.popen("exec env -u LD_PRELOAD flock -x " .. lock .. " sh -c 'echo held; exec sleep 7'"))
    assert.equal("held", pipe:read "l")
    local began = core.now()
    fixture.raises("BUSY", "another program is changing the shards", collegedb.open, fixture.config())
    local waited = core.now() - began
    assert(waited >= 4900 and waited < 6000, waited)
    pipe:close()
  end)
end)
