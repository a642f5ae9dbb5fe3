-- With check_keys a write to a key that had moved raised MOVED, instead of being done where the key is; and one to a
-- key of a dead move did not end that.

local fixture = require "spec.support.fixture"
local movers = require "spec.support.movers"

describe("regression 484:", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  local function start()
    local db = fixture.database("CREATE TABLE IF NOT EXISTS users (id TEXT PRIMARY KEY, n INTEGER)")
    local stale = fixture.open(fixture.config { check_keys = true })
    local key = fixture.key_on(db, "a")
    db:insert(key, "INSERT INTO users VALUES (?, 1)", { key })
    assert.equal(1, stale:run(key, "UPDATE users SET n = 2 WHERE id = ?", { key }).meta.changes)
    return db, stale, key
  end

  it("writes go after a key that moved", function()
    local db, stale, key = start()
    for _, to in ipairs { "b", "a", "b" } do
      db:reassign_shard(key, to)
      fixture.raises("CONSTRAINT", nil, stale.insert, stale, key, "INSERT INTO users VALUES (?, 3)", { key })
      assert.equal(1, stale:run(key, "UPDATE users SET n = n + 1 WHERE id = ?", { key }).meta.changes)
    end
    assert.equal(5, stale:first(key, "SELECT n FROM users WHERE id = ?", { key }).n)
  end)

  it("writes end what a dead mover has left", function()
    local _, stale, key = start()
    movers.die(key, "send", "a", "b")
    local sql = "UPDATE users SET n = n + 1 WHERE id = ? RETURNING n"
    assert.equal(3, stale:first(key, sql, { key }).n)
    assert.same({ { n = 4 } }, stale:all(key, sql, { key }))
  end)
end)
