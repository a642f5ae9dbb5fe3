-- A strategy could name a shard that is closed for new keys.

local fixture = require "spec.support.fixture"

describe("regression 022:", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("a shard closed for new keys is no answer of a strategy", function()
    local db = fixture.database("CREATE TABLE t (k TEXT PRIMARY KEY)",
      { strategy = function() return "b" end, shards = { b = { allocate = false } } })
    fixture.raises("SCRIPT", '"b"', db.insert, db, "k", "INSERT INTO t VALUES ('k')")
  end)
end)
