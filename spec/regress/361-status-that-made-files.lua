-- `status` opened the database as a program does: it made the files of a config that nobody had opened yet, ended the
-- moves of dead programs, and failed as a whole when one shard was not there.

local config = require "collegedb.config"
local fixture = require "spec.support.fixture"
local status = require "collegedb.status"

describe("status", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("makes nothing, and tells of the shards that are there", function()
    fixture.sqlite("a.db", "CREATE TABLE users (id TEXT PRIMARY KEY); INSERT INTO users VALUES ('ada')")
    fixture.write("b.db", ("no database "):rep(500))
    local reader = status.new(config.normalize(fixture.config()))
    local report = reader:read()
    reader:close()
    assert.same({ "a.db", "b.db" }, fixture.files())
    assert.same({ 1, "CORRUPT" }, { report.shards[1].count, report.shards[2].error.code })
  end)
end)
