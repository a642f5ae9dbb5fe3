-- While a dead program's move was not ended, db:ensure_schema of a change to its tables waited, and raised CONFLICT.

local fixture = require "spec.support.fixture"
local movers = require "spec.support.movers"

describe("regression 486:", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  for _, step in ipairs { "receive", "copy", "commit" } do
    it("tables change beside a move that died after " .. step, function()
      local db = fixture.database("CREATE TABLE IF NOT EXISTS users (id TEXT PRIMARY KEY)")
      local key = fixture.key_on(db, "a")
      db:insert(key, "INSERT INTO users VALUES (?)", { key })
      movers.die(key, step, "a", "b")
      db:ensure_schema [[CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY,
        user_id TEXT NOT NULL REFERENCES users ON DELETE CASCADE); ALTER TABLE users ADD COLUMN more]]
      assert.equal(1, db:run(key, "UPDATE users SET more = 1 WHERE id = ?", { key }).meta.changes)
      assert.is_true(db:verify().success)
    end)
  end
end)
