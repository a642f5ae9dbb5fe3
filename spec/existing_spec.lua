-- The functions that look at existing databases, and take them over through a mapper.

local collegedb = require "collegedb"
local fixture = require "spec.support.fixture"
local process = require "spec.support.process"

local HOSTILE <const> = {
  'a b', 'quo"te', "apo'strophe", "select", "größe", "semi;colon--", "%s %d", "back`tick", "[x]",
}

local function quoted(name) return '"' .. name:gsub('"', '""') .. '"' end

local function make_hostile(file)
  local parts = {}
  for i, name in ipairs(HOSTILE) do
    parts[i] = ("CREATE TABLE %s (%s TEXT PRIMARY KEY, n INT); INSERT INTO %s VALUES ('k%d', %d), ('l', 0);"):format(
      quoted(name), quoted("key " .. name), quoted(name), i, i)
  end
  fixture.sqlite(file, table.concat(parts))
end

local SHOP <const> = [[
  CREATE TABLE users (email TEXT PRIMARY KEY, name TEXT);
  CREATE TABLE posts (id INTEGER PRIMARY KEY, title TEXT);
  INSERT INTO users VALUES ('%s-1@x', 'A'), ('%s-2@x', 'B'), ('%s-3@x', 'C');
  WITH RECURSIVE n(i) AS (SELECT %d UNION ALL SELECT i + 1 FROM n WHERE i < %d)
    INSERT INTO posts SELECT i, 't' FROM n;
]]

local function make_shop(name, from)
  fixture.sqlite(name .. ".db", SHOP:format(name, name, name, from, from + 99))
end

local function texts(keys)
  local list = {}
  for i, key in ipairs(keys) do list[i] = tostring(key) end
  table.sort(list)
  return list
end

local function mapper(kv) return fixture.track(collegedb.KVShardMapper(kv or fixture.path "directory.db")) end

describe("an existing database, looked at", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("lists its own tables, of a path, a shard value and a handle", function()
    fixture.sqlite("a.db", [[CREATE TABLE b (id INTEGER PRIMARY KEY AUTOINCREMENT); CREATE TABLE "A b" (x);
      CREATE VIEW v AS SELECT 1; CREATE VIRTUAL TABLE words USING fts5(w); INSERT INTO b VALUES (1)]])
    local expected = { "A b", "b", "words" }
    assert.same(expected, collegedb.list_tables(fixture.path "a.db"))
    assert.same(expected, collegedb.list_tables(collegedb.sqlite(fixture.path "a.db")))
    local db = fixture.open(fixture.config())
    assert.same(expected, collegedb.list_tables(db:shard "a"))
    assert.same({}, collegedb.list_tables(db:shard "b"))
  end)

  it("is not made, and not changed, by looking", function()
    make_shop("a", 1)
    fixture.write("empty.db", "")
    fixture.write("text.db", "this is no database, and long enough to be read as one")
    local before = fixture.bytes "a.db"
    local path = fixture.path "a.db"
    collegedb.list_tables(path)
    collegedb.validate_table_for_sharding(path, "users")
    collegedb.discover_existing_primary_keys(path, "posts")
    fixture.raises("TABLE_NOT_FOUND", nil, collegedb.validate_table_for_sharding, path, "nope")
    fixture.raises("UNAVAILABLE", nil, collegedb.list_tables, fixture.path "missing.db")
    fixture.raises("UNAVAILABLE", nil, collegedb.each_existing_primary_key, fixture.path "missing.db", "users")
    fixture.raises("CORRUPT", nil, collegedb.list_tables, fixture.path "text.db")
    assert.same({}, collegedb.list_tables(fixture.path "empty.db"))
    assert.equal(before, fixture.bytes "a.db")
    assert.equal("", fixture.bytes "empty.db")
    assert.same({ "a.db", "empty.db", "text.db" }, fixture.files())
  end)

  it("takes hostile names", function()
    make_hostile "a.db"
    local path, sorted = fixture.path "a.db", { table.unpack(HOSTILE) }
    table.sort(sorted)
    assert.same(sorted, collegedb.list_tables(path))
    for i, name in ipairs(HOSTILE) do
      local found = collegedb.validate_table_for_sharding(path, name)
      assert.same({ is_valid = true, table_name = name, primary_key_column = "key " .. name, record_count = 2,
        issues = {} }, found)
      assert.same({ "k" .. i, "l" }, texts(collegedb.discover_existing_primary_keys(path, name)))
      assert.same({ tostring(i), "0" }, (function(keys)
        local list = {}
        for n, key in ipairs(keys) do list[n] = tostring(key):match "%d+$" end
        table.sort(list, function(a, b) return a > b end)
        return list
      end)(collegedb.discover_existing_primary_keys(path, name, "n")))
    end
    for _, name in ipairs { "users; DROP TABLE x", "_collegedb_own", "sqlite_schema", "a\0b" } do
      fixture.raises("TABLE_NOT_FOUND", nil, collegedb.discover_existing_primary_keys, path, name)
    end
  end)

  it("says what stands in the way of a table", function()
    fixture.sqlite("a.db", [[
      CREATE TABLE pairs (a, b, PRIMARY KEY (a, b)); CREATE TABLE bare (x); CREATE VIEW broken AS SELECT * FROM gone;
      CREATE TABLE loose (id, y); INSERT INTO loose VALUES (NULL, 1), ('', 2), ('k', 3), (1.5, 4), (7, 5);
      CREATE TABLE long (k TEXT PRIMARY KEY); INSERT INTO long VALUES (printf('%.*c', 513, 'x'));
      CREATE TABLE measures (k REAL PRIMARY KEY);]])
    local function check(name, key_column, ...)
      local found = collegedb.validate_table_for_sharding(fixture.path "a.db", name, key_column)
      assert.equal(select("#", ...) == 0, found.is_valid)
      for i, pattern in ipairs { ... } do assert.matches(pattern, found.issues[i]) end
      assert.equal(select("#", ...), #found.issues)
      return found
    end
    assert.equal("a", check("pairs").primary_key_column)
    check("pairs", "a")
    check("pairs", "b", "no index")
    check("bare", nil, "no primary key")
    check("broken", nil, "is a view")
    check("broken", "x", "is a view")
    check("measures", nil, "floating%-point")
    check("pairs", "nope", "no column nope")
    assert.equal(5, check("loose", nil, "^3 rows have no usable key", "no index").record_count)
    check("long", nil, "^1 rows")
    local keys = collegedb.discover_existing_primary_keys(fixture.path "a.db", "LOOSE")
    assert.same({ "7", "k" }, texts(keys))
    fixture.raises("USAGE", "no primary key", collegedb.discover_existing_primary_keys, fixture.path "a.db", "bare")
    fixture.raises("USAGE", "no column", collegedb.each_existing_primary_key, fixture.path "a.db", "pairs", "c")
  end)

  it("gives keys that find their rows", function()
    make_shop("a", 1)
    fixture.sqlite("c.db", "CREATE TABLE codes (c TEXT COLLATE NOCASE PRIMARY KEY); INSERT INTO codes VALUES ('Ab')")
    local db = fixture.open(fixture.config())
    local keys = collegedb.discover_existing_primary_keys(db:shard "a", "posts")
    assert.equal(100, #keys)
    for _, key in ipairs(keys) do assert.equal("a", (db:locate(key))) end
    assert.equal(db:key("posts", 7), (collegedb.discover_existing_primary_keys(db:shard "a", "POSTS"))[7])
    assert.same({ "ab" }, collegedb.discover_existing_primary_keys(fixture.path "c.db", "codes"))
    local tagged = collegedb.discover_existing_primary_keys(db:shard "a", "posts", nil, "east")
    assert.equal("east/posts:1", tostring(tagged[1]))
  end)

  it("is read key by key, and closed however the loop ends", function()
    make_shop("a", 1)
    local path, seen = fixture.path "a.db", 0
    for key in collegedb.each_existing_primary_key(path, "posts") do
      assert.matches("^posts:%d+$", tostring(key))
      seen = seen + 1
      if seen == 10 then break end
    end
    assert.has_error(function()
      for _ in collegedb.each_existing_primary_key(path, "posts") do error "mine" end
    end)
    for _ in collegedb.each_existing_primary_key(path, "posts") do seen = seen + 1 end
    assert.equal(110, seen)
    local step = collegedb.each_existing_primary_key(path, "users")
    while step() do seen = seen + 1 end
    assert.is_nil(step())
    assert.equal(113, seen)
    local db = fixture.open(fixture.config())
    for key in collegedb.each_existing_primary_key(db:shard "a", "posts") do
      if tostring(key) == "posts:5" then break end
    end
    db:shard("a"):exec "DROP TABLE posts" -- no statement is left running
  end)

  it("streams in constant memory", function()
    fixture.sqlite("a.db", [[CREATE TABLE t (id INTEGER PRIMARY KEY);
      WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200000) INSERT INTO t SELECT i FROM n]])
    local count, most = 0, 0
    collectgarbage()
    local start = collectgarbage "count"
    for _ in collegedb.each_existing_primary_key(fixture.path "a.db", "t") do
      count = count + 1
      if count % 10000 == 0 then most = math.max(most, collectgarbage "count" - start) end
    end
    assert.equal(200000, count)
    assert(most < 8192, most .. " KiB")
  end)

  it("refuses wrong arguments", function()
    make_shop("a", 1)
    local path = fixture.path "a.db"
    for _, value in ipairs { 7, true, {}, "", "a\0b" } do
      fixture.raises("USAGE", "shard", collegedb.list_tables, value)
    end
    fixture.raises("USAGE", "shard", collegedb.list_tables)
    for _, name in ipairs { 7, true, {}, "" } do
      fixture.raises("USAGE", "table's name", collegedb.validate_table_for_sharding, path, name)
      fixture.raises("USAGE", "key_column", collegedb.discover_existing_primary_keys, path, "users", name)
    end
    local db = fixture.open(fixture.config())
    local handle = db:shard "a"
    db:shard("a"):transaction(function() fixture.raises("BUSY", nil, collegedb.list_tables, handle) end)
    db:close()
    fixture.raises("CLOSED", nil, collegedb.list_tables, handle)
  end)
end)

describe("an existing database, taken over", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("through a database's mapper, by path or handle", function()
    make_shop("a", 1)
    make_shop("b", 1001)
    local before = fixture.bytes "a.db" .. fixture.bytes "b.db"
    local db = fixture.open(fixture.config { auto_migrate = false })
    local dry = collegedb.integrate_existing_database(fixture.path "a.db", "a", db:mapper(), { dry_run = true })
    assert.is_true(dry.dry_run)
    local report = collegedb.integrate_existing_database(fixture.path "a.db", "a", db:mapper(), { strategy = "hash" })
    assert.is_true(report.success)
    assert.equal(103, report.total_records)
    assert.equal(2, report.tables_processed)
    assert.is_true(collegedb.integrate_existing_database(db:shard "b", "b", db:mapper(), { resume = true }).success)
    for i = 1, 100 do
      assert.equal("a", (db:locate(i, "posts")))
      assert.equal("b", (db:locate(1000 + i, "posts")))
    end
    db:close()
    assert.equal(before, fixture.bytes "a.db" .. fixture.bytes "b.db")
  end)

  it("refuses what the database would not find, and changes nothing", function()
    make_shop("a", 1)
    make_shop("b", 1001)
    local db = fixture.open(fixture.config { auto_migrate = false })
    local m, integrate = db:mapper(), collegedb.integrate_existing_database
    local function entries()
      return fixture.rows("directory.db", "SELECT count(*) AS n FROM _collegedb_entries")[1].n
    end
    local path = fixture.path "a.db"
    fixture.raises("USAGE", "not the file of shard b", integrate, path, "b", m)
    fixture.raises("SHARD_NOT_FOUND", nil, integrate, path, "c", m)
    fixture.raises("USAGE", "mapper", integrate, path, "a", {})
    fixture.raises("USAGE", "mapper", integrate, path, "a")
    fixture.raises("USAGE", "no option color", integrate, path, "a", m, { color = 1 })
    fixture.raises("USAGE", "dry_run", integrate, path, "a", m, { dry_run = 1 })
    fixture.raises("USAGE", "number 1", integrate, path, "a", m, { tables = { 7 } })
    fixture.raises("USAGE", "options", integrate, path, "a", m, 7)
    fixture.raises("UNSUPPORTED", nil, integrate, path, "a", m, { add_shard_mappings_table = true })
    fixture.raises("USAGE", "by email, not by name", integrate, path, "a", m,
      { tables = { "users" }, primary_key_column = "name" })
    fixture.raises("USAGE", "rules", integrate, path, "a", m, { rules = {} })
    fixture.raises("TABLE_NOT_FOUND", nil, integrate, path, "a", m, { tables = { "nope" } })
    fixture.raises("UNAVAILABLE", nil, integrate, fixture.path "nope.db", "a", m)
    assert.equal(0, entries())
    assert.is_true(integrate(path, "a", m, { tables = { "users" }, primary_key_column = "EMAIL" }).success)
  end)

  it("through a KVShardMapper, where every key gets an entry and a later database finds it", function()
    make_shop("a", 1)
    make_shop("b", 1001)
    fixture.sqlite("b.db", "INSERT INTO users VALUES ('a-1@x', 'again')")
    local before = fixture.bytes "a.db" .. fixture.bytes "b.db"
    local m = mapper()
    local integrate = collegedb.integrate_existing_database
    assert.equal(103, integrate(fixture.path "a.db", "a", m, { dry_run = true }).entries)
    fixture.raises("TABLE_NOT_FOUND", nil, integrate, fixture.path "a.db", "a", m, { tables = { "nope" } })
    fixture.raises("USAGE", "rules", integrate, fixture.path "a.db", "a", m, { rules = "nope" })
    fixture.raises("USAGE", "name", integrate, fixture.path "a.db", "a\n", m)
    assert.same({}, m:get_known_shards())
    local report = integrate(fixture.path "a.db", "a", m)
    assert.equal(103, report.entries)
    assert.is_true(report.success)
    assert.equal(0, integrate(fixture.path "a.db", "a", m).entries)
    report = integrate(fixture.path "b.db", "b", m)
    assert.equal(1, report.conflict_count)
    assert.same({ key = "a-1@x", table = "users", shard = "b", other_shard = "a" }, report.conflicts[1])
    assert.same({ a = 103, b = 103 }, m:get_shard_key_counts())
    assert.same({ shard = "a", version = 0 }, m:get_shard_mapping "a-1@x")
    assert.equal(before, fixture.bytes "a.db" .. fixture.bytes "b.db")
    m:close()
    local db = fixture.open(fixture.config())
    for i = 1, 100 do
      assert.equal("a", (db:locate(i, "posts")))
      assert.equal("b", (db:locate(1000 + i, "posts")))
    end
    assert.equal("A", db:first("a-1@x", "SELECT name FROM users WHERE email = 'a-1@x'").name)
    db:close()
    fixture.raises("UNSUPPORTED", "db:mapper", integrate, fixture.path "a.db", "a", mapper())
  end)

  it("through a KVShardMapper by another key column, or rules", function()
    make_shop("a", 1)
    local m = mapper "memory:"
    collegedb.integrate_existing_database(fixture.path "a.db", "a", m,
      { tables = { "users" }, primary_key_column = "name" })
    assert.equal("a", m:get_shard_mapping("A").shard)
    assert.is_nil(m:get_shard_mapping "a-1@x")
    local report = collegedb.integrate_existing_database(fixture.path "a.db", "a", m,
      { rules = { table = function(info) return info.name == "users" and { key_column = "email" } or nil, "no" end } })
    assert.equal(3, report.entries)
  end)

  it("by mappings that a strategy makes, keeping those that are there", function()
    make_shop("a", 1)
    local m, path = mapper(), fixture.path "a.db"
    local keys = collegedb.discover_existing_primary_keys(path, "posts")
    table.move(collegedb.discover_existing_primary_keys(path, "users"), 1, 3, 101, keys)
    m:set_shard_mapping(keys[1], "z")
    local create = collegedb.create_mappings_for_existing_keys
    fixture.raises("USAGE", "strategy", create, keys, { "x", "y" }, "nope", m)
    fixture.raises("SCRIPT", "returned \"w\"", create, keys, { "x" }, function() return "w" end, m)
    fixture.raises("USAGE", "array", create, "k", { "x" }, "hash", m)
    fixture.raises("USAGE", "at least one", create, keys, {}, "hash", m)
    fixture.raises("USAGE", "db:key", create, { "ok", 7 }, { "x" }, "hash", m)
    fixture.raises("USAGE", "mapper", create, keys, { "x" }, "hash")
    assert.same({ "z" }, m:get_known_shards())
    assert.equal(102, create(keys, { "x", "y" }, "hash", m))
    assert.equal(0, create(keys, { "x", "y" }, "hash", m))
    assert.equal("z", m:get_shard_mapping(keys[1]).shard)
    local counts = m:get_shard_key_counts()
    assert.equal(102, counts.x + counts.y)
    assert(counts.x > 20 and counts.y > 20)
    local fewest = function(_, shards)
      table.sort(shards, function(p, q) return p.keys < q.keys end)
      return shards[1].name
    end
    assert.equal(10, create({ "k1", "k2", "k3", "k4", "k5", "k6", "k7", "k8", "k9", "k10" }, { "p", "q" }, fewest, m))
    counts = m:get_shard_key_counts()
    assert.same({ 5, 5 }, { counts.p, counts.q })
    assert.equal(4, create({ "r1", "r2", "r3", "r3", "r4" }, { "s", "t" }, { read = "hash", write = "round-robin" }, m))
    counts = m:get_shard_key_counts()
    assert.equal(4, counts.s + counts.t)
  end)

  it("by mappings into a database, whose shards they must be", function()
    make_shop("a", 1)
    local db = fixture.open(fixture.config { auto_migrate = false })
    fixture.raises("SHARD_NOT_FOUND", nil, collegedb.create_mappings_for_existing_keys, { "k" }, { "c" }, "hash",
      db:mapper())
    assert.equal(1, collegedb.create_mappings_for_existing_keys({ "a-1@x", "new" }, { "b" }, "hash", db:mapper()))
    assert.equal("b", (db:locate "new"))
    assert.equal("a", (db:locate "a-1@x"))
  end)
end)

describe("whether integration is needed", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  local function needed(name, config)
    return collegedb.check_migration_needed(fixture.path(name .. ".db"), name, config or fixture.config())
  end
  local function migrate(name, config)
    return collegedb.auto_detect_and_migrate(fixture.path(name .. ".db"), name, config or fixture.config())
  end

  it("is told without making a file", function()
    make_shop("a", 1)
    assert.is_true(needed "a")
    assert.same({ "a.db" }, fixture.files())
    fixture.raises("UNAVAILABLE", nil, needed, "b")
    assert.same({ "a.db" }, fixture.files())
  end)

  it("is exact: a few new rows among many are seen", function()
    make_shop("a", 1)
    fixture.sqlite("a.db", "DELETE FROM posts WHERE id BETWEEN 40 AND 45")
    fixture.sqlite("b.db", "CREATE TABLE users (email TEXT PRIMARY KEY, name TEXT)")
    assert.is_true(needed "a")
    assert.is_false(needed "b")
    local done = migrate "a"
    assert.same({ true, true, 97, 2, {} }, { done.migration_needed, done.migration_performed, done.records_migrated,
      done.tables_processed, done.issues })
    assert.is_false(needed "a")
    -- Among these are some whose home is b.
    fixture.sqlite("a.db", "INSERT INTO posts VALUES (40, 'x'), (41, 'x'), (42, 'x'), (43, 'x'), (44, 'x'), (45, 'x')")
    assert.is_true(needed "a")
    assert.is_false(migrate("a").migration_needed) -- this process has seen that nothing was left …
    collegedb.clear_migration_cache()
    done = migrate "a"                             -- … until it forgets
    assert.is_true(done.migration_performed)
    assert(done.records_migrated >= 1 and done.records_migrated <= 6)
    assert.is_false(needed "a")
  end)

  it("takes any config that can be opened", function()
    make_shop("a", 1)
    make_shop("b", 1001)
    local a, b = fixture.path "a.db", fixture.path "b.db"
    for i, config in ipairs {
      { shards = { a = a, b = collegedb.sqlite(b) } },
      { shards = { a = { a, weight = 2, keyspace = "east" }, b = { b, allocate = false } }, rules = {} },
      { shards = { { name = "a", a }, { name = "b", b } }, strategy = { read = "hash", write = "random" } },
      { shards = { { name = "a", a } }, strategy = "round-robin", directory = "full", mapping_cache_ttl = 1 },
      { shards = { { name = "a", a } }, strategy = function(_, shards) return shards[1].name end },
    } do
      config.kv = fixture.path(i .. ".db")
      assert.is_true(needed("a", config))
      assert.is_true(migrate("a", config).migration_performed)
      assert.is_false(needed("a", config))
    end
  end)

  it("is asked again after a rollback", function()
    make_shop("a", 1)
    assert.is_true(migrate("a").migration_performed)
    assert.is_false(migrate("a").migration_needed)
    local db = fixture.open(fixture.config { auto_migrate = false })
    db:rollback "a"
    assert.is_true(collegedb.check_migration_needed(db:shard "a", "a", db))
    assert.is_true(collegedb.auto_detect_and_migrate(db:shard "a", "a", db).migration_performed)
  end)

  it("names what was left out", function()
    fixture.sqlite("a.db", "CREATE TABLE pairs (a, b); CREATE TABLE t (id INTEGER PRIMARY KEY);"
      .. "INSERT INTO t VALUES (1); INSERT INTO pairs VALUES (1, 2)")
    assert.matches("pairs was left out", migrate("a").issues[1])
    assert.is_false(migrate("a").migration_needed)
  end)

  it("refuses another file, an unknown shard and a wrong config", function()
    make_shop("a", 1)
    make_shop("b", 1001)
    local config, path = fixture.config(), fixture.path "a.db"
    fixture.raises("USAGE", "not the file", collegedb.check_migration_needed, path, "b", config)
    fixture.raises("SHARD_NOT_FOUND", nil, collegedb.auto_detect_and_migrate, path, "c", config)
    fixture.raises("CONFIG", nil, collegedb.check_migration_needed, fixture.path "a.db", "a", {})
    fixture.raises("CONFIG", nil, collegedb.check_migration_needed, fixture.path "a.db", "a")
    fixture.raises("USAGE", "name", collegedb.check_migration_needed, fixture.path "a.db", nil, fixture.config())
  end)

  it("is seen across processes", function()
    make_shop("a", 1)
    make_shop("b", 1001)
    local outputs = fixture.together(2, [[
      local config = { kv = folder .. "/directory.db", shards = { { name = "a", folder .. "/a.db" },
        { name = "b", folder .. "/b.db" } } }
      collegedb.open({ kv = config.kv, shards = config.shards, auto_migrate = false }):close()
      wait_for_go()
      for _, name in ipairs { "a", "b" } do
        collegedb.auto_detect_and_migrate(folder .. "/" .. name .. ".db", name, config)
        print(collegedb.check_migration_needed(folder .. "/" .. name .. ".db", name, config))
      end]])
    assert.same({ "false\nfalse\n", "false\nfalse\n" }, outputs)
    assert.is_false(needed "a")
    assert.is_false(needed "b")
  end)
end)

describe("require 'collegedb'", function()
  it("loads none of this before it is used", function()
    local result = process.run { process.collegedb, "-e", [[
      local collegedb = require "collegedb"
      assert(not package.loaded["collegedb.existing"] and not package.loaded["collegedb.mapper"])
      assert(collegedb.list_tables and collegedb.KVShardMapper and package.loaded["collegedb.existing"])]] }
    assert.equal("", result.stderr)
  end)
end)
