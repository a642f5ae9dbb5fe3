-- Under a strategy that claims keys the last shard that takes new ones could be drained: no key could be inserted any more.

local fixture = require "spec.support.fixture"

describe("draining the only shard that takes new keys", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  for _, strategy in ipairs { "round_robin", "hash" } do
    it("is refused, with the strategy " .. strategy, function()
      local db = fixture.database("CREATE TABLE users (id TEXT PRIMARY KEY, n INTEGER)", { strategy = strategy })
      assert.is_true(db:drain("a").sealed)
      fixture.raises("NO_SHARDS", "b is the only shard", db.drain, db, "b")
      db:insert("k", "INSERT INTO users VALUES ('k', 1)")
      assert.equal("b", db:locate "k")
      assert.is_true(db:drain("a").sealed)
    end)
  end
end)
