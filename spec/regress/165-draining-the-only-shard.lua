-- Under a strategy that claims keys the last shard that takes new ones could be drained: no key could be inserted
-- any more. The last one of a keyspace was closed before it was seen that its keys have no other place, and then
-- every rebalance failed.

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

  it("is refused where it is the only one of its keyspace", function()
    local settings = { shards = { a = { keyspace = "east" }, b = { keyspace = "west" } } }
    local db = fixture.database("CREATE TABLE users (id INTEGER PRIMARY KEY, n INTEGER)", settings)
    for _, tag in ipairs { "east", "west" } do
      db:insert(db:key("users", 1, tag), "INSERT INTO users VALUES (1, 1)")
    end
    db:add_shard { name = "c", fixture.path "c.db", keyspace = "east" }
    fixture.raises("NO_SHARDS", "of the keyspace west", db.drain, db, "b")
    db:insert(db:key("users", 2, "west"), "INSERT INTO users VALUES (2, 1)")
    assert.is_true(db:drain("a").sealed)
    assert.equal(1, db:first(db:key("users", 1, "east"), "SELECT n FROM users WHERE id = 1").n)
  end)
end)
