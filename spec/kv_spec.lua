-- A table KV as the directory: of a database, and of a KVShardMapper. Its entries are the TypeScript library's.

local cjson = require "cjson"
local collegedb = require "collegedb"
local fixture = require "spec.support.fixture"
local process = require "spec.support.process"
local table_kv = require "spec.support.table_kv"

local SCHEMA <const> = [[
  CREATE TABLE IF NOT EXISTS users (email TEXT PRIMARY KEY, name TEXT);
  CREATE TABLE IF NOT EXISTS posts (id INTEGER PRIMARY KEY, title TEXT);
]]

local function sha256(text)
  local result = process.run({ "sha256sum" }, { input = text })
  return assert(result.stdout:match "^(%x+)")
end

local function hmac(secret, text)
  local function pad(byte)
    return ((secret .. ("\0"):rep(64 - #secret)):gsub(".", function(c) return string.char(c:byte() ~ byte) end))
  end
  local inner = sha256(pad(0x36) .. text):gsub("%x%x", function(hex) return string.char(tonumber(hex, 16)) end)
  return sha256(pad(0x5c) .. inner)
end

---Values whose names begin with a prefix, without those that say "none".
local function entries(kv, prefix)
  local found, count = {}, 0
  for name, value in pairs(kv.data) do
    if name:sub(1, #(prefix or "shard:")) == (prefix or "shard:") and value ~= "null" then
      found[name], count = cjson.decode(value), count + 1
    end
  end
  return found, count
end

local function ts_entry(shard, more)
  return ('{"shard":"%s","createdAt":1700000000123,"updatedAt":1700000000456%s}'):format(shard, more or "")
end

local function fill(db, from, to)
  for i = from, to do
    db:insert("k" .. i, "INSERT INTO users VALUES (?, 'n')", { "k" .. i })
    db:insert(i, "INSERT INTO posts VALUES (?, 't')", { i })
  end
end

local function check(db, from, to)
  for i = from, to do
    assert.is_table(db:first("k" .. i, "SELECT * FROM users WHERE email = ?", { "k" .. i }))
    assert.is_table(db:first(i, "SELECT * FROM posts WHERE id = ?", { i }))
  end
end

describe("a table KV as the directory", function()
  local kv
  before_each(function()
    fixture.start()
    kv = table_kv.memory()
  end)
  after_each(fixture.stop)

  local function config(extra, names)
    extra = extra or {}
    extra.kv = extra.kv or kv
    return fixture.config(extra, names)
  end

  it("serves a database, which finds its rows again", function()
    for _, strategy in ipairs { "hash", "random", "round_robin", "hash_compat" } do
      kv = table_kv.memory()
      local folder_names = { strategy .. "-a", strategy .. "-b" }
      local db = fixture.open(config({ strategy = strategy }, folder_names))
      assert.equal("collegedb (2 shards, directory <table KV>)", tostring(db))
      db:ensure_schema(SCHEMA)
      fill(db, 1, 20)
      check(db, 1, 20)
      local places, _, count = {}, entries(kv)
      assert.equal(strategy == "hash" and 0 or 40, count)
      for i = 1, 20 do places[i] = db:locate("k" .. i) end
      db:close()
      db = fixture.open(config({ strategy = strategy }, folder_names))
      check(db, 1, 20)
      for i = 1, 20 do assert.equal(places[i], (db:locate("k" .. i))) end
      db:close()
    end
  end)

  it("gives schemas to shards that come later, and takes a placement only alone", function()
    local db = fixture.open(config())
    db:ensure_schema(SCHEMA)
    fill(db, 1, 20)
    fixture.raises("BUSY", "<table KV>", collegedb.open, config(nil, { "a", "b", "c" }))
    db:close()
    db = fixture.open(config(nil, { "a", "b", "c" }))
    check(db, 1, 20)
    fill(db, 21, 40)
    assert.is_true(#fixture.rows("c.db", "SELECT * FROM posts") > 0)
    assert.equal('["a","b","c"]', kv.data.known_shards)
  end)

  it("has the entries of the TypeScript library", function()
    local db = fixture.open(config { directory = "full" })
    db:ensure_schema(SCHEMA)
    local key = "größe@mail.example"
    local before = os.time() * 1000
    db:insert(key, "INSERT INTO users VALUES (?, 'n')", { key })
    db:insert(17, "INSERT INTO posts VALUES (17, 't')")
    local found, count = entries(kv)
    assert.equal(2, count)
    local entry = found["shard:" .. sha256(key)]
    assert.equal(db:locate(key), entry.shard)
    assert.is_true(entry.createdAt >= before and entry.createdAt <= os.time() * 1000)
    assert.equal(entry.createdAt, entry.updatedAt)
    assert.equal(1, entry.version)
    assert.matches('"createdAt":%d+[,}]', kv.data["shard:" .. sha256(key)])
    local of_post = ("\0"):rep(512) .. string.pack("<s8", "posts") .. "17"
    assert.equal((db:locate(17, "posts")), found["shard:" .. sha256(of_post)].shard)
    assert.same({ "a", "b" }, cjson.decode(kv.data.known_shards))
  end)

  it("has keyed hashes, or none, or bare keys", function()
    local m = fixture.track(collegedb.KVShardMapper(kv, { mapping_secret = "se cret" }))
    m:set_shard_mapping("k", "a")
    assert.is_table(entries(kv)["shard:" .. hmac("se cret", "k")])
    kv = table_kv.memory()
    local db = fixture.open(config { directory = "full", hash_shard_mappings = false })
    db:ensure_schema(SCHEMA)
    fill(db, 1, 1)
    assert.is_table(entries(kv)["shard:k1"])
    assert.is_table(entries(kv, "keyspace:")["keyspace:5:posts:1"])
    local plain = fixture.track(collegedb.KVShardMapper(kv, { hash_shard_mappings = false }))
    local keys = {}
    for _, shard in ipairs { "a", "b" } do
      for _, key in ipairs(plain:get_keys_for_shard(shard)) do keys[#keys + 1] = tostring(key) end
    end
    table.sort(keys)
    assert.same({ "k1", "posts:1" }, keys)
  end)

  it("has one key for all tables without keyspaces", function()
    fixture.sqlite("a.db", SCHEMA .. "INSERT INTO posts VALUES (7, 'there')")
    local db = fixture.open(config { keyspaces = false, strategy = "random" })
    db:ensure_schema(SCHEMA .. "CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY)")
    assert.equal("a", entries(kv)["shard:" .. sha256 "7"].shard)
    db:insert(7, "INSERT INTO notes VALUES (7)")
    db:insert(8, "INSERT INTO notes VALUES (8)")
    db:insert(8, "INSERT INTO posts VALUES (8, 't')")
    assert.equal("a", (db:locate "7"))
    assert.equal((db:locate "8"), (db:locate(8, "posts")))
    assert.is_table(db:first(7, "SELECT * FROM notes WHERE id = 7"))
    assert.is_table(db:first(8, "SELECT * FROM posts WHERE id = 8"))
    assert.is_table(db:first(7, "SELECT * FROM posts WHERE id = 7"))
    local _, count = entries(kv)
    assert.equal(2, count)
  end)

  it("follows entries that the TypeScript library has written, and keeps their fields", function()
    kv.data["shard:" .. sha256 "one"] = ts_entry("b", ',"originalKey":"one"')
    kv.data["multikey:" .. sha256 "two"] = ts_entry("a", ',"keys":["' .. sha256 "two" .. '"]')
    kv.data["shard:" .. sha256 "gone"] = ts_entry "db-elsewhere"
    kv.data.known_shards = '["db-elsewhere","b"]'
    for _, strategy in ipairs { "random", "hash" } do
      local db = fixture.open(config { strategy = strategy })
      db:ensure_schema(SCHEMA)
      local m = db:mapper()
      assert.same({ shard = "b", version = 1 }, m:get_shard_mapping "one")
      assert.same({ shard = "a", version = 1 }, m:get_shard_mapping "two")
      db:insert("one", "INSERT OR REPLACE INTO users VALUES ('one', '1')")
      db:insert("two", "INSERT OR REPLACE INTO users VALUES ('two', '2')")
      assert.same({ "b" }, fixture.holders({ "a", "b" }, "users", "email", "one"))
      assert.same({ "a" }, fixture.holders({ "a", "b" }, "users", "email", "two"))
      fixture.raises("SHARD_NOT_FOUND", "db%-elsewhere", db.first, db, "gone", "SELECT * FROM users")
      assert.same({ "a", "b", "db-elsewhere" }, m:get_known_shards())
      db:close()
    end
    local m = fixture.track(collegedb.KVShardMapper(kv))
    m:update_shard_mapping("one", "b")
    local entry = entries(kv)["shard:" .. sha256 "one"]
    assert.same({ "b", 1700000000123, "one", 2 }, { entry.shard, entry.createdAt, entry.originalKey, entry.version })
    assert.is_true(entry.updatedAt > 1700000000456)
    m:update_shard_mapping("two", "b")
    assert.same({ shard = "b", version = 2 }, m:get_shard_mapping "two")
    assert.is_true(m:delete_shard_mapping "two")
    assert.is_nil(m:get_shard_mapping "two") -- the multikey entry does not bring it back
    assert.equal("null", kv.data["shard:" .. sha256 "two"])
    assert.is_true(m:delete_shard_mapping "one")
    assert.is_nil(kv.data["shard:" .. sha256 "one"])
    assert.equal(1, m:clear_all_mappings())
    local _, left = entries(kv)
    assert.equal(0, left)
    assert.is_nil(kv.data["multikey:" .. sha256 "two"])
  end)

  it("may be two databases at once, each of which finds what the other inserts", function()
    local one, two = fixture.open(config { strategy = "random" }), fixture.open(config { strategy = "random" })
    one:ensure_schema(SCHEMA)
    fill(one, 1, 10)
    fill(two, 11, 20)
    check(one, 1, 20)
    check(two, 1, 20)
    -- In the middle of the claim of the one, the other inserts another row of the same key.
    for i = 1, 20 do
      local key = "both" .. i
      kv.on = function(called, name)
        if called ~= "compare_and_set" or not name:find "^shard:" then return end
        two:insert(key, "INSERT INTO users VALUES (?, 'two')", { key })
        kv.on = nil
      end
      one:run(key, "INSERT INTO users VALUES (?, 'one') ON CONFLICT DO NOTHING", { key })
      kv.on = nil
      assert.equal(1, #fixture.holders({ "a", "b" }, "users", "email", key))
    end
  end)

  it("takes existing data over, in pages, and gives it back", function()
    local rows = "WITH RECURSIVE n(i) AS (SELECT %d UNION ALL SELECT i + 1 FROM n WHERE i < %d) "
    fixture.sqlite("a.db", SCHEMA .. rows:format(1, 60) .. "INSERT INTO posts SELECT i, 'a' FROM n")
    fixture.sqlite("b.db", SCHEMA .. rows:format(61, 90) .. "INSERT INTO posts SELECT i, 'b' FROM n;"
      .. "INSERT INTO posts VALUES (7, 'again'); INSERT INTO users VALUES ('x', 'b'), (x'00ff', 'b'), ('', 'none')")
    kv.page = 7
    local db = fixture.open(config { auto_migrate = false })
    for i = 1, 90 do assert.equal(i <= 60 and "a" or "b", (db:locate(i, "posts"))) end
    local plan = db:integrate("b", { dry_run = true })
    assert.equal(0, select(2, entries(kv)))
    local first, second = db:integrate("a", { page = 7 }), db:integrate("b", { page = 7 })
    assert.same({ 60, 60, 0 }, { first.total_records, first.mappings_created, first.conflict_count })
    assert.same({ 34, 32, 1 }, { second.total_records, second.mappings_created, second.conflict_count })
    assert.same({ plan.total_records, plan.conflict_count }, { second.total_records, second.conflict_count })
    assert.same({ { key = 7, table = "posts", shard = "b", other_shard = "a" } }, second.conflicts)
    local found, count = entries(kv)
    assert.equal(first.entries + second.entries, count)
    for _, entry in pairs(found) do assert.equal(0, entry.version) end
    for i = 1, 90 do assert.equal(i <= 60 and "a" or "b", (db:locate(i, "posts"))) end
    assert.equal("b", (db:locate "x"))
    assert.equal(0, db:integrate("a").entries)
    local kept = kv.data
    assert.equal(first.entries, db:rollback("a").entries_removed)
    assert.equal(second.entries, select(2, entries(kv)))
    for i = 1, 90 do assert.equal(i <= 60 and "a" or "b", (db:locate(i, "posts"))) end
    assert.equal(first.entries, db:integrate("a").entries)
    assert.equal(kept, kv.data)
  end)

  it("takes over what a directory in a file would, whatever the keys are", function()
    local kinds = {
      "k TEXT PRIMARY KEY", "k INTEGER PRIMARY KEY", "k BLOB PRIMARY KEY", "k PRIMARY KEY", "k NUMERIC PRIMARY KEY",
      "k TEXT COLLATE NOCASE PRIMARY KEY", "id TEXT", "id", "id INTEGER", "id TEXT COLLATE NOCASE",
    }
    local values = [[VALUES (1, 'a'), (2, 'A'), (3, 'b'), (4, ''), (5, NULL), (6, x'61'), (7, x''), (8, 17),
      (9, '17'), (10, 17.5), (11, 17.0), (12, 'k' || char(0)), (13, x'00ff'), (14, 'größe'), (15, hex(zeroblob(300))),
      (16, -3), (17, 'c'), (18, 18), (19, x'62'), (20, 1e300)]]
    local make = [[CREATE TABLE t (%s);
      CREATE TABLE v AS SELECT column1 AS n, column2 AS x FROM (%s);
      INSERT OR IGNORE INTO t(%s) SELECT x FROM v WHERE n %% 3 <> %d AND typeof(x) %s;
      DROP TABLE v]]
    for number, kind in ipairs(kinds) do
      local column, names = kind:match "^%w+", { "a" .. number, "b" .. number }
      local wanted = kind:find "INTEGER" and "= 'integer'" or "<> ''"
      for i, name in ipairs(names) do
        fixture.sqlite(name .. ".db", make:format(kind, values, column, i, wanted))
      end
      local reports = {}
      for i, where in ipairs { fixture.path(number .. "-directory.db"), table_kv.memory() } do
        local db = fixture.open(config({ kv = where, auto_migrate = false }, names))
        reports[i] = {}
        for _, name in ipairs(names) do
          local report = db:integrate(name, { page = 3 })
          table.sort(report.conflicts, function(x, y) return tostring(x.key) < tostring(y.key) end)
          table.insert(reports[i], report)
        end
        for _, key in ipairs { "a", "A", "b", "c", "17", "18", "-3", "k\0", "\0\xff" } do
          table.insert(reports[i], (db:locate(key, "t")))
        end
        db:close()
      end
      assert.same(reports[1], reports[2], kind)
      assert.is_true(reports[1][1].total_records > 0)
    end
  end)

  it("begins an integration anew when the epoch changes under it, and counts right", function()
    fixture.sqlite("a.db", SCHEMA .. [[WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 40)
      INSERT INTO posts SELECT i, 'a' FROM n]])
    local db = fixture.open(config({ strategy = "random", auto_migrate = false }, { "a", "b" }))
    local other = fixture.open(config({ strategy = "random", auto_migrate = false }, { "a", "b" }))
    local seen = 0
    kv.on = function(called, name)
      if called == "compare_and_set" and name:find "^shard:" then seen = seen + 1 end
      if seen == 25 then
        kv.on = nil
        other:rollback "a"
      end
    end
    local report = db:integrate("a", { page = 10 })
    assert.same({ 40, true }, { report.total_records, report.success })
    assert.equal(40, select(2, entries(kv)))
    for i = 1, 40 do assert.equal("a", (other:locate(i, "posts"))) end
  end)

  it("loses no claim when an integration is rolled back under it", function()
    fixture.sqlite("a.db", SCHEMA .. "INSERT INTO users VALUES ('x', 'a')")
    fixture.sqlite("b.db", SCHEMA)
    local one, two = fixture.open(config { strategy = "random" }), fixture.open(config { strategy = "random" })
    kv.on = function(called, name, new)
      if called ~= "compare_and_set" or not name:find "^shard:" or new ~= "null" then return end
      kv.on = nil
      -- After the mark in the record, and before the value goes.
      assert.is_table(two:first("x", "SELECT * FROM users WHERE email = 'x'"))
      two:delete_by_primary_key("x", "DELETE FROM users WHERE email = 'x'")
      two:insert("x", "INSERT INTO users VALUES ('x', 'new')")
    end
    one:rollback "a"
    assert.is_table(one:first("x", "SELECT * FROM users WHERE email = 'x'"))
    local holders = fixture.holders({ "a", "b" }, "users", "email", "x")
    assert.same({ one:mapper():get_shard_mapping("x").shard }, holders)
    assert.equal(1, one:mapper():get_shard_mapping("x").version)
  end)

  it("serves the functions for tools", function()
    fixture.sqlite("a.db", SCHEMA .. "INSERT INTO users VALUES ('x', 'a'), ('y', 'a')")
    fixture.sqlite("a.db", "INSERT INTO posts VALUES (1, 't'), (2, 't'), (3, 't'), (4, 't'), (5, 't'), (95, 't'), "
      .. "(96, 't'), (97, 't'), (98, 't'), (99, 't')")
    local a = fixture.path "a.db"
    assert.is_true(collegedb.check_migration_needed(a, "a", config()))
    assert.same({}, kv.data)
    assert.same({ "a.db" }, fixture.files())
    local m = collegedb.KVShardMapper(kv)
    assert.equal(12, collegedb.integrate_existing_database(a, "a", m).entries)
    assert.equal(1, collegedb.create_mappings_for_existing_keys({ "x", "new" }, { "a", "b" }, "round_robin", m))
    assert.equal(13, m:get_shard_key_counts().a)
    fixture.raises("UNSUPPORTED", nil, m.get_keys_for_shard, m, "a")
    m:close()
    local writes = kv.data["collegedb:record"]
    assert.is_boolean(collegedb.check_migration_needed(a, "a", config()))
    assert.equal(writes, kv.data["collegedb:record"])
    local done = collegedb.auto_detect_and_migrate(a, "a", config())
    assert.equal(0, #done.issues)
    assert.is_false(collegedb.check_migration_needed(a, "a", config()))
    fixture.sqlite("a.db", "WITH RECURSIVE n(i) AS (SELECT 40 UNION ALL SELECT i + 1 FROM n WHERE i < 60) "
      .. "INSERT INTO posts SELECT i, 't' FROM n")
    assert.is_true(collegedb.check_migration_needed(a, "a", config()))
    assert.is_false(collegedb.auto_detect_and_migrate(a, "a", config()).migration_needed) -- seen to be complete …
    collegedb.clear_migration_cache()
    assert.is_true(collegedb.auto_detect_and_migrate(a, "a", config()).migration_performed) -- … until it forgets
    local db = fixture.open(config())
    for _, key in ipairs { "x", "y" } do assert.equal("a", (db:locate(key))) end
    assert.equal("a", (db:locate(1, "posts")))
  end)

  it("without compare_and_set serves only the hash strategy", function()
    kv = table_kv.memory({}, false)
    for _, strategy in ipairs { "random", "round_robin", "hash_compat", { read = "hash", write = "random" },
      function(_, shards) return shards[1].name end } do
      local e = fixture.raises("CONFIG", "compare_and_set.*only one wins", collegedb.open,
        config { strategy = strategy })
      assert.equal("strategy", e.field)
    end
    fixture.raises("CONFIG", "max_size", collegedb.open, config { shards = { a = { max_size = 1000000 } } })
    assert.same({}, fixture.files())
    assert.same({}, kv.data)
    fixture.sqlite("a.db", SCHEMA .. "INSERT INTO posts VALUES (1, 't'), (2, 't'), (3, 't'), (4, 't')")
    local db = fixture.open(config())
    db:ensure_schema(SCHEMA)
    for i = 1, 4 do assert.equal("a", (db:locate(i, "posts"))) end
    fill(db, 5, 20)
    check(db, 5, 20)
  end)

  it("is refused with other settings than it was made with", function()
    fixture.open(config()):close()
    fixture.raises("CONFIG", "hash_shard_mappings", collegedb.open, config { hash_shard_mappings = false })
    fixture.raises("CONFIG", "keyspaces", collegedb.open, config { keyspaces = false })
    fixture.raises("CONFIG", "mapping_secret", collegedb.open, config { mapping_secret = "s" })
    fixture.open(config()):close()
  end)

  it("is refused in a config that makes no sense", function()
    fixture.raises("CONFIG", "without delete, list", collegedb.open,
      config { kv = { get = print, put = print } })
    fixture.raises("CONFIG", "compare_and_set", collegedb.open,
      config { kv = { get = print, put = print, delete = print, list = print, compare_and_set = true } })
    fixture.raises("CONFIG", "without get, put, delete, list", collegedb.KVShardMapper, {})
    local path = fixture.path "directory.db"
    fixture.raises("CONFIG", "table KV, or with publish", collegedb.open,
      config { kv = path, hash_shard_mappings = false })
    fixture.raises("CONFIG", "table KV, or with publish", collegedb.KVShardMapper, path,
      { hash_shard_mappings = false })
    fixture.raises("CONFIG", "no use", collegedb.open, config { hash_shard_mappings = false, mapping_secret = "s" })
    fixture.raises("CONFIG", "no use", collegedb.open,
      config { keyspaces = false, shards = { a = { keyspace = "x" } } })
    fixture.raises("CONFIG", "boolean", collegedb.open, config { keyspaces = 1 })
    fixture.open(config { kv = path, keyspaces = true, hash_shard_mappings = true })
  end)

  it("needs lua-cjson, and says so; a directory in a file does not", function()
    local pipe = fixture.spawn [[
      package.preload.cjson = function() error "not here" end
      local kv = { get = print, put = print, delete = print, list = print }
      print(select(2, pcall(collegedb.open, { kv = kv, shards = { a = ":memory:" } })))
      collegedb.open({ kv = "memory:", shards = { a = ":memory:" } }):close()]]
    local printed = pipe:read "a"
    assert.is_true(pipe:close(), printed)
    assert.matches("CONFIG: a table KV needs lua%-cjson.*not here\n$", printed)
  end)

  it("says what is wrong in what its functions answer", function()
    local db = fixture.open(config { strategy = "random" })
    db:ensure_schema(SCHEMA)
    local name = "shard:" .. sha256 "k"
    local function get() return db:first("k", "SELECT * FROM users") end
    local function put() return db:insert("k", "INSERT INTO users VALUES ('k', 'K')") end
    local function clear() return db:mapper():clear_all_mappings() end
    local function answers(what, f)
      local kept = kv[what]
      kv[what] = function(key, ...)
        if what ~= "list" and key ~= name then return kept(key, ...) end
        return f(key, ...)
      end
      return function() kv[what] = kept end
    end
    for _, case in ipairs {
      { "get", function() return 17 end, get, "CORRUPT", "returned a number" },
      { "get", function() return "{" end, get, "CORRUPT", "no JSON" },
      { "get", function() return "17" end, get, "CORRUPT", "names no shard" },
      { "get", function() return '{"shard":""}' end, get, "CORRUPT", "names no shard" },
      { "get", function() return '{"shard":"a","version":-1}' end, get, "CORRUPT", "version" },
      { "get", function() return '{"shard":"a","version":1.5}' end, get, "CORRUPT", "version" },
      { "get", function() error "no network" end, get, "UNAVAILABLE", "no network" },
      { "get", function() error { 1 } end, get, "UNAVAILABLE", "failed" },
      { "get", function() error() end, get, "UNAVAILABLE", "failed" },
      { "get", function() coroutine.yield() end, get, "UNAVAILABLE", "yield" },
      { "compare_and_set", function() end, put, "CORRUPT", "true or false" },
      { "compare_and_set", function() error "full" end, put, "UNAVAILABLE", "full" },
      { "list", function() end, clear, "CORRUPT", "returned a nil" },
      { "list", function() return { 7 } end, clear, "CORRUPT", "a number" },
      { "list", function() return { "x" } end, clear, "CORRUPT", "prefix" },
      { "list", function() return {}, "again" end, clear, "CORRUPT", "does not end" },
      { "list", function(_, cursor) return {}, ((cursor or 0) + 1) % 5 end, clear, "CORRUPT", "does not end" },
      { "list", function(_, cursor) return {}, (cursor or 0) + 1 end, clear, "CORRUPT", "does not end" },
      { "list", function() error "gone" end, clear, "UNAVAILABLE", "gone" },
    } do
      local put_back = answers(case[1], case[2])
      local e = fixture.raises(case[4], case[5], case[3])
      assert.equal(case[1] == "list" and "shard:" or name, e.kv_key)
      put_back()
    end
    local own
    kv.on = function()
      own = own or select(2, pcall(db.first, db, 17, "SELECT 1"))
      error(own, 0)
    end
    local passed_on = select(2, pcall(get))
    kv.on = nil
    assert.equal(own, passed_on)
    put()
    assert.is_table(get())
    for key, value in pairs { known_shards = '{"a":1}', ["collegedb:record"] = "[]", ["collegedb:users"] = "{" } do
      local kept = kv.data[key]
      kv.data[key] = value
      fixture.raises(key == "collegedb:record" and "CONFIG" or "CORRUPT", nil, function()
        db:mapper():set_known_shards { "a", "b", "c" }
        collegedb.open(config { strategy = "random" })
      end)
      kv.data[key] = kept
    end
    kv.data["collegedb:record"] = kv.data["collegedb:record"]:gsub('"format":1', '"format":2')
    fixture.raises("CONFIG", "format is 2", collegedb.open, config { strategy = "random" })
    kv.data["collegedb:record"] = '{"format":1,"counters":[["epoch",1]]}'
    fixture.raises("CORRUPT", "collegedb:record", collegedb.open, config { strategy = "random" })
  end)
end)
