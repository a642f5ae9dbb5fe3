-- A mover died after its commit. A write was done at the new place, but the source still had the rows, so that programs
-- without the key in their cache read the old values until the next open; and the key could not be moved again.

local fixture = require "spec.support.fixture"
local movers = require "spec.support.movers"

describe("regression 120:", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  local function read(db, key) return db:first(key, "SELECT n FROM users WHERE id = ?", { key }).n end

  it("nobody reads the old rows once the first write was done", function()
    local db = fixture.database "CREATE TABLE users (id TEXT PRIMARY KEY, n INTEGER)"
    local other = fixture.open(fixture.config())
    local key = fixture.key_on(db, "a")
    db:insert(key, "INSERT INTO users VALUES (?, 1)", { key })
    assert.equal(1, read(other, key))
    movers.die(key, "commit", "a", "b")
    db:run(key, "UPDATE users SET n = 2 WHERE id = ?", { key })
    assert.same({ 2, 2 }, { read(db, key), read(other, key) })
    assert.same({ "b" }, fixture.holders({ "a", "b" }, "users", "id", key))
  end)

  it("the key can be moved on", function()
    local db = fixture.database "CREATE TABLE users (id TEXT PRIMARY KEY, n INTEGER)"
    local key = fixture.key_on(db, "a")
    db:insert(key, "INSERT INTO users VALUES (?, 1)", { key })
    movers.die(key, "activate", "a", "b")
    assert.same({ moved = true, from = "b", to = "a", rows = 1 }, db:reassign_shard(key, "a"))
  end)
end)
