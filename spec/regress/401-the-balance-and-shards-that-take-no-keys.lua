-- `status` took the weight of a shard that gets no new keys into account, so that even shards seemed to have more than
-- their part; the report did not.

local config = require "collegedb.config"
local fixture = require "spec.support.fixture"
local report = require "collegedb.report"
local status = require "collegedb.status"

describe("regression 401:", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("one shard that takes all new keys has its part", function()
    local given = fixture.config { shards = { b = { allocate = false } } }
    local db = fixture.open(given)
    db:ensure_schema "CREATE TABLE users (id TEXT PRIMARY KEY)"
    for i = 1, 20 do db:insert("k" .. i, "INSERT INTO users VALUES (?)", { "k" .. i }) end
    db:close()
    local reader = status.new(config.normalize(given))
    local seen = reader:read()
    reader:close()
    assert.same({ "open", "no new keys" }, { seen.shards[1].state, seen.shards[2].state })
    assert.same({ shard = "a", ratio = 1.0 }, seen.balance.keys)
    assert.same({ 1.0, 0 }, { report.collect(given).shards[1].ideal, report.collect(given).shards[2].ideal })
  end)
end)
