-- check_keys looked at the columns of the first shard's table on all shards, and at a neighbour of a column that is
-- computed when it is read.

local fixture = require "spec.support.fixture"

describe("regression 067:", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("columns may stand in another order on each shard", function()
    fixture.sqlite("a.db", [[CREATE TABLE users (id TEXT PRIMARY KEY, v);
      CREATE TABLE orders (id INTEGER PRIMARY KEY, x, user_id TEXT REFERENCES users ON DELETE CASCADE)]])
    fixture.sqlite("b.db", [[CREATE TABLE Users (v, ID TEXT PRIMARY KEY);
      CREATE TABLE Orders (user_id TEXT REFERENCES Users ON DELETE CASCADE, x, ID INTEGER PRIMARY KEY)]])
    local db = fixture.open(fixture.config { check_keys = true })
    for i, name in ipairs { "a", "b" } do
      local user = fixture.key_on(db, name)
      db:insert(user, "INSERT INTO users (id, v) VALUES (?, 1)", { user })
      db:insert(user, "INSERT INTO orders (id, user_id) VALUES (?, ?)", { i, user })
      assert.equal(1, db:run(i, "UPDATE orders SET x = 1 WHERE id = ?", { i }).meta.changes)
      fixture.raises("USAGE", "touched", db.insert, db, user, "INSERT INTO orders (id, user_id) VALUES (?, 'other')",
        { i + 10 })
    end
  end)

  it("a computed column is not looked at", function()
    local db = fixture.database([[CREATE TABLE users (id TEXT PRIMARY KEY);
      CREATE TABLE orders (id INTEGER PRIMARY KEY, doc TEXT, x TEXT,
        user_id TEXT AS (substr(doc, 1, 2)) VIRTUAL REFERENCES users ON DELETE CASCADE, y TEXT);
      CREATE TABLE docs (doc TEXT, id TEXT AS (substr(doc, 1, 2)) VIRTUAL UNIQUE, x TEXT)]], { check_keys = true })
    db:insert("u1", "INSERT INTO users VALUES ('u1')")
    db:insert("u1", "INSERT INTO orders (id, doc, y) VALUES (1, 'u1 hello', 'y')")
    assert.equal(1, db:run("u1", "UPDATE orders SET y = 'z' WHERE user_id = 'u1'").meta.changes)
    assert.equal(1, db:run(1, "UPDATE orders SET y = 'z' WHERE id = 1").meta.changes)
    db:insert("d1", "INSERT INTO docs (doc, x) VALUES ('d1 hello', 'x')")
  end)
end)
