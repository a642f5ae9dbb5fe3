-- A shard in memory was added to a directory in a file: rows were moved to it, and were gone with the program.

local fixture = require "spec.support.fixture"
local is_error = require("collegedb").is_error

describe("a shard in memory", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("is not added to a directory that outlives it", function()
    local db = fixture.database "CREATE TABLE users (id TEXT PRIMARY KEY, n INTEGER)"
    for _, path in ipairs { ":memory:", "memory:" } do
      local done, err = pcall(db.add_shard, db, { name = "c", path })
      assert.is_false(done)
      assert.is_true(is_error(err, "CONFIG"), tostring(err))
      assert.truthy(tostring(err):find("memory", 1, true))
    end
    assert.same({ "a", "b" }, db:list_known_shards())
  end)
end)
