-- db:add_shard made a shard with `allocate = false` one that takes new keys, and a drained shard came back with the
-- weight that it had before, not with the one that was asked for.

local fixture = require "spec.support.fixture"

local function count(db) return select(2, db:count "users").c end

local function insert(db, from, to)
  for i = from, to do db:insert("u" .. i, "INSERT INTO users VALUES (?, ?)", { "u" .. i, i }) end
end

describe("a shard that is added", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  for _, strategy in ipairs { "hash", "round_robin" } do
    it("takes no new keys where it shall not, under " .. strategy, function()
      local config = fixture.config { strategy = strategy }
      local db = fixture.open(config)
      local other = fixture.open(fixture.config { strategy = strategy })
      db:ensure_schema "CREATE TABLE users (id TEXT PRIMARY KEY, n INTEGER)"
      db:add_shard { name = "c", fixture.path "c.db", allocate = false }
      insert(db, 1, 60)
      insert(other, 61, 90)
      assert.equal(0, count(db))
      db:close()
      other:close()
      db = fixture.open(config)
      insert(db, 91, 120)
      assert.equal(0, count(db))
    end)
  end

  it("comes back with the weight that is asked for", function()
    local db = fixture.database "CREATE TABLE users (id TEXT PRIMARY KEY, n INTEGER)"
    db:add_shard { name = "c", fixture.path "c.db" }
    db:drain "c"
    db:add_shard { name = "c", fixture.path "c.db", weight = 100 }
    insert(db, 1, 60)
    assert.is_true(count(db) > 45)
    db:close()
    db = fixture.open(fixture.config())
    insert(db, 61, 120)
    assert.is_true(count(db) > 100)
  end)
end)
