-- check_keys: while developing, a routed statement may touch only rows of the key it was routed by.

local fixture = require "spec.support.fixture"

local SCHEMA <const> = [[
  CREATE TABLE users (id TEXT PRIMARY KEY, n INTEGER);
  CREATE TABLE posts (id INTEGER PRIMARY KEY, n INTEGER);
  CREATE TABLE tags (n INTEGER, name TEXT COLLATE NOCASE PRIMARY KEY) WITHOUT ROWID;
  CREATE TABLE late (early AS (n || '!'), n INTEGER, id TEXT PRIMARY KEY);
  CREATE TABLE log (line TEXT);
]]

describe("check_keys", function()
  local db

  before_each(function()
    fixture.start()
    db = fixture.database(SCHEMA, { check_keys = true }, { "a" })
    local a = db:shard "a"
    for _, name in ipairs { "x", "y" } do
      a:run("INSERT INTO users VALUES (?, 1)", { name })
      a:run("INSERT INTO tags VALUES (1, ?)", { name })
      a:run("INSERT INTO late (n, id) VALUES (1, ?)", { name })
    end
    a:run "INSERT INTO posts VALUES (1, 1), (2, 1)"
  end)
  after_each(fixture.stop)

  local right = {
    { "an insert of its key", "z", "INSERT INTO users VALUES ('z', 1)" },
    { "an update of its row", "x", "UPDATE users SET n = 2 WHERE id = 'x'" },
    { "a deletion of its row", "x", "DELETE FROM users WHERE id = 'x'" },
    { "a replacement of its row", "x", "REPLACE INTO users VALUES ('x', 2)" },
    { "an upsert of its row", "x", "INSERT INTO users VALUES ('x', 2) ON CONFLICT DO UPDATE SET n = 2" },
    { "no row", "q", "UPDATE users SET n = 2 WHERE id = 'q'" },
    { "a read of all rows", "x", "SELECT * FROM users" },
    { "an integer key", 1, "UPDATE posts SET n = 2 WHERE id = 1" },
    { "an integer key as text", "1", "UPDATE posts SET n = 2 WHERE id = 1" },
    { "a new integer key", 3, "INSERT INTO posts VALUES (3, 1)" },
    { "a key in other case", "X", "UPDATE tags SET n = 2 WHERE name = 'x'" },
    { "a row of a table without rowid", "x", "DELETE FROM tags WHERE name = 'x'" },
    { "a key column behind a generated one", "x", "UPDATE late SET n = 2 WHERE id = 'x'" },
    { "a table without a key", "x", "INSERT INTO log VALUES ('any')" },
  }
  for _, case in ipairs(right) do
    it("allows " .. case[1], function()
      for _, method in ipairs { "run", "first", "all" } do
        local ok, e = pcall(db[method], db, case[2], case[3])
        assert(ok or e.code == "CONSTRAINT", tostring(e))
      end
      local ok, e = pcall(function()
        for _ in db:each(case[2], case[3]) do break end -- luacheck: ignore 512
      end)
      assert(ok or e.code == "CONSTRAINT", tostring(e))
    end)
  end

  local wrong = {
    { "an insert of another key", "x", "INSERT INTO users VALUES ('z', 1)", "z of users" },
    { "an update of another row", "x", "UPDATE users SET n = 2 WHERE id = 'y'", "y of users" },
    { "an update of all rows", "x", "UPDATE users SET n = 2", "y of users" },
    { "a deletion of all rows", "x", "DELETE FROM users", "y of users" },
    { "a key that becomes another", "x", "UPDATE users SET id = 'w' WHERE id = 'x'", "w of users" },
    { "a row that becomes the key's", "w", "UPDATE users SET id = 'w' WHERE id = 'x'", "x of users" },
    { "another integer key", 1, "UPDATE posts SET n = 2 WHERE id = 2", "2 of posts" },
    { "another row of a table without rowid", "x", "DELETE FROM tags WHERE name = 'y'", "y of tags" },
    { "another row behind a generated column", "x", "UPDATE late SET n = 2 WHERE id = 'y'", "y of late" },
    { "an insert of several keys", "z", "INSERT INTO users VALUES ('z', 1), ('q', 1)", "q of users" },
  }
  for _, case in ipairs(wrong) do
    local what, key, sql, named = table.unpack(case)
    it("refuses and undoes " .. what, function()
      local function state()
        local parts = {}
        for _, name in ipairs { "users", "posts", "tags", "late" } do
          for _, row in ipairs(db:shard("a"):all("SELECT * FROM " .. name)) do parts[#parts + 1] = row end
        end
        return parts
      end
      local before = state()
      for _, method in ipairs { "run", "first", "all" } do
        local e = fixture.raises("USAGE", "check_keys.*" .. named, db[method], db, key, sql)
        assert.equal("a", e.shard)
        assert.equal(sql, e.sql)
        assert.same(before, state())
      end
      for _, returning in ipairs { sql, sql .. " RETURNING *" } do
        fixture.raises("USAGE", "check_keys.*" .. named, function()
          for _ in db:each(key, returning) do assert.is_not_nil(db) end
        end)
        assert.same(before, state())
      end
      for _ in db:shard("a"):each "SELECT 1 AS n UNION SELECT 2" do -- also while a loop is open on the shard
        fixture.raises("USAGE", "check_keys", db.run, db, key, sql)
      end
      assert.same(before, state())
    end)
  end

  it("looks at the statements of a routed transaction and of a batch", function()
    fixture.raises("USAGE", "check_keys.*y of users", db.transaction, db, "x", function(tx)
      tx:run "UPDATE users SET n = 5 WHERE id = 'x'"
      tx:run "UPDATE users SET n = 5 WHERE id = 'y'"
    end)
    fixture.raises("USAGE", "check_keys.*y of users", db.batch, db, "x", {
      { "UPDATE users SET n = 5 WHERE id = 'x'" }, { "UPDATE users SET n = 5 WHERE id = 'y'" } })
    fixture.raises("USAGE", "check_keys", db.transaction, db, "x", function(tx)
      tx:transaction(function(inner) inner:run "DELETE FROM users" end)
    end)
    fixture.raises("USAGE", "check_keys", db.transaction, db, "x", function(tx)
      for _ in tx:each "DELETE FROM users RETURNING id" do assert.is_not_nil(tx) end
    end)
    assert.equal(2, db:shard("a"):first("SELECT count(*) AS n FROM users WHERE n = 1").n)
    db:transaction("x", function(tx)
      tx:run "UPDATE users SET n = 5 WHERE id = 'x'"
      fixture.raises("USAGE", "check_keys", tx.run, tx, "UPDATE users SET n = 5")
      tx:run "UPDATE users SET n = n + 1 WHERE id = 'x'"
    end)
    assert.equal(6, db:first("x", "SELECT n FROM users WHERE id = 'x'").n)
    assert.equal(1, db:first("y", "SELECT n FROM users WHERE id = 'y'").n)
  end)

  it("does not look at handles: those are for all rows", function()
    db:shard("a"):run "UPDATE users SET n = 9"
    db:shard("a"):transaction(function(tx) tx:run "UPDATE users SET n = 10" end)
    db:run_all_shards "UPDATE users SET n = 11"
    assert.equal(11, db:first("y", "SELECT n FROM users WHERE id = 'y'").n)
  end)

  it("knows tables that were made since", function()
    db:ensure_schema "CREATE TABLE IF NOT EXISTS later (id TEXT PRIMARY KEY)"
    fixture.raises("USAGE", "check_keys", db.insert, db, "x", "INSERT INTO later VALUES ('y')")
    db:run("x", "CREATE TABLE latest (id TEXT PRIMARY KEY)")
    db:insert("x", "INSERT INTO latest VALUES ('x')")
    fixture.raises("USAGE", "check_keys", db.insert, db, "x", "INSERT INTO latest VALUES ('y')")
  end)

  it("passes on what a statement raises, and leaves no transaction open", function()
    fixture.raises("CONSTRAINT", nil, db.insert, db, "x", "INSERT INTO users VALUES ('x', 1)")
    fixture.raises("USAGE", "parameter", db.insert, db, "x", "INSERT INTO users VALUES (?, 1)")
    fixture.raises("SQL", nil, db.insert, db, "x", "INSERT INTO nope VALUES (1)")
    db:shard("a"):exec "BEGIN; COMMIT"
  end)

  it("works on a database in UTF-16", function()
    fixture.sqlite("u.db", "PRAGMA encoding = 'UTF-16'; CREATE TABLE users (id TEXT PRIMARY KEY, n); "
      .. "INSERT INTO users VALUES ('grüße', 1), ('y', 1)")
    local other = fixture.open { kv = "memory:", check_keys = true, shards = { u = fixture.path "u.db" } }
    assert.equal(1, other:run("grüße", "UPDATE users SET n = 2 WHERE id = 'grüße'").meta.changes)
    fixture.raises("USAGE", "y of users", other.run, other, "grüße", "UPDATE users SET n = 2 WHERE id = 'y'")
    assert.equal("grüße", other:first("grüße", "SELECT id FROM users WHERE id = ?", { "grüße" }).id)
  end)
end)
