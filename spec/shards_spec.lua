-- Shards by name, statements on all of them, schemas, counting and statistics.

local collegedb = require "collegedb"
local fixture = require "spec.support.fixture"

local USERS <const> = "CREATE TABLE IF NOT EXISTS users (id TEXT PRIMARY KEY, n INTEGER)"
local INSERT <const> = "INSERT INTO users VALUES (?, ?)"

describe("a shard handle", function()
  local db
  before_each(function()
    fixture.start()
    db = fixture.database(USERS)
  end)
  after_each(fixture.stop)

  it("runs statements past the router", function()
    local a = db:shard "a"
    assert.equal(1, a:run(INSERT, { "x", 1 }).meta.changes)
    assert.equal("a", a:run("SELECT 1").meta.served_by)
    assert.same({ id = "x", n = 1 }, a:first "SELECT * FROM users")
    assert.same({ { n = 1 } }, a:all "SELECT n FROM users")
    for row in a:each "SELECT n FROM users" do assert.equal(1, row.n) end
    assert.equal(0, db:shard("b"):first("SELECT count(*) AS n FROM users").n)
    assert.equal("shard a", tostring(a))
  end)

  it("runs scripts", function()
    local a = db:shard "a"
    a:exec "CREATE TABLE t (x); BEGIN; INSERT INTO t VALUES (1); INSERT INTO t VALUES (';'); COMMIT; -- done\n"
    assert.equal(2, a:first("SELECT count(*) AS n FROM t").n)
    a:exec ""
    fixture.raises("SQL", "no such table", function() a:exec "SELECT 1; INSERT INTO nope VALUES (1)" end)
    fixture.raises("USAGE", "script", function() a:exec(5) end)
    fixture.raises("USAGE", "NUL", function() a:exec "SELECT 1\0; SELECT 2" end)
    fixture.raises("USAGE", "ATTACH", function() a:exec "SELECT 1; ATTACH ':memory:' AS x" end)
  end)

  it("rolls back what a script leaves open", function()
    local a = db:shard "a"
    fixture.raises("USAGE", "transaction open", function() a:exec "BEGIN; INSERT INTO users VALUES ('x', 1)" end)
    fixture.raises("SQL", nil, function() a:exec "BEGIN; INSERT INTO users VALUES ('x', 1); SELEC" end)
    assert.equal(0, db:count "users")
    a:transaction(function(tx) tx:run(INSERT, { "x", 1 }) end)
    assert.equal(1, db:count "users")
  end)

  it("tells its size in bytes", function()
    local size = db:shard("a"):size()
    assert.equal("integer", math.type(size))
    assert.is_true(size >= 4096)
    db:shard("a"):run(INSERT, { ("x"):rep(100000), 1 })
    assert.is_true(db:shard("a"):size() >= size + 100000)
  end)

  it("is asked for by a known name", function()
    local e = fixture.raises("SHARD_NOT_FOUND", "zebra.*a, b", db.shard, db, "zebra")
    assert.equal("zebra", e.shard)
    for _, name in ipairs { 5, true, {} } do fixture.raises("USAGE", "name", db.shard, db, name) end
    fixture.raises("USAGE", "name", db.shard, db)
    assert.same({ "a", "b" }, db:list_known_shards())
  end)
end)

describe("run_all_shards", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("gives each shard's result by name", function()
    local db = fixture.database(USERS, nil, { "a", "b", "c" })
    local results = db:run_all_shards(INSERT, { "x", 5 })
    for _, name in ipairs { "a", "b", "c" } do
      assert.equal(1, results[name].meta.changes)
      assert.equal(name, results[name].meta.served_by)
    end
    results = db:run_all_shards "SELECT n FROM users"
    assert.same({ { n = 5 } }, results.c.results)
  end)

  it("runs on all others when one fails, and its error has both", function()
    local db = fixture.database(USERS, nil, { "a", "b", "c" })
    db:shard("b"):exec "DROP TABLE users"
    local e = fixture.raises("SQL", "no such table", db.run_all_shards, db, INSERT, { "x", 5 })
    assert.equal("b", e.shard)
    assert.equal(1, e.results.a.meta.changes)
    assert.equal(1, e.results.c.meta.changes)
    assert.is_nil(e.results.b)
    assert.is_true(collegedb.is_error(e.failures.b, "SQL"))
    assert.is_nil(e.failures.a)
  end)

  it("refuses what one shard would refuse", function()
    local db = fixture.database(USERS)
    fixture.raises("USAGE", nil, db.run_all_shards, db, "SELECT 1; SELECT 2")
    fixture.raises("USAGE", nil, db.run_all_shards, db, "BEGIN")
    fixture.raises("USAGE", nil, db.run_all_shards, db)
    fixture.raises("USAGE", nil, db.run_all_shards, db, "SELECT ?")
  end)
end)

describe("count", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("is the total and the rows by shard", function()
    local db = fixture.database(USERS)
    assert.same({ 0, { a = 0, b = 0 } }, { db:count "users" })
    for i = 1, 30 do db:insert("u" .. i, INSERT, { "u" .. i, i }) end
    local total, by_shard = db:count "USERS"
    assert.equal(30, total)
    assert.equal(30, by_shard.a + by_shard.b)
    for name, n in pairs(by_shard) do
      assert.equal(n, fixture.rows(name .. ".db", "SELECT count(*) AS n FROM users")[1].n)
    end
  end)

  it("counts a table that only one shard has, and one of an odd name", function()
    local db = fixture.database()
    db:shard("b"):exec [[CREATE TABLE "a ""b"" c" (x); INSERT INTO "a ""b"" c" VALUES (1), (2)]]
    assert.same({ 2, { a = 0, b = 2 } }, { db:count 'a "b" c' })
  end)

  it("wants a table that is there", function()
    local db = fixture.database(USERS)
    local e = fixture.raises("TABLE_NOT_FOUND", "nope", db.count, db, "nope")
    assert.equal("nope", e.table)
    fixture.raises("TABLE_NOT_FOUND", nil, db.count, db, "users; DROP TABLE users")
    for _, name in ipairs { "", 5, {}, true } do fixture.raises("USAGE", "table", db.count, db, name) end
    fixture.raises("USAGE", "table", db.count, db)
  end)

  it("fails when one shard does: a part is no total", function()
    fixture.sqlite("b.db", USERS)
    local db = fixture.database(USERS, { shards = { b = { busy_timeout = 0 } } })
    local locker = require("collegedb.core").sqlite(fixture.path "b.db", {})
    locker:exec "PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; CREATE TABLE x (y); COMMIT"
    local e = fixture.raises("BUSY", nil, db.count, db, "users")
    fixture.raises("BUSY", nil, db.run_all_shards, db, "SELECT count(*) FROM users")
    require("collegedb.core").close(locker)
    assert.equal("b", e.shard)
    assert.equal(0, db:count "users")
  end)
end)

describe("ensure_schema", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("makes the tables on all shards, triggers and literals with semicolons too", function()
    local db = fixture.database()
    local sql = [[
      -- users; and what happens to them
      CREATE TABLE IF NOT EXISTS users (id TEXT PRIMARY KEY, note TEXT DEFAULT 'a;b');
      CREATE TRIGGER IF NOT EXISTS tr AFTER INSERT ON users BEGIN UPDATE users SET note = note || ';'; SELECT 1; END;
      CREATE INDEX IF NOT EXISTS by_note ON users (note)]]
    for _ = 1, 2 do db:ensure_schema(sql) end
    db:insert("u1", "INSERT INTO users (id) VALUES ('u1')")
    assert.equal("a;b;", db:first("u1", "SELECT note FROM users").note)
    for _, name in ipairs { "a", "b" } do
      assert.equal(4, #db:shard(name):all "SELECT name FROM sqlite_schema")
    end
  end)

  it("makes keys known at once", function()
    local db = fixture.database()
    fixture.raises("TABLE_NOT_FOUND", nil, db.key, db, "posts", 1)
    db:ensure_schema "CREATE TABLE IF NOT EXISTS posts (id INTEGER PRIMARY KEY)"
    db:insert(17, "INSERT INTO posts VALUES (17)")
    assert.equal("posts:17", tostring(db:key("posts", 17)))
  end)

  it("is undone on the shard where it fails, and says where it stands", function()
    local db = fixture.database()
    db:shard("b"):exec "CREATE TABLE second (x)"
    local e = fixture.raises("SQL", "already exists.*IF NOT EXISTS", db.ensure_schema, db,
      "CREATE TABLE first (x); CREATE TABLE second (x)")
    assert.equal("b", e.shard)
    assert.matches("a", e.message)
    assert.equal(2, #db:shard("a"):all "SELECT name FROM sqlite_schema")
    assert.equal(1, #db:shard("b"):all "SELECT name FROM sqlite_schema")
  end)

  it("remembers nothing of what failed", function()
    local db = fixture.database()
    fixture.raises("SQL", nil, db.ensure_schema, db, "CREATE TABLE broken (")
    fixture.raises("SQL", nil, db.ensure_schema, db, "CREATE TABLE t (x); SELEC")
    assert.equal(0, #db:shard("a"):all "SELECT name FROM sqlite_schema")
    db:close()
    db = fixture.open(fixture.config(nil, { "a", "b", "c" }))
    assert.equal(0, #db:shard("c"):all "SELECT name FROM sqlite_schema")
  end)

  it("is remembered for later shards, in order and once", function()
    local db = fixture.database()
    db:ensure_schema "CREATE TABLE IF NOT EXISTS one (x)"
    db:ensure_schema "CREATE INDEX IF NOT EXISTS by_x ON one (x)"
    db:ensure_schema "CREATE TABLE IF NOT EXISTS one (x)"
    db:close()
    db = fixture.open(fixture.config(nil, { "a", "b", "c" }))
    assert.same({ { name = "one" }, { name = "by_x" } }, db:shard("c"):all "SELECT name FROM sqlite_schema")
  end)

  it("wants SQL, and leaves transactions alone", function()
    local db = fixture.database()
    for _, sql in ipairs { "", "  \n", 5, {} } do fixture.raises("USAGE", "SQL", db.ensure_schema, db, sql) end
    fixture.raises("USAGE", "SQL", db.ensure_schema, db)
    pcall(db.ensure_schema, db, "CREATE TABLE t (x); COMMIT; CREATE TABLE u (x)")
    db:transaction("k", function(tx) tx:run "SELECT 1" end)
    db:shard("a"):transaction(function(tx) tx:run "SELECT 1" end)
  end)
end)

describe("create_schema", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("runs SQL on one shard, whole or not at all", function()
    local db = fixture.database()
    db:create_schema("b", USERS)
    assert.same({ { name = "users" } }, db:shard("b"):all "SELECT name FROM sqlite_schema WHERE type = 'table'")
    assert.equal(0, #db:shard("a"):all "SELECT name FROM sqlite_schema")
    fixture.raises("SQL", nil, db.create_schema, db, "a", "CREATE TABLE t (x); SELEC")
    assert.equal(0, #db:shard("a"):all "SELECT name FROM sqlite_schema")
  end)

  it("copies the other shards' schema: tables, indexes, views, triggers, virtual tables", function()
    local db = fixture.database()
    db:shard("a"):exec [[
      CREATE TABLE "odd ""name""" (id INTEGER PRIMARY KEY AUTOINCREMENT, t TEXT DEFAULT ';');
      INSERT INTO "odd ""name""" (t) VALUES ('row');
      CREATE TABLE pairs (x, y, PRIMARY KEY (x, y)) WITHOUT ROWID;
      CREATE UNIQUE INDEX by_t ON "odd ""name""" (t) WHERE t <> 'x';
      CREATE VIEW seen AS SELECT * FROM pairs;
      CREATE TRIGGER tr AFTER INSERT ON pairs BEGIN SELECT 1; END;
      CREATE VIRTUAL TABLE search USING fts5 (line)]]
    db:create_schema "b"
    local sql = "SELECT type, name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%' ORDER BY type, name"
    assert.same(db:shard("a"):all(sql), db:shard("b"):all(sql))
    assert.equal(0, db:shard("b"):first([[SELECT count(*) AS n FROM "odd ""name"""]]).n)
    db:shard("b"):run "INSERT INTO search VALUES ('hello')"
  end)

  it("takes a handle in the place of a name", function()
    local db = fixture.database()
    db:create_schema(db:shard "a", USERS)
    assert.equal(0, db:count "users")
  end)

  it("wants a shard, and SQL if there is nothing to copy", function()
    local db = fixture.database()
    fixture.raises("SHARD_NOT_FOUND", nil, db.create_schema, db, "zebra", USERS)
    fixture.raises("USAGE", "SQL", db.create_schema, db, "a")
    fixture.raises("USAGE", nil, db.create_schema, db)
    fixture.raises("USAGE", nil, db.create_schema, db, 5, USERS)
    for _, sql in ipairs { "", 5, {} } do fixture.raises("USAGE", "SQL", db.create_schema, db, "a", sql) end
  end)
end)

describe("get_shard_stats", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("has name, keys, bytes and time of each shard in the order of the config", function()
    local db = fixture.database(USERS, nil, { "b", "a" })
    for i = 1, 20 do db:insert("u" .. i, INSERT, { "u" .. i, i }) end
    local before = os.time()
    local stats = db:get_shard_stats()
    local _, by_shard = db:count "users"
    assert.equal(2, #stats)
    for i, name in ipairs { "b", "a" } do
      assert.equal(name, stats[i].binding)
      assert.equal(by_shard[name], stats[i].count)
      assert.equal(db:shard(name):size(), stats[i].size)
      assert.is_true(stats[i].last_updated >= before * 1000 and stats[i].last_updated < (before + 60) * 1000)
      assert.equal("integer", math.type(stats[i].last_updated))
    end
  end)

  it("counts keys, not rows: one key of several tables once, keys of two keyspaces twice", function()
    fixture.sqlite("a.db", [[
      CREATE TABLE users (id TEXT PRIMARY KEY); INSERT INTO users VALUES ('x'), ('y');
      CREATE TABLE notes (id TEXT, line); INSERT INTO notes VALUES ('x', 1), ('x', 2), ('z', 3), (NULL, 4);
      CREATE TABLE posts (id INTEGER PRIMARY KEY); INSERT INTO posts VALUES (1), (2);
      CREATE TABLE likes (id INTEGER PRIMARY KEY); INSERT INTO likes VALUES (1);
      CREATE TABLE log (line); INSERT INTO log VALUES (1), (2)]])
    local db = fixture.open(fixture.config({}, { "a" }))
    assert.equal(3 + 2 + 1, db:get_shard_stats()[1].count)
  end)
end)

describe("locate", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("says where a key is, and how that was found", function()
    fixture.sqlite("a.db", USERS .. [[;
      INSERT INTO users VALUES ('o1', 1), ('o2', 2), ('o3', 3), ('o4', 4), ('o5', 5), ('o6', 6)]])
    local db = fixture.database(USERS, { auto_migrate = false })
    local seen = {}
    for i = 1, 6 do
      local shard, how = db:locate("o" .. i)
      assert.equal("a", shard)
      seen[how] = true
    end
    assert.is_true(seen.found or seen.home)
    db:integrate "a"
    for i = 1, 6 do
      local shard, how = db:locate("o" .. i)
      assert.equal("a", shard)
      assert(how == "directory" or how == "home", how)
    end
    local _, how = db:locate "never seen"
    assert.equal("home", how)
  end)

  it("writes nothing", function()
    local db = fixture.database(USERS, { strategy = function(_, shards) return shards[1].name end })
    for i = 1, 10 do assert.is_nil((db:locate("u" .. i))) end
    assert.equal(0, fixture.rows("directory.db", "SELECT count(*) AS n FROM _collegedb_entries")[1].n)
  end)

  it("wants a key, and a table for a bare integer", function()
    local db = fixture.database(USERS)
    fixture.raises("USAGE", "key", db.locate, db)
    fixture.raises("USAGE", "db:key", db.locate, db, 17)
    fixture.raises("TABLE_NOT_FOUND", "nope", db.locate, db, 17, "nope")
    fixture.raises("TABLE_NOT_FOUND", "nope", db.locate, db, "x", "nope")
    fixture.raises("USAGE", "table", db.locate, db, "x", 5)
  end)
end)

describe("the mapping cache", function()
  local core = require "collegedb.core"
  before_each(fixture.start)
  after_each(fixture.stop)

  local GET <const> = "SELECT n FROM users WHERE id = ?"

  local function on_a() return "a" end

  -- Puts a row down and, once the router knows it, moves it and its entry behind its back, as no program should.
  local function displace(db, key)
    db:insert(key, INSERT, { key, 1 })
    assert.equal("a", (db:locate(key)))
    db:shard("a"):run("DELETE FROM users WHERE id = ?", { key })
    db:shard("b"):run(INSERT, { key, 1 })
    local directory = core.sqlite(fixture.path "directory.db", {})
    directory:exec "UPDATE _collegedb_entries SET shard = (SELECT id FROM _collegedb_shards WHERE name = 'b')"
    core.close(directory)
  end

  it("remembers a key for mapping_cache_ttl", function()
    local db = fixture.database(USERS, { mapping_cache_ttl = 30, strategy = on_a })
    core.set_clock(db, 1000000)
    displace(db, "u1")
    core.set_clock(db, 1029999)
    assert.is_nil(db:first("u1", GET, { "u1" }))
    core.set_clock(db, 1030000)
    assert.equal(1, db:first("u1", GET, { "u1" }).n)
    core.set_clock(db)
    assert.equal(1, db:first("u1", GET, { "u1" }).n)
  end)

  it("of no life remembers nothing", function()
    local db = fixture.database(USERS, { mapping_cache_ttl = 0, strategy = on_a })
    displace(db, "u1")
    assert.equal(1, db:first("u1", GET, { "u1" }).n)
    assert.equal(0, core.cache_stats(db).hits)
  end)

  it("is emptied by flush_cache", function()
    local db = fixture.database(USERS, { strategy = on_a })
    displace(db, "u1")
    assert.is_nil(db:first("u1", GET, { "u1" }))
    db:flush_cache()
    assert.equal(0, core.cache_stats(db).entries)
    assert.equal(1, db:first("u1", GET, { "u1" }).n)
  end)

  it("does not remember that a key was nowhere", function()
    local db = fixture.database(USERS, {
      shards = { a = { external_writers = true }, b = { external_writers = true } },
    })
    for i = 1, 10 do assert.is_nil(db:first("u" .. i, GET, { "u" .. i })) end
    for i = 1, 10 do db:shard(i % 2 == 0 and "a" or "b"):run(INSERT, { "u" .. i, i }) end
    for i = 1, 10 do assert.equal(i, db:first("u" .. i, GET, { "u" .. i }).n) end
  end)

  it("of a few entries forgets some and finds all", function()
    local db = fixture.database(USERS, { mapping_cache_size = 1, strategy = function(_, s) return s[1].name end })
    for i = 1, 1000 do db:insert("u" .. i, INSERT, { "u" .. i, i }) end
    for i = 1, 1000 do assert.equal(i, db:first("u" .. i, GET, { "u" .. i }).n) end
    local stats = core.cache_stats(db)
    assert.is_true(stats.entries <= 200, "entries: " .. stats.entries)
    assert.is_true(stats.bytes < 20000)
    assert.is_true(stats.evictions > 0)
  end)

  it("answers without the directory once a key is known", function()
    local db = fixture.database(USERS, { strategy = function(_, s) return s[1].name end })
    for i = 1, 10 do db:insert("u" .. i, INSERT, { "u" .. i, i }) end
    local before = core.cache_stats(db)
    for i = 1, 10 do db:first("u" .. i, GET, { "u" .. i }) end
    local after = core.cache_stats(db)
    assert.equal(10, after.hits - before.hits)
    assert.equal(0, after.misses - before.misses)
  end)

  it("stays within 32 bytes an entry", function()
    local db = fixture.open { kv = "memory:", mapping_cache_size = 100000, shards = { a = ":memory:", b = ":memory:" } }
    for i = 1, 100000 do db:locate("u" .. i) end
    local stats = core.cache_stats(db)
    assert.is_true(stats.entries > 95000, "entries: " .. stats.entries)
    assert.is_true(stats.bytes / 100000 <= 32, "bytes an entry: " .. stats.bytes / 100000)
  end)
end)
