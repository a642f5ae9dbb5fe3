-- Draining a shard without a keyspace, beside others with one, told that it was the only one that takes new keys.

local fixture = require "spec.support.fixture"

describe("regression 563:", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("the error says that it is the only one without a keyspace", function()
    local config = fixture.config(nil, { "a", "b", "c" })
    config.shards[1].keyspace, config.shards[2].keyspace = "east", "west"
    local db = fixture.open(config)
    db:ensure_schema "CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY)"
    fixture.raises("NO_SHARDS", "c is the only shard without a keyspace that takes new keys", db.drain, db, "c")
    fixture.raises("NO_SHARDS", "a is the only shard of the keyspace east that takes new keys", db.drain, db, "a")
  end)
end)
