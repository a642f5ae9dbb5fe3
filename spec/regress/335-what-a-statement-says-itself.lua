-- A statement's own message was searched for words of D1's: one of a trigger that said SQLITE_BUSY was sent twelve
-- times. And a write that had failed, whose answer was lost, was said to be refused when its copy found that.

local collegedb = require "collegedb"
local core = require "collegedb.core"
local faults = require "spec.support.faults"
local fixture = require "spec.support.fixture"
local gateway = require "spec.support.gateway"
local json = require "collegedb.json"
local kinds = require "spec.support.kinds"

describe("regress 335: a statement's own failure", function()
  if kinds.skip(kinds.gateway, it, function(why) pending(why) end) then return end
  setup(kinds.gateway.start)
  teardown(kinds.gateway.stop)
  before_each(fixture.start)
  after_each(fixture.stop)

  it("is told at once, whatever it says", function()
    local shard = kinds.open(kinds.gateway):shard "a"
    shard:exec [[CREATE TABLE t (a);
      CREATE TRIGGER no BEFORE INSERT ON t BEGIN SELECT RAISE(ABORT, 'SQLITE_BUSY or Network connection lost'); END]]
    fixture.raises("CONSTRAINT", "SQLITE_BUSY or", shard.run, shard, "INSERT INTO t VALUES (1)")
    local statements = { { "DELETE FROM t" }, { "INSERT INTO t VALUES (1)" } }
    local err = fixture.raises("CONSTRAINT", nil, shard.batch, shard, statements)
    assert.is_nil(err.sql) -- which statement it was, D1 does not tell
  end)

  it("that was found by a copy of it is one, too", function()
    faults.start()
    local failure = { code = "SQL", message = "this write has failed before" }
    local body = json.encode { success = false, errors = { failure } }
    local at = collegedb.gateway { url = faults.origin(), token = gateway.token, deadline = 10 }
    local shard = at:shard("DB"):open "alone"
    faults.play_at("/d1/DB/query", {}, faults.answers(400, body))
    fixture.raises("SQL", "has failed before", shard.run, shard, "INSERT INTO t VALUES (1)")
    core.close(shard)
    faults.stop()
  end)
end)
