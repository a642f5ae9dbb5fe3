-- A drained shard was put away, and the others forgot after forward_retention which keys had come from it. It was
-- added again, and still said where its keys had gone: a key that had been deleted since could not be inserted any
-- more (BUSY).

local core = require "collegedb.core"
local fixture = require "spec.support.fixture"

local extra = { forward_retention = 0, mapping_cache_ttl = 1 }

describe("a drained shard that is added again after a long time", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("takes keys that had left it", function()
    local db, keys = fixture.database("CREATE TABLE users (id TEXT PRIMARY KEY, n INTEGER)", extra), {}
    db:add_shard { name = "c", fixture.path "c.db" }
    for i = 1, 40 do
      local key = "u" .. i
      db:insert(key, "INSERT INTO users VALUES (?, ?)", { key, i })
      if db:locate(key) == "c" then keys[#keys + 1] = key end
    end
    assert.is_true(db:drain("c").sealed)
    for _, key in ipairs(keys) do db:delete_by_primary_key(key, "DELETE FROM users WHERE id = ?", { key }) end
    db:close()
    for _ = 1, 25 do core.pause(100) end
    db = fixture.open(fixture.config(extra))
    db:add_shard { name = "c", fixture.path "c.db" }
    for _, key in ipairs(keys) do
      db:insert(key, "INSERT INTO users VALUES (?, 8)", { key })
      assert.equal(8, db:first(key, "SELECT n FROM users WHERE id = ?", { key }).n)
    end
    assert.is_true(db:rebalance().retired)
    assert.equal(40, db:count "users")
    assert.is_true(db:verify().success)
  end)
end)
