-- The target had a table more in the key's group: rows that were staged were looked for in the stage of another table.

local fixture = require "spec.support.fixture"

describe("a target with more tables than the source", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("takes the rows of those that both have", function()
    local db = fixture.database [[CREATE TABLE users (id TEXT PRIMARY KEY);
      CREATE TABLE orders (id INTEGER PRIMARY KEY, user_id TEXT REFERENCES users ON DELETE CASCADE, v)]]
    db:shard("b"):exec "CREATE TABLE addresses (user_id TEXT REFERENCES users ON DELETE CASCADE, v)"
    local key = fixture.key_on(db, "a")
    db:insert(key, "INSERT INTO users VALUES (?)", { key })
    db:insert(key, "INSERT INTO orders VALUES (1, ?, 'v')", { key })
    assert.equal(2, db:reassign_shard(key, "b").rows)
    assert.equal("v", db:first(key, "SELECT v FROM orders WHERE user_id = ?", { key }).v)
  end)
end)
