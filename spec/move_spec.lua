-- Moving groups between shards: whole, once, and undone where it can not be done.

local collegedb = require "collegedb"
local fixture = require "spec.support.fixture"

local SHOP = [[
CREATE TABLE users (id TEXT PRIMARY KEY, mail TEXT UNIQUE, n INTEGER);
CREATE TABLE orders (id INTEGER PRIMARY KEY, user_id TEXT NOT NULL REFERENCES users ON DELETE CASCADE, v,
  UNIQUE (user_id, v));
CREATE TABLE items (order_id INTEGER REFERENCES orders ON DELETE CASCADE, line INTEGER, v, PRIMARY KEY (order_id, line))
  WITHOUT ROWID;
CREATE TABLE settings (id TEXT PRIMARY KEY, v);]]

local VALUES = { 1, -1, math.maxinteger, 1.5, -0.0, "text", "with\0nul", "é" }

local function open(extra) return fixture.database(SHOP, extra) end

-- A user on shard a, with orders and items; returns the key.
local function make(db, from, n)
  local key = fixture.key_on(db, "a", from)
  db:insert(key, "INSERT INTO users VALUES (?, ?, 1)", { key, key .. "@x" })
  db:insert(key, "INSERT INTO settings VALUES (?, 's')", { key })
  for i = 1, n or #VALUES do
    local id = (from or 1) * 100 + i
    db:insert(key, "INSERT INTO orders VALUES (?, ?, ?)", { id, key, VALUES[i] or i })
    db:insert(key, "INSERT INTO items VALUES (?, 1, ?), (?, 2, NULL)", { id, collegedb.blob("b\0" .. i), id })
  end
  return key
end

local function count(name)
  return fixture.rows(name .. ".db", [[SELECT (SELECT count(*) FROM users) AS users,
    (SELECT count(*) FROM orders) AS orders, (SELECT count(*) FROM items) AS items,
    (SELECT count(*) FROM settings) AS settings]])[1]
end

local nothing = { users = 0, orders = 0, items = 0, settings = 0 }

local function contents(name)
  local list = {}
  for i, each in ipairs { "users", "orders", "items", "settings" } do
    list[i] = fixture.rows(name .. ".db", ("SELECT * FROM %s ORDER BY 1, 2"):format(each))
  end
  return list
end

describe("moving", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("takes the whole group of a key, with every value as it was", function()
    local db = open()
    local key = make(db)
    local before = contents "a"
    assert.same({ moved = true, from = "a", to = "b", rows = 26 }, db:reassign_shard(key, "b"))
    assert.same(nothing, count "a")
    assert.same(before, contents "b")
    assert.same({ "b", "directory" }, { db:locate(key) })
    assert.equal(8, #db:all(key, "SELECT id FROM orders WHERE user_id = ?", { key }))
    assert.equal(2, #db:all(103, "SELECT line FROM items WHERE order_id = ?", { 103 }))
    assert.same({ moved = false, from = "b", to = "b", rows = 0 }, db:reassign_shard(key, "b"))
  end)

  it("goes there and back again, and again", function()
    local db = open()
    local key = make(db)
    local before = contents "a"
    for _ = 1, 3 do
      assert.is_true(db:reassign_shard(key, "b").moved)
      assert.is_true(db:reassign_shard(key, "a").moved)
    end
    assert.same(before, contents "a")
    assert.same(nothing, count "b")
    db:insert(key, "INSERT INTO orders VALUES (900, ?, 'new')", { key })
    db:insert(900, "INSERT INTO items VALUES (900, 1, 'new')")
  end)

  it("is asked for by a row's own key too", function()
    local db = open()
    local key = make(db)
    assert.equal("b", db:reassign_shard(105, "b", "orders").to)
    assert.equal("b", (db:locate(key)))
    assert.equal("a", db:reassign_shard(db:key("orders", 105), "a").to)
    assert.equal("a", (db:locate(key)))
  end)

  it("leaves other keys where they are", function()
    local db = open()
    local first, second = make(db, 1), make(db, 50)
    db:reassign_shard(first, "b")
    assert.same({ "a" }, fixture.holders({ "a", "b" }, "users", "id", second))
    db:run(second, "UPDATE users SET n = n + 1 WHERE id = ?", { second })
    db:insert(second, "INSERT INTO orders VALUES (7000, ?, 'x')", { second })
    assert.equal(8 + 1, count("a").orders)
  end)

  it("refuses keys that nobody knows, unknown shards and wrong keys", function()
    local db = open()
    fixture.raises("MAPPING_NOT_FOUND", "nothing to move", db.reassign_shard, db, "nobody", "b")
    fixture.raises("MAPPING_NOT_FOUND", nil, db.reassign_shard, db, 5, "b", "orders")
    fixture.raises("SHARD_NOT_FOUND", nil, db.reassign_shard, db, "nobody", "z")
    for _, key in ipairs { "", true, 1.5, {} } do
      fixture.raises("USAGE", nil, db.reassign_shard, db, key, "b", "orders")
    end
  end)

  describe("is undone, and leaves all as it was, when", function()
    -- What is wrong, SQL that makes it so (of shard a, of shard b), the code and what the message names.
    local cases = {
      { "the target has a row with the same unique value", nil, "INSERT INTO users VALUES ('z', 'KEY@x', 1)",
        "CONFLICT", "mail" },
      { "the target has rows of the key", nil, "INSERT INTO orders VALUES (1, 'KEY', 1)", "CONFLICT", "orders" },
      { "the target has a row with the same own key", nil, "INSERT INTO orders VALUES (101, 'z', 1)", "CONFLICT",
        "id" },
      { "the target lacks a table", nil, "DROP TABLE settings", "TABLE_NOT_FOUND", "settings" },
      { "the target's table has another column", nil, "ALTER TABLE settings ADD COLUMN more", "UNSUPPORTED",
        "columns" },
      { "a trigger of the user's would run at the target", nil, [[CREATE TRIGGER mine AFTER INSERT ON orders BEGIN
        UPDATE users SET n = n + 1 WHERE id = new.user_id; END]], "UNSUPPORTED", "mine" },
      { "a trigger of the user's would run at the source", [[CREATE TRIGGER mine AFTER DELETE ON items BEGIN
        UPDATE users SET n = n + 1; END]], nil, "UNSUPPORTED", "mine" },
      { "a unique index is over an expression", "CREATE UNIQUE INDEX odd ON users (lower(mail))", nil, "UNSUPPORTED",
        "odd" },
    }
    for _, case in ipairs(cases) do
      it(case[1], function()
        local db = open()
        local key = make(db)
        for i, name in ipairs { "a", "b" } do
          local sql = case[i + 1] and case[i + 1]:gsub("KEY", key)
          if sql then db:shard(name):exec(sql) end
        end
        local before = contents "a"
        fixture.raises(case[4], case[5], db.reassign_shard, db, key, "b")
        assert.same(before, contents "a")
        assert.equal("a", (db:locate(key)))
        db:run(key, "UPDATE users SET n = n + 1 WHERE id = ?", { key })
        db:insert(key, "INSERT INTO orders VALUES (999, ?, 'after')", { key })
        assert.equal(0, #fixture.rows("directory.db", "SELECT * FROM _collegedb_moves"))
        for _, name in ipairs { "a", "b" } do
          for _, row in ipairs(fixture.rows(name .. ".db", [[SELECT name FROM sqlite_schema
              WHERE type = 'table' AND name LIKE '\_collegedb\_stage\_%' ESCAPE '\']])) do
            assert.equal(0, fixture.rows(name .. ".db", ("SELECT count(*) AS n FROM %q"):format(row.name))[1].n)
          end
        end
      end)
    end
  end)

  describe("whose mover dies after the step", function()
    for _, step in ipairs(require("collegedb.workflows.move").steps) do
      it(step .. " is finished or undone", function()
        local db = open()
        local key = make(db)
        local before = contents "a"
        db:close()
        local pipe = fixture.spawn(([[
          local core, move = require "collegedb.core", require "collegedb.workflows.move"
          local db = collegedb.open { kv = folder .. "/directory.db", shards = {
            { name = "a", folder .. "/a.db" }, { name = "b", folder .. "/b.db" } } }
          move.run(core.state(db), { keyspace = "", keys = { %q }, source = 1, target = 2, on_step = function(name)
            if name == %q then os.execute("kill -9 " .. io.open("/proc/self/stat"):read "n") end
          end })]]):format(key, step))
        pipe:read "a"
        pipe:close()
        db = fixture.open(fixture.config())
        local recovery = require "collegedb.recovery"
        local state = require("collegedb.core").state(db)
        if step ~= "close" then assert.same({ finished = 0, undone = 0 }, (function(r)
          return { finished = r.finished, undone = r.undone }
        end)(recovery.run(state))) end
        recovery.run(state, true)
        local after = { commit = true, activate = true, publish = true, clean = true, close = true }
        local committed = after[step] or false
        assert.same(before, contents(committed and "b" or "a"))
        assert.same(nothing, count(committed and "a" or "b"))
        assert.equal(committed and "b" or "a", (db:locate(key)))
        db:run(key, "UPDATE users SET n = n + 1 WHERE id = ?", { key })
        assert.same({ finished = 0, undone = 0, live = 0 }, recovery.run(state, true))
        assert.is_true(db:reassign_shard(key, committed and "a" or "b").moved)
        assert.same(nothing, count(committed and "b" or "a"))
      end)
    end
  end)

  it("heeds foreign keys that are enforced, and no others", function()
    local db = open()
    db:ensure_schema "CREATE TABLE notes (id TEXT PRIMARY KEY, about TEXT REFERENCES users (id))"
    local key = make(db)
    db:shard("a"):run("INSERT INTO notes VALUES ('n', ?)", { key })
    db:shard("a"):exec "PRAGMA foreign_keys = ON"
    local before = contents "a"
    fixture.raises("CONSTRAINT", "1 foreign keys", db.reassign_shard, db, key, "b")
    assert.same(before, contents "a")
    assert.equal(1, db:shard("a"):first("PRAGMA foreign_keys").foreign_keys)
    db:shard("a"):run "DELETE FROM notes"
    assert.is_true(db:reassign_shard(key, "b").moved)
    assert.same(before, contents "b")
  end)

  it("is followed by loops", function()
    local db = open()
    local key = make(db)
    local other = fixture.open(fixture.config())
    local function rows()
      local n = 0
      for _ in other:each(key, "SELECT id FROM orders WHERE user_id = ?", { key }) do n = n + 1 end
      return n
    end
    assert.equal(8, rows())
    db:reassign_shard(key, "b")
    assert.equal(1, other:run(key, "UPDATE users SET n = 5 WHERE id = ?", { key }).meta.changes)
    assert.equal(8, rows())
    db:reassign_shard(key, "a")
    assert.equal(8, rows())
  end)

  it("is refused where the directory can not keep its journal", function()
    local data = {}
    local kv = {
      get = function(k) return data[k] end,
      put = function(k, v) data[k] = v end,
      delete = function(k) data[k] = nil end,
      list = function(prefix)
        local names = {}
        for name in pairs(data) do if name:sub(1, #prefix) == prefix then names[#names + 1] = name end end
        return names
      end,
      compare_and_set = function(k, old, new)
        if data[k] ~= old then return false end
        data[k] = new
        return true
      end,
    }
    local db = fixture.open { kv = kv, shards = { a = fixture.path "a.db", b = fixture.path "b.db" } }
    db:ensure_schema(SHOP)
    local key = make(db)
    fixture.raises("UNSUPPORTED", "directory", db.reassign_shard, db, key, "b")
  end)
end)
