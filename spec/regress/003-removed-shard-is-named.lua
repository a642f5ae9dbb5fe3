-- Keys at home on a shard that the config no longer has were silently not found.

local fixture = require "spec.support.fixture"

describe("regression 003:", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("a key of a shard that is gone raises SHARD_NOT_FOUND", function()
    local db = fixture.database "CREATE TABLE t (k TEXT PRIMARY KEY)"
    local key = fixture.key_on(db, "b")
    db:insert(key, "INSERT INTO t VALUES (?)", { key })
    db:close()
    db = fixture.open(fixture.config({}, { "a" }))
    fixture.raises("SHARD_NOT_FOUND", "shard b", db.first, db, key, "SELECT * FROM t WHERE k = ?", { key })
    fixture.raises("SHARD_NOT_FOUND", "shard b", db.insert, db, key, "INSERT INTO t VALUES (?)", { key })
  end)
end)
