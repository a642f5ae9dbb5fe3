-- The place of a row inside a group was remembered also for SELECT count(*), which gives a row in any case: after the
-- row went to another group, on another shard, nothing was counted for as long as the mapping cache keeps a place.

local fixture = require "spec.support.fixture"

describe("regression 061:", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("a row that went to another group is counted", function()
    local db = fixture.database [[CREATE TABLE users (id TEXT PRIMARY KEY);
      CREATE TABLE orders (id INTEGER PRIMARY KEY, user_id TEXT REFERENCES users ON DELETE CASCADE)]]
    for _, name in ipairs { "a", "b", "a" } do
      local user = fixture.key_on(db, name)
      pcall(db.insert, db, user, "INSERT INTO users VALUES (?)", { user })
      db:insert(user, "INSERT INTO orders VALUES (17, ?)", { user })
      assert.equal(1, db:first(17, "SELECT count(*) AS n FROM orders WHERE id = ?", { 17 }).n)
      assert.equal(1, #db:all(17, "SELECT id FROM orders WHERE id = ?", { 17 }))
      assert.equal(1, db:run(17, "DELETE FROM orders WHERE id = ?", { 17 }).meta.changes)
    end
  end)
end)
