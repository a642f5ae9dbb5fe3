-- A database over two shards of every kind: routed calls, calls on all shards, schemas, counts, keys of each sort, what
-- it finds again when it is opened anew, and what a shard without transactions says of them.

local collegedb = require "collegedb"
local core = require "collegedb.core"
local fixture = require "spec.support.fixture"
local kinds = require "spec.support.kinds"

local raises = fixture.raises
local INSERT <const> = "INSERT INTO users (id, n) VALUES (?, ?)"
local USERS <const> = "CREATE TABLE IF NOT EXISTS users (id TEXT PRIMARY KEY, n INTEGER, note TEXT DEFAULT 'a;b')"

for _, kind in ipairs(kinds) do
  describe("a database on two shards, each " .. kind.name, function()
    if kinds.skip(kind, it, function(why) pending(why) end) then return end
    setup(kind.start)
    teardown(kind.stop)
    local db, config

    -- Opens it again, with the same directory and the same shards.
    local function reopen(extra)
      if db then db:close() end
      local given = {}
      for field, value in pairs(config) do given[field] = value end
      for field, value in pairs(extra or {}) do given[field] = value end
      db = fixture.open(given)
    end

    before_each(function()
      fixture.start()
      config = { kv = fixture.path "directory.db", auto_migrate = true,
        shards = { kinds.entry(kind, "a"), kinds.entry(kind, "b") } }
      db = nil
      reopen()
      for _, name in ipairs { "a", "b" } do db:shard(name):exec(USERS) end
    end)
    after_each(fixture.stop)

    local function fill(count)
      for i = 1, count do db:insert("u" .. i, INSERT, { "u" .. i, i }) end
    end

    it("routes each statement to the shard of its key", function()
      fill(12)
      local total, by_shard = db:count "users"
      assert.equal(12, total)
      assert(by_shard.a > 0 and by_shard.b > 0)
      for i = 1, 12 do
        local key = "u" .. i
        local home = db:locate(key)
        assert.equal(i, db:shard(home):first("SELECT n FROM users WHERE id = ?", { key }).n)
        local result = db:select_by_primary_key(key, "SELECT id, n FROM users WHERE id = ?", { key })
        assert.same({ { { id = key, n = i } }, home }, { result.results, result.meta.served_by })
        result = db:update_by_primary_key(key, "UPDATE users SET n = n + 1 WHERE id = ?", { key })
        assert.same({ 1, home }, { result.meta.changes, result.meta.served_by })
        assert.equal(i + 1, db:first(key, "SELECT n FROM users WHERE id = ?", { key }).n)
        assert.same({ { note = "a;b" } }, db:all(key, "SELECT note FROM users WHERE id = :id", { id = key }))
        for row in db:each(key, "SELECT n FROM users WHERE id = ?", { key }) do assert.equal(i + 1, row.n) end
      end
      assert.equal(1, db:delete_by_primary_key("u1", "DELETE FROM users WHERE id = ?", { "u1" }).meta.changes)
      assert.equal(0, db:delete_by_primary_key("u1", "DELETE FROM users WHERE id = ?", { "u1" }).meta.changes)
      assert.is_nil(db:first("u1", "SELECT n FROM users WHERE id = ?", { "u1" }))
      assert.equal(11, (db:count "users"))
    end)

    it("raises with the key, the shard and the statement", function()
      fill(1)
      local e = raises("CONSTRAINT", "UNIQUE", db.insert, db, "u1", INSERT, { "u1", 5 })
      assert.same({ "u1", (db:locate "u1"), INSERT, false }, { e.key, e.shard, e.sql, e.retryable })
      for method, code in pairs { run = "SQL", first = "SQL", all = "SQL" } do
        e = raises(code, "no such column", db[method], db, "u1", "SELECT nope FROM users")
        assert.same({ "u1", (db:locate "u1") }, { e.key, e.shard })
      end
      raises("USAGE", "one statement", db.run, db, "u1", "SELECT 1; SELECT 2")
      raises("USAGE", "transaction", db.run, db, "u1", "BEGIN")
      raises("USAGE", "ATTACH", db.run, db, "u1", "ATTACH 'x' AS y")
      raises("USAGE", "parameter 2 is missing", db.insert, db, "u9", INSERT, { "u9" })
      assert.equal(1, (db:count "users"))
    end)

    it("has keys that are integers, in a keyspace of their table", function()
      db:ensure_schema "CREATE TABLE posts (id INTEGER PRIMARY KEY, title TEXT)"
      for i = 1, 8 do db:insert(i, "INSERT INTO posts VALUES (?, ?)", { i, "post " .. i }) end
      db:insert(math.maxinteger, "INSERT INTO posts VALUES (?, 'last')", { math.maxinteger })
      for i = 1, 8 do
        assert.equal("post " .. i, db:first(i, "SELECT title FROM posts WHERE id = ?", { i }).title)
        local key = db:key("posts", tostring(i))
        assert.equal("post " .. i, db:first(key, "SELECT title FROM posts WHERE id = ?", { i }).title)
      end
      local row = db:first(math.maxinteger, "SELECT id, title FROM posts WHERE id = ?", { math.maxinteger })
      assert.same({ id = math.maxinteger, title = "last" }, row)
      assert.equal(9, (db:count "posts"))
      assert.is_nil(db:first(9, "SELECT title FROM posts WHERE id = 9"))
      assert.is_string((db:locate(3, "posts")))
    end)

    it("keeps a group together, and finds its members by their own keys", function()
      db:ensure_schema [[
        CREATE TABLE customers (email TEXT PRIMARY KEY, name TEXT);
        CREATE TABLE orders (id INTEGER PRIMARY KEY, customer TEXT REFERENCES customers ON DELETE CASCADE, v TEXT);]]
      for i = 1, 6 do
        local email = ("c%d@x"):format(i)
        db:insert(email, "INSERT INTO customers VALUES (?, 'name')", { email })
        db:insert(email, "INSERT INTO orders VALUES (?, ?, 'v')", { i, email })
        assert.equal((db:locate(email)), (db:locate(i, "orders")))
        assert.equal("v", db:first(i, "SELECT v FROM orders WHERE id = ?", { i }).v)
      end
      raises("USAGE", "key of customers", db.insert, db, 77, "INSERT INTO orders VALUES (77, 'c1@x', 'v')")
    end)

    it("runs a statement on all shards", function()
      fill(6)
      local results = db:run_all_shards("SELECT id, n FROM users WHERE n > ? ORDER BY id", { 0 })
      assert.equal(6, #results.a.results + #results.b.results)
      assert.same({ "a", "b" }, { results.a.meta.served_by, results.b.meta.served_by })
      results = db:run_all_shards("INSERT INTO users (id, n) VALUES ('everywhere', ?)", { 5 })
      assert.same({ 1, 1 }, { results.a.meta.changes, results.b.meta.changes })
      db:shard("b"):run "DROP TABLE users"
      local e = raises("SQL", "no such table", db.run_all_shards, db, "UPDATE users SET n = 0")
      assert.equal("b", e.shard)
      assert(e.results.a.meta.changes >= 1)
      assert.is_true(collegedb.is_error(e.failures.b, "SQL"))
      raises("USAGE", nil, db.run_all_shards, db, "SELECT 1; SELECT 2")
    end)

    it("counts rows, and says where they are", function()
      assert.same({ 0, { a = 0, b = 0 } }, { db:count "users" })
      fill(9)
      local total, by_shard = db:count "USERS"
      assert.same({ 9, 9 }, { total, by_shard.a + by_shard.b })
      db:shard("b"):exec [[CREATE TABLE "a ""b"" c" (x); INSERT INTO "a ""b"" c" VALUES (1), (2)]]
      assert.same({ 2, { a = 0, b = 2 } }, { db:count 'a "b" c' })
      raises("TABLE_NOT_FOUND", "nope", db.count, db, "nope")
      local stats = db:get_shard_stats()
      assert.same({ "a", "b" }, { stats[1].binding, stats[2].binding })
      assert.same({ by_shard.a, by_shard.b }, { stats[1].count, stats[2].count })
      for _, each in ipairs(stats) do
        assert.equal("integer", math.type(each.size))
        assert(each.size > 0 and each.last_updated > 1.6e12)
      end
      assert.same({ "a", "b" }, db:list_known_shards())
    end)

    it("makes schemas on all shards, with triggers and literals that hold semicolons", function()
      local sql = [[
        -- notes; and what happens to them
        CREATE TABLE IF NOT EXISTS notes (id TEXT PRIMARY KEY, note TEXT DEFAULT 'x;y') ;
        CREATE TRIGGER IF NOT EXISTS tr AFTER INSERT ON notes BEGIN
          UPDATE notes SET note = CASE note WHEN 'x;y' THEN note || ';' ELSE 'END;' END; SELECT 1; END;
        CREATE INDEX IF NOT EXISTS by_note ON notes (note); /* done; */]]
      for _ = 1, 2 do db:ensure_schema(sql) end
      for _, name in ipairs { "a", "b" } do
        db:shard(name):run("INSERT INTO notes (id) VALUES ('n')")
        assert.same({ note = "x;y;" }, db:shard(name):first "SELECT note FROM notes")
      end
      raises("SQL", nil, db.ensure_schema, db, "CREATE TABLE broken (")
    end)

    it("gives a shard the schema of the others", function()
      db:shard("a"):exec [[CREATE TABLE more (id TEXT PRIMARY KEY, v TEXT DEFAULT ';'); CREATE INDEX more_v ON more (v);
        CREATE TRIGGER more_t AFTER INSERT ON more BEGIN UPDATE users SET n = n; END]]
      db:shard("b"):run "DROP TABLE users"
      db:ensure_schema "CREATE TABLE IF NOT EXISTS other (id TEXT PRIMARY KEY)"
      db:shard("b"):run "DROP TABLE other"
      db:create_schema "b"
      db:create_schema("b", "CREATE TABLE last (id TEXT PRIMARY KEY)")
      local names = {}
      local found = db:shard("b"):all [[SELECT name FROM sqlite_schema WHERE sql > '' AND substr(name, 1, 4) <> '_cf_'
        AND name <> '_collegedb_applied' ORDER BY name]]
      for _, row in ipairs(found) do
        names[#names + 1] = row.name
      end
      assert.same({ "last", "more", "more_t", "more_v", "other", "users" }, names)
      assert.equal(0, (db:count "last"))
    end)

    it("runs scripts, and tells sizes", function()
      local a = db:shard "a"
      a:exec "CREATE TABLE t (x); INSERT INTO t VALUES (1), (';'); -- done;\n"
      assert.equal(2, a:first("SELECT count(*) AS n FROM t").n)
      a:exec ""
      a:exec " ; ; -- nothing"
      raises("SQL", "no such table", a.exec, a, "INSERT INTO t VALUES (3); INSERT INTO nope VALUES (1)")
      raises("USAGE", "script", a.exec, a, 5)
      raises("USAGE", "NUL", a.exec, a, "SELECT 1\0; SELECT 2")
      raises("USAGE", "ATTACH", a.exec, a, "SELECT 1; ATTACH ':memory:' AS x")
      local size = a:size()
      assert.equal("integer", math.type(size))
      a:run("INSERT INTO t VALUES (?)", { ("x"):rep(300000) })
      assert(a:size() >= size + 200000)
    end)

    it("has transactions and batches, or says what there is in their place", function()
      local calls = {
        function() return db:transaction("u1", function(tx) tx:run(INSERT, { "u1", 1 }) end) end,
        function() return db:batch("u2", { { INSERT, { "u2", 1 } }, { INSERT, { "u3", 1 } } }) end,
        function() return db:shard("a"):transaction(function(tx) tx:run(INSERT, { "x", 1 }) end) end,
        function() return db:shard("a"):batch { { INSERT, { "y", 1 } } } end,
      }
      for i, call in ipairs(calls) do
        local has = not kind.single or (kind.batches and i % 2 == 0)
        if has then call() else raises("UNSUPPORTED", "statement", call) end
      end
      assert.equal(not kind.single and 5 or kind.batches and 3 or 0, (db:count "users"))
      db:insert("u1x", INSERT, { "u1x", 1 })
    end)

    it("finds everything again when it is opened anew", function()
      fill(10)
      reopen()
      for i = 1, 10 do assert.equal(i, db:first("u" .. i, "SELECT n FROM users WHERE id = ?", { "u" .. i }).n) end
      local report = db:verify()
      assert.is_true(report.success)
      assert.same({}, report.findings)
      assert.equal(10, report.keys)
    end)

    it("says CONFIG when its names have come to point at other databases", function()
      os.remove(fixture.path "directory.db")
      config.strategy = "round-robin"
      db:close()
      reopen()
      fill(20)
      db:close()
      db = nil
      local first, second = config.shards[1][1], config.shards[2][1]
      config.shards[1][1], config.shards[2][1] = second, first
      raises("CONFIG", nil, reopen)
      config.shards[1][1], config.shards[2][1] = first, second
      reopen()
      assert.equal(20, (db:count "users"))
    end)

    it("takes over rows that were there", function()
      for i, name in ipairs { "a", "b", "a" } do db:shard(name):run(INSERT, { "old" .. i, i }) end
      db:close()
      db = nil
      os.remove(fixture.path "directory.db")
      reopen { auto_migrate = false }
      assert.equal(2, db:first("old2", "SELECT n FROM users WHERE id = 'old2'").n)
      local report = db:integrate "a"
      assert.same({ true, 2, 1 }, { report.success, report.total_records, report.tables_processed })
      assert.is_true(db:integrate("b").success)
      for i = 1, 3 do assert.equal(i % 2 == 0 and "b" or "a", (db:locate("old" .. i))) end
      assert.is_true(db:verify().success)
    end)

    it("raises CLOSED when it is closed, and its shards too", function()
      fill(1)
      local shard = db:shard "a"
      db:close()
      db:close()
      if kind.borrowed then core.close(shard) end
      raises("CLOSED", nil, db.first, db, "u1", "SELECT 1")
      for method, argument in pairs { run = "SELECT 1", first = "SELECT 1", all = "SELECT 1", each = "SELECT 1",
        exec = "SELECT 1", size = false } do
        raises("CLOSED", nil, function() return shard[method](shard, argument or nil) end)
      end
    end)
  end)
end
