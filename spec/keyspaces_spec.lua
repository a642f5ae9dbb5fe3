-- keyspaces = false: a key is one key for all tables, as in the TypeScript library.

local collegedb = require "collegedb"
local core = require "collegedb.core"
local fixture = require "spec.support.fixture"

local SCHEMA = [[
  CREATE TABLE IF NOT EXISTS users (id INTEGER PRIMARY KEY, name TEXT);
  CREATE TABLE IF NOT EXISTS posts (id INTEGER PRIMARY KEY, text TEXT);
  CREATE TABLE IF NOT EXISTS tags (tag TEXT PRIMARY KEY, n INTEGER);
  CREATE TABLE IF NOT EXISTS visits (id INTEGER PRIMARY KEY, user INTEGER REFERENCES users (id) ON DELETE CASCADE)]]

for _, kind in ipairs { "a file", "a directory that takes a statement at a time", "shards that do so too" } do
  describe("one keyspace in " .. kind, function()
    before_each(fixture.start)
    after_each(fixture.stop)

    local function single(name)
      local shard = core.sqlite(fixture.path(name .. ".db"), { name = name, single = true })
      fixture.track { close = function() core.close(shard) end }
      return shard
    end

    local function config(extra)
      local given = fixture.config({ keyspaces = false }, { "a", "b", "c" })
      if kind ~= "a file" then given.kv = fixture.single "directory.db" end
      for name, value in pairs(extra or {}) do given[name] = value end
      if kind:find "shards" then
        for _, shard in ipairs(given.shards) do shard[1] = single(shard.name) end
      end
      return given
    end

    local function open(extra)
      local db = fixture.open(config(extra))
      db:ensure_schema(SCHEMA)
      return db
    end

    local function fill(db, key)
      db:insert(key, "INSERT INTO users VALUES (?, 'Ada')", { key })
      db:insert(key, "INSERT INTO posts VALUES (?, 'hello')", { key })
      db:insert(tostring(key), "INSERT INTO tags VALUES (?, 1)", { tostring(key) })
      db:insert(key, "INSERT INTO visits VALUES (?, ?)", { key * 100, key })
    end

    -- The shards that have rows of a table, each with their keys.
    local function places(db, name, column)
      local found = {}
      for _, shard in ipairs(db:list_known_shards()) do
        for _, row in ipairs(db:shard(shard):all(("SELECT CAST(%s AS TEXT) AS k FROM %s"):format(column, name))) do
          found[row.k] = (found[row.k] or "") .. shard
        end
      end
      return found
    end

    for _, strategy in ipairs { "hash", "hash_compat" } do
      it("has one place for 17 and \"17\" in all tables, by " .. strategy, function()
        local db = open { strategy = strategy }
        for key = 1, 30 do fill(db, key) end
        local users = places(db, "users", "id")
        assert.same(users, places(db, "posts", "id"))
        assert.same(users, places(db, "tags", "tag"))
        for key = 1, 30 do
          assert.equal(users[tostring(key)], (db:locate(tostring(key))))
          assert.equal(users[tostring(key)], (db:locate(key, "posts")))
          assert.equal("Ada", db:first(key, "SELECT name FROM users WHERE id = ?", { key }).name)
          assert.equal("Ada", db:first(tostring(key), "SELECT name FROM users WHERE id = ?", { key }).name)
        end
        local keys = 0
        for _, each in ipairs(db:get_shard_stats()) do keys = keys + each.count end
        assert.equal(30, keys)
        assert.is_true(db:verify({}).success)
      end)
    end

    it("moves all that is of a key, and nothing that only looks like it", function()
      local db = open()
      for key = 16, 18 do fill(db, key) end
      local from = db:locate "17"
      local to = from == "a" and "b" or "a"
      local others = { "17a", "17.0", " 17", "1e1", "0", "abc", "" .. math.mininteger, "9223372036854775808" }
      for _, name in ipairs(others) do
        db:mapper():set_shard_mapping(name, from)
        db:insert(name, "INSERT INTO tags VALUES (?, 2)", { name })
      end
      local report = db:reassign_shard("17", to)
      assert.equal(4, report.rows)
      assert.equal(to, places(db, "users", "id")["17"])
      assert.equal(to, places(db, "posts", "id")["17"])
      assert.equal(to, places(db, "visits", "user")["17"])
      assert.equal(to, places(db, "tags", "tag")["17"])
      for _, name in ipairs(others) do assert.equal(from, places(db, "tags", "tag")[name]) end
      -- A string takes no row along whose number SQLite would make of it.
      db:mapper():set_shard_mapping("10", from)
      db:mapper():set_shard_mapping("0", from)
      db:insert(10, "INSERT INTO users VALUES (10, 'Ten')")
      for _, name in ipairs { "1e1", "abc", " 17" } do
        assert.equal(1, db:reassign_shard(name, to).rows)
      end
      assert.equal(from, places(db, "users", "id")["10"])
      assert.equal("Ada", db:first(17, "SELECT name FROM users WHERE id = 17").name)
      assert.is_true(db:verify({}).success)
      assert.equal(4, db:reassign_shard("17", from).rows)
      assert.is_true(db:verify({}).success)
    end)

    it("refuses writes of a key that has left, in every table", function()
      local db = open()
      fill(db, 17)
      local from = db:locate "17"
      db:reassign_shard("17", from == "a" and "b" or "a")
      local stale = db:shard(from)
      for _, sql in ipairs { "INSERT INTO users VALUES (17, 'x')", "INSERT INTO posts VALUES (17, 'x')",
        "INSERT INTO tags VALUES ('17', 1)", "INSERT INTO visits VALUES (9, 17)" } do
        fixture.raises("MOVED", nil, stale.run, stale, sql)
      end
      stale:run "INSERT INTO tags VALUES ('17x', 1)"
    end)

    it("takes existing rows over", function()
      fixture.sqlite("a.db", SCHEMA .. "; INSERT INTO users VALUES (17, 'x'), (18, 'y')")
      fixture.sqlite("b.db", SCHEMA .. "; INSERT INTO posts VALUES (18, 'z'), (19, 'z'); "
        .. "INSERT INTO tags VALUES ('x', 1)")
      local db = fixture.open(config { strategy = "round_robin" })
      assert.equal("a", (db:locate "17"))
      assert.equal("b", (db:locate(19, "users")))
      assert.equal(1, #db:integration_report("b").conflicts)
      assert.equal(1, db:verify({}).counts.doubled)
    end)

    it("rebalances", function()
      local db = open()
      for key = 1, 40 do fill(db, key) end
      db:add_shard { name = "d", kind:find "shards" and single "d" or fixture.path "d.db" }
      db:rebalance()
      assert.is_true(db:verify({}).success)
      local users = places(db, "users", "id")
      assert.same(users, places(db, "posts", "id"))
      assert.same(users, places(db, "tags", "tag"))
      local moved = false
      for _, shard in pairs(users) do moved = moved or shard == "d" end
      assert.is_true(moved)
    end)

    it("stays as it was", function()
      local given = config()
      collegedb.open(given):close()
      given.keyspaces = true
      if kind ~= "a file" then given.kv = fixture.single "directory.db" end
      fixture.raises("CONFIG", "keyspaces is not what", collegedb.open, given)
      given.keyspaces = false
      collegedb.open(given):close()
      local other = config { kv = kind == "a file" and fixture.path "other.db" or fixture.single "other.db",
        keyspaces = true }
      collegedb.open(other):close()
      other.keyspaces = false
      fixture.raises("CONFIG", "keyspaces is not what", collegedb.open, other)
    end)
  end)
end
