-- The policy "even" chose keys by their hash alone. Those that a shard had got were alike in it, so that a second run
-- sent far too many of them away, and after that none came where some were lacking.

local fixture = require "spec.support.fixture"

describe("rebalancing evenly a second time", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  local function counts(db)
    local list = {}
    for _, count in pairs(select(2, db:count "users")) do list[#list + 1] = count end
    table.sort(list)
    return list
  end

  it("finds nothing to move, and after one more shard as much as it lacks", function()
    local shards = {}
    for i = 1, 3 do shards[i] = { name = "s" .. i, fixture.path("s" .. i .. ".db") } end
    local db = fixture.open { kv = fixture.path "directory.db", shards = shards, strategy = "round-robin" }
    db:ensure_schema "CREATE TABLE IF NOT EXISTS users (id TEXT PRIMARY KEY)"
    for i = 1, 240 do db:run("u" .. i, "INSERT INTO users VALUES (?)", { "u" .. i }) end
    db:add_shard { name = "s4", fixture.path "s4.db" }
    assert.equal(60, db:rebalance().moved)
    assert.same({ 60, 60, 60, 60 }, counts(db))
    assert.equal(0, db:rebalance().planned)
    db:add_shard { name = "s5", fixture.path "s5.db" }
    assert.equal(48, db:rebalance().moved)
    assert.same({ 48, 48, 48, 48, 48 }, counts(db))
    assert.equal(0, db:rebalance().planned)
  end)
end)
