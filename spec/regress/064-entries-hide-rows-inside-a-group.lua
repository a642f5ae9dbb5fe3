-- An entry of a row's own key hid the row: one that a transaction had claimed before the row was there, and those of a
-- table that had followed no other when it was integrated.

local fixture = require "spec.support.fixture"

describe("regression 064:", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  for _, strategy in ipairs { "hash", "random" } do
    it("a row is found that a transaction looked for before it was there, under " .. strategy, function()
      local db = fixture.database([[CREATE TABLE users (id TEXT PRIMARY KEY);
        CREATE TABLE posts (id TEXT PRIMARY KEY, user_id TEXT REFERENCES users ON DELETE CASCADE)]],
        { strategy = strategy, directory = "full" })
      for i = 1, 10 do
        local user, post = "u" .. i, "p" .. i
        db:transaction(post, function(tx) tx:run("DELETE FROM posts WHERE id = ?", { post }) end)
        fixture.raises("USAGE", "users", db.insert, db, post, "INSERT INTO posts VALUES (?, ?)", { post, user })
        db:insert(user, "INSERT INTO users VALUES (?)", { user })
        for _ = 1, 2 do
          db:insert(user, "INSERT INTO posts VALUES (?, ?)", { post, user })
          assert.is_not_nil(db:first(post, "SELECT * FROM posts WHERE id = ?", { post }))
          assert.equal(1, db:run(post, "DELETE FROM posts WHERE id = ?", { post }).meta.changes)
        end
      end
    end)
  end

  it("rows are found of a table that follows another since it was integrated", function()
    local FORM <const> = "CREATE TABLE %s (id %s PRIMARY KEY, user_id TEXT REFERENCES users %s);"
    local COUNT <const> = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10) INSERT INTO "
    local function both(script)
      for _, name in ipairs { "a", "b" } do fixture.sqlite(name .. ".db", script) end
    end
    both("CREATE TABLE users (id TEXT PRIMARY KEY);" .. FORM:format("orders", "INTEGER", "")
      .. FORM:format("posts", "TEXT", ""))
    fixture.sqlite("a.db", COUNT .. "orders SELECT i, 'u1' FROM n;" .. COUNT .. "posts SELECT 'p' || i, 'u1' FROM n")
    fixture.sqlite("b.db", "INSERT INTO users VALUES ('u2')")
    local db = fixture.open(fixture.config { auto_migrate = true })
    for table_name, kind in pairs { orders = "INTEGER", posts = "TEXT" } do
      both(("ALTER TABLE %s RENAME TO old;%sINSERT INTO %s SELECT * FROM old; DROP TABLE old"):format(table_name,
        FORM:format(table_name, kind, "ON DELETE CASCADE"), table_name))
      for i = 1, 10 do
        local key = kind == "TEXT" and "p" .. i or i
        assert.equal(1, db:run(key, ("DELETE FROM %s WHERE id = ?"):format(table_name), { key }).meta.changes)
        db:insert("u2", ("INSERT INTO %s VALUES (?, 'u2')"):format(table_name), { key })
        assert.is_not_nil(db:first(key, ("SELECT * FROM %s WHERE id = ?"):format(table_name), { key }))
      end
    end
  end)
end)
