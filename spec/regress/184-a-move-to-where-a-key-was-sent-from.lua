-- While an old placement counts, an INSERT of a new key notes at its old home that it is at the new one. A move back to
-- the old home that was undone took that note away, and the old home took the key a second time.

local core = require "collegedb.core"
local fixture = require "spec.support.fixture"
local move = require "collegedb.workflows.move"

describe("a move that is undone", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("leaves what its target knew of where the key is", function()
    local db = fixture.database "CREATE TABLE users (id TEXT PRIMARY KEY, n INTEGER)"
    local keys = {}
    for i = 1, 60 do
      if db:locate("u" .. i) == "a" then keys[#keys + 1] = "u" .. i end
    end
    db:add_shard { name = "c", fixture.path "c.db" }
    local tried = 0
    for _, key in ipairs(keys) do
      db:insert(key, "INSERT INTO users VALUES (?, 1)", { key })
      if db:locate(key) == "c" then
        tried = tried + 1
        assert.is_false(pcall(move.run, core.state(db), { keyspace = "", keys = { key }, source = 3, target = 1,
          on_step = function(name) if name == "copy" then error("it fails here", 0) end end }))
        fixture.raises("MOVED", nil, fixture.rows, "a.db", "INSERT INTO users VALUES (?, 2)", { key })
        assert.equal("c", (db:locate(key)))
      end
    end
    assert.is_true(tried > 0)
    assert.is_true(db:verify().success)
    assert.is_true(db:rebalance().success)
  end)
end)
