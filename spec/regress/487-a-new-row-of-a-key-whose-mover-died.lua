-- A key without rows had moved, and its mover died before the directory was told; no lock tells of that where the
-- directory takes a statement at a time. An INSERT of the key waited for the move in vain, and raised MOVING.

local fixture = require "spec.support.fixture"
local movers = require "spec.support.movers"

describe("regression 487:", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  for _, step in ipairs { "commit", "activate", "publish" } do
    it("a new row ends a move that died after " .. step, function()
      local db = fixture.database("CREATE TABLE IF NOT EXISTS users (id TEXT PRIMARY KEY)", { move_deadline = 1 })
      local key = fixture.key_on(db, "a")
      db:insert(key, "INSERT INTO users VALUES (?)", { key })
      db:reassign_shard(key, "b")
      db:run(key, "DELETE FROM users WHERE id = ?", { key })
      movers.die(key, step, "b", "a")
      movers.unlock()
      movers.expire()
      db:insert(key, "INSERT INTO users VALUES (?)", { key })
      assert.same({ "a" }, fixture.holders({ "a", "b" }, "users", "id", key))
      assert.is_true(db:verify().success)
    end)
  end
end)
