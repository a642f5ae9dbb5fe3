-- Keys as callers write them: which writings are one key, and what is no key.

local collegedb = require "collegedb"
local fixture = require "spec.support.fixture"

local SCHEMA <const> = [[
  CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT);
  CREATE TABLE posts (id INTEGER PRIMARY KEY, name TEXT);
  CREATE TABLE items (id TEXT PRIMARY KEY, name TEXT);
  CREATE TABLE tags (name TEXT PRIMARY KEY COLLATE NOCASE, v);
  CREATE TABLE log (line TEXT);
]]

describe("a key", function()
  local db

  before_each(function()
    fixture.start()
    db = fixture.database(SCHEMA, nil, { "a", "b", "c", "d" })
  end)
  after_each(fixture.stop)

  -- Asserts that all keys lead to one shard, for each of many numbers.
  local function same(table_name, variants)
    for n = 1, 40 do
      local first
      for i, variant in ipairs(variants) do
        local shard = db:locate(variant(n), table_name)
        first = first or shard
        assert(shard == first, ("variant %d of %d is on %s, not %s"):format(i, n, shard, first))
      end
    end
  end

  describe("of a table with integer keys", function()
    it("is the same as integer, float and decimal string", function()
      same("users", {
        function(n) return n end,
        function(n) return n + 0.0 end,
        function(n) return tostring(n) end,
        function(n) return db:key("users", n) end,
        function(n) return db:key("USERS", tostring(n)) end,
        function(n) return db:key("users", n + 0.0) end,
      })
      db:insert(17, "INSERT INTO users VALUES (?, 'Ann')", { 17 })
      for _, key in ipairs { 17, 17.0, "17", db:key("users", 17) } do
        assert.equal("Ann", db:first(key, "SELECT name FROM users WHERE id = ?", { 17 }).name)
      end
    end)

    it("may be negative, zero and as large as integers are", function()
      for _, n in ipairs { 0, -1, math.maxinteger, math.mininteger, 1 << 53 } do
        db:insert(n, "INSERT INTO users VALUES (?, 'x')", { n })
        assert.same({ id = n, name = "x" }, db:first(tostring(n), "SELECT * FROM users WHERE id = ?", { n }))
        assert.equal(1, #fixture.holders({ "a", "b", "c", "d" }, "users", "id", n))
      end
      assert.equal("users:-9223372036854775808", tostring(db:key("users", math.mininteger)))
    end)

    it("is refused as any other float", function()
      for _, n in ipairs { 1.5, 0 / 0, math.huge, -math.huge, 2 ^ 63, 1e300 } do
        fixture.raises("USAGE", "float", db.first, db, n, "SELECT * FROM users")
        fixture.raises("USAGE", nil, db.key, db, "users", n)
        fixture.raises("USAGE", "float", db.locate, db, n, "users")
      end
    end)

    it("is no key of another table", function()
      local different = 0
      for n = 1, 40 do
        if db:locate(n, "users") ~= db:locate(n, "posts") then different = different + 1 end
      end
      assert.is_true(different > 10)
      db:insert(17, "INSERT INTO users VALUES (17, 'user')")
      db:insert(17, "INSERT INTO posts VALUES (17, 'post')")
      assert.equal("user", db:first(17, "SELECT name FROM users WHERE id = 17").name)
      assert.equal("post", db:first(17, "SELECT name FROM posts WHERE id = 17").name)
    end)

    it("is told from the statement's main table, however it is written", function()
      db:insert(17, "INSERT INTO users VALUES (17, 'Ann')")
      for _, sql in ipairs {
        "SELECT name FROM main.users WHERE id = 17", 'SELECT name FROM "Users" WHERE id = 17',
        "SELECT u.name FROM [users] AS u LEFT JOIN posts AS p ON p.id = u.id WHERE u.id = 17",
        "WITH x AS (SELECT * FROM users WHERE id = 17) SELECT name FROM x",
        "SELECT name FROM (SELECT * FROM users) WHERE id = 17",
        "UPDATE users SET name = name WHERE id = 17 RETURNING name",
      } do
        assert.equal("Ann", db:first(17, sql).name, sql)
      end
    end)

    it("needs a table to belong to", function()
      fixture.raises("USAGE", "db:key%(table, 17%)", db.first, db, 17, "SELECT 1")
      fixture.raises("USAGE", "db:key", db.first, db, 17, "SELECT * FROM log")
      fixture.raises("USAGE", "db:key", db.locate, db, 17)
      fixture.raises("USAGE", "db:key", db.transaction, db, 17, function() end)
    end)

    it("as a string that is no number is a key of the global keyspace", function()
      for _, text in ipairs { "abc", "0x11", "17a", "tenant-1" } do
        assert.equal(db:locate(text), db:locate(text, "users"))
        fixture.raises("USAGE", "integer", db.key, db, "users", text)
      end
    end)

    it("as another spelling of a number is refused, since SQL would take it for the same row", function()
      for _, text in ipairs { "017", "+17", "1e3", "17 ", "-0", "9223372036854775808", "1.0" } do
        fixture.raises("USAGE", "plain digits", db.locate, db, text, "users")
        fixture.raises("USAGE", "plain digits", db.first, db, text, "SELECT * FROM users WHERE id = ?", { text })
        fixture.raises("USAGE", "integer", db.key, db, "users", text)
      end
    end)
  end)

  describe("of a table with text keys", function()
    it("is the same as integer and as its digits", function()
      same("items", {
        function(n) return tostring(n) end,
        function(n) return n end,
        function(n) return db:key("items", n) end,
        function(n) return db:key("items", tostring(n)) end,
      })
    end)

    it("is refused as a float", function()
      fixture.raises("USAGE", "float", db.first, db, 17.0, "SELECT * FROM items")
      fixture.raises("USAGE", nil, db.key, db, "items", 17.0)
      fixture.raises("USAGE", nil, db.key, db, "items", 1.5)
    end)

    it("is one key in all of them", function()
      same(nil, {
        function(n) return "t" .. n end,
        function(n) return db:key("items", "t" .. n) end,
      })
      same("items", { function(n) return "t" .. n end })
      for n = 1, 20 do assert.equal(db:locate("t" .. n, "items"), db:locate("t" .. n, "tags")) end
    end)

    it("may hold any bytes", function()
      for _, key in ipairs { "a\0b", "\xff\xfe", "grüße", " ", "a b", "'; --" } do
        db:insert(key, "INSERT INTO items VALUES (?, 'x')", { key })
        assert.equal(key, db:first(key, "SELECT id FROM items WHERE id = ?", { key }).id)
      end
      assert.equal(6, db:count "items")
    end)
  end)

  describe("of a NOCASE column", function()
    it("is the same in upper and lower case", function()
      same("tags", {
        function(n) return "tag" .. n end,
        function(n) return "TAG" .. n end,
        function(n) return db:key("tags", "Tag" .. n) end,
      })
      for n = 1, 20 do
        db:insert("Tag" .. n, "INSERT INTO tags VALUES (?, ?)", { "Tag" .. n, n })
        assert.equal(n, db:first("tAG" .. n, "SELECT v FROM tags WHERE name = ?", { "TAG" .. n }).v)
        fixture.raises("CONSTRAINT", nil, db.insert, db, "TAG" .. n, "INSERT INTO tags VALUES (?, 0)", { "TAG" .. n })
      end
    end)

    it("folds ASCII letters only, as SQLite does", function()
      local different = 0
      for n = 1, 40 do
        if db:locate("Ä" .. n, "tags") ~= db:locate("ä" .. n, "tags") then different = different + 1 end
      end
      assert.is_true(different > 10)
    end)
  end)

  describe("has 1 to 512 bytes", function()
    local INSERT <const> = "INSERT INTO items VALUES (?, 'x')"

    it("and works with both", function()
      for _, key in ipairs { "x", ("x"):rep(512) } do
        db:insert(key, INSERT, { key })
        assert.equal("x", db:first(key, "SELECT name FROM items WHERE id = ?", { key }).name)
        assert.is_string(db:locate(key))
        assert.is_not_nil(db:key("items", key))
        assert.equal(db:locate(key), db:locate(key:upper(), "tags") and db:locate(key, "tags"))
      end
    end)

    it("and no other number", function()
      for _, key in ipairs { "", ("x"):rep(513), ("x"):rep(100000) } do
        for _, table_name in ipairs { "items", "tags", "users" } do
          fixture.raises("USAGE", "512", db.insert, db, key, "INSERT INTO " .. table_name .. " VALUES (1, 'x')")
          fixture.raises("USAGE", "512", db.locate, db, key, table_name)
        end
        fixture.raises("USAGE", "512", db.transaction, db, key, function() end)
        fixture.raises("USAGE", "512", db.key, db, "items", key)
        assert.equal(0, db:count "items")
      end
    end)
  end)

  it("is a string, an integer or db:key, and nothing else", function()
    for _, key in ipairs { true, false, {}, print, io.stdout, collegedb.null, collegedb.blob "x",
      coroutine.create(print), db } do
      fixture.raises("USAGE", "key", db.first, db, key, "SELECT * FROM items")
      fixture.raises("USAGE", "key", db.locate, db, key)
      fixture.raises("USAGE", "key", db.transaction, db, key, function() end)
    end
    fixture.raises("USAGE", "key", db.first, db, nil, "SELECT * FROM items")
  end)

  describe("of db:key", function()
    it("prints as table and id", function()
      assert.equal("users:17", tostring(db:key("users", 17)))
      assert.equal("users:17", tostring(db:key("Users", "17")))
      assert.equal("items:a b", tostring(db:key("items", "a b")))
    end)

    it("equals another of the same table and id", function()
      assert.equal(db:key("users", 17), db:key("users", "17"))
      assert.not_equal(db:key("users", 17), db:key("users", 18))
      assert.not_equal(db:key("users", 17), db:key("posts", 17))
      assert.equal(db:key("items", "a"), db:key("tags", "A"))
    end)

    it("routes statements of any table", function()
      db:insert(db:key("users", 17), "INSERT INTO users VALUES (17, 'Ann')")
      local key = db:key("users", 17)
      assert.equal(1, db:first(key, "SELECT 1 AS one").one)
      assert.equal(1, #db:all(key, "SELECT u.id FROM (SELECT 1) LEFT JOIN users AS u"))
      db:transaction(key, function(tx) assert.equal("Ann", tx:first("SELECT name FROM users").name) end)
      assert.equal("Ann", db:batch(key, { { "SELECT name FROM users" } })[1].results[1].name)
    end)

    it("wants a table that has a key, and an id", function()
      fixture.raises("TABLE_NOT_FOUND", "nope", db.key, db, "nope", 1)
      fixture.raises("TABLE_NOT_FOUND", "no primary key", db.key, db, "log", 1)
      fixture.raises("USAGE", "table's name", db.key, db)
      fixture.raises("USAGE", "table's name", db.key, db, 17)
      for _, id in ipairs { true, {}, print, collegedb.null } do
        fixture.raises("USAGE", "key of users", db.key, db, "users", id)
        fixture.raises("USAGE", "key of items", db.key, db, "items", id)
      end
      fixture.raises("USAGE", nil, db.key, db, "users")
      fixture.raises("USAGE", "keyspace", db.key, db, "users", 17, "nowhere")
      fixture.raises("USAGE", nil, db.key, db, "users", 17, 5)
    end)
  end)

  it("is found by the type of its column: other types", function()
    db:ensure_schema [[
      CREATE TABLE t_bigint (id BIGINT PRIMARY KEY); CREATE TABLE t_uuid (id UUID PRIMARY KEY);
      CREATE TABLE t_varchar (id VARCHAR(20) PRIMARY KEY); CREATE TABLE t_blob (id BLOB PRIMARY KEY);
      CREATE TABLE t_untyped (id PRIMARY KEY); CREATE TABLE t_strict (id INT PRIMARY KEY) STRICT;
      CREATE TABLE t_norowid (v, id TEXT PRIMARY KEY) WITHOUT ROWID]]
    local cases = { t_bigint = 5, t_uuid = "5a", t_varchar = "x", t_untyped = "u", t_strict = 7, t_norowid = "n" }
    for name, key in pairs(cases) do
      db:insert(key, ("INSERT INTO %s (id) VALUES (?)"):format(name), { key })
      assert.equal(key, db:first(key, ("SELECT id FROM %s WHERE id = ?"):format(name), { key }).id, name)
      assert.equal(db:locate(key, name), fixture.holders({ "a", "b", "c", "d" }, name, "id", key)[1])
    end
    db:insert("by\0tes", "INSERT INTO t_blob VALUES (?)", { collegedb.blob "by\0tes" })
    assert.equal("by\0tes", db:first("by\0tes", "SELECT id FROM t_blob WHERE id = ?", { collegedb.blob "by\0tes" }).id)
  end)
end)

describe("a keyspace", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  local function two_shops()
    for i, name in ipairs { "a", "b" } do
      fixture.sqlite(name .. ".db", ([[CREATE TABLE orders (id INTEGER PRIMARY KEY, shop);
        CREATE TABLE cities (name TEXT PRIMARY KEY, shop);
        INSERT INTO orders VALUES (1, '%s'), (2, '%s'), (%d, '%s'); INSERT INTO cities VALUES ('c%s', '%s')]])
        :format(name, name, 100 + i, name, name, name))
    end
  end

  local function read(db, id, tag)
    local row = db:first(db:key("orders", id, tag), "SELECT shop FROM orders WHERE id = ?", { id })
    return row and row.shop
  end

  for _, auto_migrate in ipairs { false, true } do
    describe(auto_migrate and "of integrated files" or "of files that are probed", function()
      it("keeps files that both number from 1 apart", function()
        two_shops()
        local db = fixture.open(fixture.config { auto_migrate = auto_migrate,
          shards = { a = { keyspace = "east" }, b = { keyspace = "west" } } })
        assert.equal("a", read(db, 1, "east"))
        assert.equal("b", read(db, 1, "west"))
        assert.equal("a", read(db, 101, "east"))
        assert.is_nil(read(db, 101, "west"))
        assert.equal("a", db:locate(db:key("orders", 7, "east")))
        assert.equal("b", db:locate(db:key("orders", 7, "west")))
        assert.equal("a", db:first("ca", "SELECT shop FROM cities WHERE name = 'ca'").shop)
        assert.equal("b", db:first("cb", "SELECT shop FROM cities WHERE name = 'cb'").shop)
      end)

      it("of one shard leaves the other with the bare numbers", function()
        two_shops()
        local db = fixture.open(fixture.config { auto_migrate = auto_migrate, shards = { b = { keyspace = "west" } } })
        for _ = 1, 2 do
          assert.equal("a", db:first(1, "SELECT shop FROM orders WHERE id = 1").shop)
          assert.equal("b", read(db, 1, "west"))
          assert.equal("a", read(db, 101))
          assert.is_nil(read(db, 102))
        end
      end)

      it("of two shards at once finds the rows of both", function()
        for i, name in ipairs { "a", "b" } do
          fixture.sqlite(name .. ".db", ([[CREATE TABLE orders (id INTEGER PRIMARY KEY, shop);
            CREATE TABLE cities (name TEXT PRIMARY KEY, shop);
            WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10)
            INSERT INTO orders SELECT %d + i, '%s' FROM n;
            INSERT INTO cities SELECT '%s' || id, shop FROM orders]]):format(i * 100, name, name))
        end
        local db = fixture.open(fixture.config { auto_migrate = auto_migrate,
          shards = { a = { keyspace = "eu" }, b = { keyspace = "eu" } } })
        for i, name in ipairs { "a", "b" } do
          for id = i * 100 + 1, i * 100 + 10 do
            assert.equal(name, read(db, id, "eu"))
            local city = name .. id
            assert.equal(name, db:first(city, "SELECT shop FROM cities WHERE name = ?", { city }).shop)
            -- A keyspace has no meaning for text keys: ignored or refused, but never a row that is not found.
            local taken, key = pcall(db.key, db, "cities", city, "eu")
            local row = taken and db:first(key, "SELECT shop FROM cities WHERE name = ?", { city })
            assert(not taken or (row and row.shop == name), city .. " is not found in its keyspace")
          end
        end
      end)
    end)
  end

  it("puts new rows on its shard only, and its key prints with it", function()
    two_shops()
    local db = fixture.open(fixture.config { shards = { a = { keyspace = "east" }, b = { keyspace = "west" } } })
    for id = 200, 220 do
      db:insert(db:key("orders", id, "west"), "INSERT INTO orders VALUES (?, 'new')", { id })
      assert.same({ "b" }, fixture.holders({ "a", "b" }, "orders", "id", id))
    end
    assert.matches("west", tostring(db:key("orders", 200, "west")))
    assert.matches("orders:200", tostring(db:key("orders", 200, "west")))
    assert.not_equal(db:key("orders", 200, "west"), db:key("orders", 200, "east"))
  end)

  it("must be written where a bare integer could mean two tables", function()
    two_shops()
    local db = fixture.open(fixture.config { shards = { a = { keyspace = "east" }, b = { keyspace = "west" } } })
    local e = fixture.raises("USAGE", "db:key", db.first, db, 1, "SELECT * FROM orders WHERE id = 1")
    assert.matches("east", e.message)
    assert.matches("west", e.message)
    fixture.raises("USAGE", "db:key", db.insert, db, 1, "INSERT INTO orders VALUES (1, 'x')")
    fixture.raises("USAGE", "db:key", db.locate, db, 1, "orders")
  end)

  it("that a shard gets later is its keys' from then on", function()
    two_shops()
    local db = fixture.open(fixture.config())
    assert.equal("a", db:first(1, "SELECT shop FROM orders WHERE id = 1").shop)
    db:close()
    db = fixture.open(fixture.config { shards = { b = { keyspace = "west" } } })
    assert.equal("b", read(db, 1, "west"))
    assert.equal("b", read(db, 102, "west"))
    assert.equal("a", read(db, 1))
    assert.is_nil(read(db, 102))
    db:close()
    db = fixture.open(fixture.config())
    assert.equal("b", read(db, 102))
  end)
end)
