-- With consistency = "strict" a read that met nothing, of a key whose mover had died before the directory was told,
-- went to and fro between where the directory said that the key was and where it had gone, and raised MOVING.

local fixture = require "spec.support.fixture"
local movers = require "spec.support.movers"

describe("regression 488:", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  for _, leased in ipairs { false, true } do
    it("a strict read ends the move" .. (leased and ", also while the mover's lease runs" or ""), function()
      local db = fixture.database("CREATE TABLE IF NOT EXISTS users (id TEXT PRIMARY KEY)",
        { consistency = "strict", move_deadline = 4 })
      local key = fixture.key_on(db, "a")
      db:insert(key, "INSERT INTO users VALUES (?)", { key })
      db:reassign_shard(key, "b")
      movers.die(key, "commit", "b", "a")
      if leased then movers.unlock() end
      assert.is_nil(db:first(key, "SELECT id FROM users WHERE id = ? AND id = 'nobody'", { key }))
      assert.same({ "a" }, fixture.holders({ "a", "b" }, "users", "id", key))
    end)
  end
end)
