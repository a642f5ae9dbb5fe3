-- Names that could be taken for SQL, for a pattern, a format, a path, or for another name: wherever a function takes
-- one, the answer is right or a clear error, and nothing else is touched.

local collegedb = require "collegedb"
local core = require "collegedb.core"
local fixture = require "spec.support.fixture"

local LONG <const> = ("n"):rep(300)

local names <const> = {
  "", " ", "with space", " lead", "trail ", 'double"quote', "single'quote", "back`quote", "bracket]", "[open", "a;b",
  "a--b", "/*a", "*/", "%", "%s%d%n", "100%", "%1", "back\\slash", "nul\0byte", "users\0", "users\0x", "new\nline",
  "tab\t", "bell\7", "return\r", "select", "order", "TABLE", "group", "index", "null", "é", "É", "表", "😀",
  "e\u{301}", "\xff\xfe", "1digit", "17", "-1", "1e3", LONG, ("é"):rep(200), ("n"):rep(127), ("n"):rep(128),
  ("n"):rep(255), ("n"):rep(256), "sqlite_x", "sqlite_master", "sqlite_sequence", "SQLITE_X", "_collegedb_x",
  "_collegedb_entries", "main", "temp", "main.users", "temp.users", "rowid", "oid", "_rowid_", '"users"', "[users]",
  "users ", 'users"; DROP TABLE canary; --', "users'; DROP TABLE canary; --", "users); DROP TABLE canary; --", "?1",
  ":name", "@name", "$name", "a,b", "*", "#", "..", "-", "--json", "~", "$(touch x)", "ı", "K",
}

local function quoted(name) return '"' .. name:gsub('"', '""') .. '"' end
local function shown(name) return (("%q"):format(name):gsub("\\\n", "\\n"):sub(1, 40)) end

-- What may be a shard's name or keyspace.
local function is_config_name(name) return name ~= "" and #name <= 127 and not name:find "%c" end

---The results of a call; if it raises, nil and the error, which must have one of the codes.
local function call(codes, f, ...)
  local results = table.pack(pcall(f, ...))
  if results[1] then return table.unpack(results, 2, results.n) end
  local e = results[2]
  assert(collegedb.is_error(e), tostring(e))
  for _, code in ipairs(codes) do
    if e.code == code then
      assert(not tostring(e):find "\n")
      return nil, e
    end
  end
  error(e, 0)
end

local function must_fail(codes, f, ...)
  local answer, e = call(codes, f, ...)
  assert(e, "it returned " .. tostring(answer))
end

-- Nothing here is about durability, and there are hundreds of files.
local function with_file(file, f)
  local shard = core.sqlite(fixture.path(file), { journal_mode = "delete", synchronous = "off" })
  f(shard)
  core.close(shard)
end

local function two_shards(extra)
  local config = fixture.config(extra)
  config.kv = "memory:"
  for _, shard in ipairs(config.shards) do shard.synchronous = "off" end
  return config
end

local function make_canary(file)
  with_file(file, function(shard)
    shard:exec "CREATE TABLE canary (id TEXT PRIMARY KEY); INSERT INTO canary VALUES ('c')"
  end)
end

-- A file with the canary, and a table with a row for the key `k1` or 1 if such a table can be.
local function make(file, table_name, column, declared)
  if not core.file_id(fixture.path(file)) then make_canary(file) end
  local made
  with_file(file, function(shard)
    made = pcall(shard.run, shard, ("CREATE TABLE %s (%s %s, v)"):format(quoted(table_name), quoted(column), declared))
    if not made then return end
    local key = declared:find "INTEGER" and 1 or "k1"
    shard:run(("INSERT INTO %s VALUES (?, 1)"):format(quoted(table_name)), { key })
  end)
  return made
end

local function check_canary(...)
  for _, file in ipairs { ... } do
    assert.equal(1, fixture.rows(file, "SELECT count(*) AS n FROM canary")[1].n)
    assert.same({}, fixture.rows(file, "SELECT name FROM sqlite_schema WHERE name IN ('_collegedb_counters', 'x')"))
  end
end

local function each_name(what, f)
  for _, name in ipairs(names) do
    it(what .. " " .. shown(name), function() f(name) end)
  end
end

describe("as the name of a table", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  local MISSING <const> = { "TABLE_NOT_FOUND", "USAGE" }

  -- Every function that takes a table's name, of a table that can not be routed.
  local function check_missing(db, path, name)
    must_fail(MISSING, collegedb.discover_existing_primary_keys, path, name)
    must_fail(MISSING, db.key, db, name, "k1")
    must_fail(MISSING, db.locate, db, "k1", name)
    must_fail(MISSING, db.locate, db, 1, name)
    must_fail(MISSING, db.integrate, db, "a", { tables = { name } })
    must_fail(MISSING, collegedb.integrate_existing_database, path, "a", db:mapper(), { tables = { name } })
    local found = call(MISSING, collegedb.validate_table_for_sharding, path, name)
    assert.is_false(found and found.is_valid or false)
    call(MISSING, db.count, db, name)
  end

  local function check_looks(db, path, name, key)
    local found = {}
    for _, each in ipairs(collegedb.list_tables(path)) do found[each] = true end
    assert.is_true(found[name])
    local report = collegedb.validate_table_for_sharding(path, name)
    assert.same({ true, name, 1 }, { report.is_valid, report.table_name, report.record_count })
    assert.equal(1, #collegedb.discover_existing_primary_keys(path, name))
    assert.equal(1, (db:count(name)))
    assert.equal("a", (db:locate(key, name)))
    assert.equal(name .. ":" .. key, tostring(db:key(name, key)))
    assert.equal(1, db:integrate("a", { tables = { name } }).tables_processed)
    local report_of = collegedb.integrate_existing_database(path, "a", db:mapper(), { tables = { name } })
    assert.equal(1, report_of.tables_processed)
  end

  local function check_routes(db, name, key, integer)
    local sql = ("SELECT v FROM %s WHERE id = ?"):format(quoted(name))
    assert.equal(1, db:first(key, sql, { key }).v)
    db:create_schema("b", ("CREATE TABLE %s (id %s PRIMARY KEY, v)"):format(quoted(name),
      integer and "INTEGER" or "TEXT"))
    for i = 2, 6 do
      local new = integer and i or "k" .. i
      local served = db:insert(new, ("INSERT INTO %s VALUES (?, 2)"):format(quoted(name)), { new }).meta.served_by
      assert.equal(served, (db:locate(new, name)))
      assert.equal(served, (db:locate(db:key(name, new))))
    end
    assert.equal(6, (db:count(name)))
    db:integrate "a"
    db:rollback "a"
    assert.equal(1, db:first(key, sql, { key }).v)
    assert.is_true(#db:mapper():get_keys_for_shard "a" > 0)
    assert.equal(2, #db:get_shard_stats())
  end

  local function check_table(name, kind)
    local there = make("a.db", name, "id", kind .. " PRIMARY KEY")
    make_canary "b.db"
    local own = name:find "^_collegedb_" ~= nil
    local db, path = fixture.open(two_shards()), fixture.path "a.db"
    if there and name ~= "" and #name <= 255 and not own then
      local integer = kind == "INTEGER"
      local key = integer and 1 or "k1"
      check_looks(db, path, name, key)
      check_routes(db, name, key, integer)
    elseif own or not there then
      check_missing(db, path, name)
    else
      must_fail(MISSING, db.locate, db, "k1", name)
      must_fail(MISSING, db.integrate, db, "a", { tables = { name .. "x" } })
    end
    check_canary("a.db", "b.db")
  end

  -- Integers have a keyspace named after their table; of strings a part of the names is enough.
  for i, name in ipairs(names) do
    it("with integer keys " .. shown(name), function() check_table(name, "INTEGER") end)
    if i % 3 == 0 then it("with strings " .. shown(name), function() check_table(name, "TEXT") end) end
  end

  it("a name that differs in case is the same one, and one that goes on behind a NUL is not", function()
    local db = fixture.database [[CREATE TABLE Users (id TEXT PRIMARY KEY, v);
      CREATE TABLE posts (id INTEGER PRIMARY KEY)]]
    for _, name in ipairs { "users", "USERS", "uSeRs" } do
      assert.equal((db:locate "k1"), (db:locate("k1", name)))
      assert.equal("Users:k1", tostring(db:key(name, "k1")))
      assert.equal(0, (db:count(name)))
    end
    for _, name in ipairs { "users\0", "users\0x", "posts\0", "ＵＳＥＲＳ" } do
      check_missing(db, fixture.path "a.db", name)
    end
  end)

  it("a name that is too long is refused by statements, and reported", function()
    make("a.db", LONG, "id", "TEXT COLLATE NOCASE PRIMARY KEY")
    local db = fixture.open(fixture.config())
    fixture.raises("USAGE", "more than 255 bytes", db.first, db, "k1", ("SELECT * FROM %s"):format(LONG))
    fixture.raises("USAGE", "more than 255 bytes", db.locate, db, "k1", LONG)
    fixture.raises("TABLE_NOT_FOUND", "more than 255 bytes", db.key, db, LONG, "k1")
    fixture.raises("USAGE", "more than 255 bytes", db.integrate, db, "a", { tables = { LONG } })
    assert.matches("left out: its name has more than 255 bytes", table.concat(db:integrate "a".issues, "\n"))
    assert.equal(1, (db:count(LONG)))
    assert.equal(1, db:shard "a":first(("SELECT v FROM %s WHERE id = 'K1'"):format(LONG)).v)
  end)
end)

describe("as the name of a key column", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  local function rules_for(column)
    return { table = function(info)
      if info.name == "t" then return { key_column = column } end
      return nil, "not this one"
    end }
  end

  local function check_column(name, path, key)
    local report = collegedb.validate_table_for_sharding(path, "t", name)
    assert.same({ name, 1 }, { report.primary_key_column, report.record_count })
    assert.equal(1, #collegedb.discover_existing_primary_keys(path, "t", name))
    local db = fixture.open(two_shards { rules = rules_for(name), check_keys = true,
      shards = { a = { external_writers = true } } })
    assert.equal("a", (db:locate(key, "t")))
    db:create_schema("b", ("CREATE TABLE t (%s %s, v)"):format(quoted(name),
      type(key) == "string" and "TEXT COLLATE NOCASE" or "INTEGER PRIMARY KEY"))
    local sql = ("UPDATE t SET v = 2 WHERE %s = ?"):format(quoted(name))
    assert.equal(1, db:update_by_primary_key(key, sql, { key }).meta.changes)
    local other = type(key) == "string" and "k2" or 2
    db:insert(other, "INSERT INTO t VALUES (?, 1)", { other })
    assert.equal(2, (db:count "t"))
    local stranger = 10
    while db:locate(db:key("t", stranger)) ~= "a" do stranger = stranger + 1 end
    must_fail({ "USAGE" }, db.run, db, db:key("t", stranger), "UPDATE t SET v = 3")
    assert.equal(1, db:integrate "a".total_records - (db:locate(other, "t") == "a" and 1 or 0))
  end

  for i, name in ipairs(names) do
    local declared = i % 2 == 0 and "TEXT COLLATE NOCASE" or "INTEGER PRIMARY KEY"
    it(declared .. " " .. shown(name), function()
      local there = make("a.db", "t", name, declared)
      local path = fixture.path "a.db"
      if there and name ~= "" then
        check_column(name, path, declared:find "INT" and 1 or "k1")
      else
        make("a.db", "t", "id", declared)
        local report = call({ "USAGE" }, collegedb.validate_table_for_sharding, path, "t", name)
        assert.is_false(report and report.is_valid or false)
        must_fail({ "USAGE" }, collegedb.discover_existing_primary_keys, path, "t", name)
        if not there then
          must_fail({ "SCRIPT" }, collegedb.open, two_shards { rules = rules_for(name) })
        end
      end
      check_canary "a.db"
    end)
  end
end)

describe("as the name of a shard, or a keyspace,", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  local MISSING <const> = { "SHARD_NOT_FOUND", "USAGE" }

  local function check_shard(db, name, path)
    for _, shard in ipairs { name, db:shard "other" } do
      db:create_schema(shard, "CREATE TABLE t (id TEXT PRIMARY KEY); CREATE TABLE p (id INTEGER PRIMARY KEY)")
    end
    db:integrate(name)
    db:rollback(name)
    db:integration_report(name)
    for i = 1, 4 do
      local key = "k" .. i
      assert.equal(db:insert(key, "INSERT INTO t VALUES (?)", { key }).meta.served_by, (db:locate(key)))
    end
    assert.is_table(db:run_all_shards "SELECT 1 AS x"[name])
    local e = fixture.raises("SQL", nil, db:shard(name).run, db:shard(name), "SELECT nope")
    assert.equal(name, e.shard)
    local mapper = db:mapper()
    mapper:set_shard_mapping("q", name)
    mapper:update_shard_mapping("q", name)
    assert.equal(name, mapper:get_shard_mapping "q".shard)
    assert.is_number(mapper:get_shard_key_counts()[name])
    assert.is_table(mapper:get_keys_for_shard(name))
    assert.equal(2, collegedb.create_mappings_for_existing_keys({ "n1", "n2" }, { name }, "round_robin", mapper))
    assert.equal(name, collegedb.integrate_existing_database(path, name, mapper).shard_name)
    assert.is_boolean(collegedb.check_migration_needed(path, name, db))
    assert.is_table(collegedb.auto_detect_and_migrate(path, name, db))
  end

  local function check_keyspace(db, name)
    local key = db:key("p", 1, name)
    assert.equal(name .. "/p:1", tostring(key))
    assert.equal("other", db:insert(key, "INSERT INTO p VALUES (1)").meta.served_by)
    assert.equal("other", (db:locate(key)))
    assert.equal(1, db:first(key, "SELECT count(*) AS n FROM p").n)
  end

  local function check_unknown(name, path)
    local db = fixture.open(two_shards())
    db:ensure_schema "CREATE TABLE t (id INTEGER PRIMARY KEY)"
    local mapper = db:mapper()
    for _, method in ipairs { "shard", "integrate", "rollback", "create_schema", "integration_report" } do
      must_fail(MISSING, db[method], db, name)
    end
    must_fail(MISSING, db.key, db, "t", 1, name)
    must_fail(MISSING, mapper.set_shard_mapping, mapper, "c", name)
    must_fail(MISSING, mapper.set_shard_mappings_batch, mapper, { { "c", name } })
    must_fail(MISSING, mapper.get_keys_for_shard, mapper, name)
    must_fail({ "MAPPING_NOT_FOUND", "USAGE" }, mapper.update_shard_mapping, mapper, "c", name)
    must_fail(MISSING, collegedb.create_mappings_for_existing_keys, { "z" }, { name }, nil, mapper)
    for _, f in ipairs { "check_migration_needed", "auto_detect_and_migrate" } do
      must_fail(MISSING, collegedb[f], path, name, db)
    end
    must_fail(MISSING, collegedb.integrate_existing_database, path, name, mapper)
    assert.same({ "a", "b" }, mapper:get_known_shards())
    call(MISSING, mapper.add_known_shard, mapper, name)
    assert.same({ "a", "b", is_config_name(name) and name or nil }, mapper:get_known_shards())
    call(MISSING, mapper.set_known_shards, mapper, { "a", "b", name })
    mapper:set_known_shards { "a", "b" }
    assert.same({ "a", "b" }, mapper:get_known_shards())
  end

  each_name("", function(name)
    make_canary "s.db"
    make_canary "o.db"
    local config = { kv = "memory:", strategy = "round_robin", shards = {
      { name = name, fixture.path "s.db", synchronous = "off" },
      { name = "other", fixture.path "o.db", synchronous = "off", keyspace = is_config_name(name) and name or nil },
    } }
    if is_config_name(name) then
      local db = fixture.open(config)
      check_shard(db, name, fixture.path "s.db")
      check_keyspace(db, name)
      db:close()
    else
      must_fail({ "CONFIG" }, collegedb.open, config)
      must_fail({ "CONFIG" }, collegedb.open, { kv = "memory:", shards = { [name] = ":memory:" } })
      local shard = { name = "a", ":memory:", keyspace = name }
      must_fail({ "CONFIG" }, collegedb.open, { kv = "memory:", shards = { shard } })
      assert.same({ "o.db", "s.db" }, fixture.files())
    end
    check_unknown(name, fixture.path "s.db")
    check_canary("s.db", "o.db")
  end)

  it("a keyspace that the rules name is a string without NUL", function()
    for _, keyspace in ipairs { "a\0b", ("n"):rep(256), 5, {} } do
      local db = fixture.open { kv = "memory:", shards = { a = ":memory:" },
        rules = { table = function() return { key_column = "id", keyspace = keyspace } end } }
      fixture.raises("SCRIPT", "keyspace", db.ensure_schema, db, "CREATE TABLE t (id INTEGER PRIMARY KEY)")
    end
  end)
end)

describe("as any other name:", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  each_name("a script, a field, an answer, a key,", function(name)
    local function refused(extra)
      local config = fixture.config(extra)
      must_fail({ "CONFIG" }, collegedb.open, config)
    end
    for _, field in ipairs { "strategy", "rules", "target_region", "directory" } do
      refused { [field] = name, script_dirs = { fixture.path "." } }
    end
    refused { strategy = { read = name, write = "random" } }
    refused { strategy = "nowhere", script_dirs = { name } }
    refused { [name] = 1 }
    refused { shard_locations = { [name] = "weur" } }
    refused { shards = { a = { [name] = 1 } } }
    refused { shards = { a = { journal_mode = name } } }
    must_fail({ "CONFIG" }, collegedb.KVShardMapper, "memory:", { [name] = 1 })
    assert.same({}, fixture.files())
    local db = fixture.open(two_shards { strategy = function() return name end })
    db:ensure_schema "CREATE TABLE users (id TEXT PRIMARY KEY)"
    must_fail({ "SCRIPT" }, db.insert, db, "k", "INSERT INTO users VALUES ('k')")
    db:close()
    db = fixture.open(two_shards { strategy = "random", mapping_secret = name ~= "" and name or nil })
    must_fail({ "USAGE" }, db.first, db, "k", "SELECT :x AS v", { [name] = 1 })
    must_fail({ "USAGE" }, db.first, db, "k", "SAVEPOINT " .. quoted(name))
    if name == "" then return must_fail({ "USAGE" }, db.insert, db, name, "INSERT INTO users VALUES (?)", { name }) end
    local shard = db:insert(name, "INSERT INTO users VALUES (?)", { name }).meta.served_by
    assert.equal(name, db:first(name, "SELECT id FROM users WHERE id = ?", { name }).id)
    assert.equal(shard, (db:locate(db:key("users", name))))
  end)

  local paths <const> = { "file:x.db", "file:x.db?mode=memory", "file::memory:", ":memory:x", "x?mode=memory", "x#y",
    "./x", "a/../b", "memory:x" }
  for _, name in ipairs(names) do paths[#paths + 1] = name end

  for _, name in ipairs(paths) do
    it("a file " .. shown(name), function()
      local path, missing = fixture.path(name), { "CONFIG", "UNAVAILABLE" }
      local shards = { { name = "a", path, synchronous = "off" } }
      local db = call(missing, collegedb.open, { kv = fixture.path "directory.db", shards = shards })
      if not db then
        assert.same({}, fixture.files())
        must_fail({ "USAGE", "UNAVAILABLE" }, collegedb.list_tables, path)
        return
      end
      db:ensure_schema "CREATE TABLE users (id TEXT PRIMARY KEY)"
      db:insert("k", "INSERT INTO users VALUES ('k')")
      db:close()
      assert.equal("k", fixture.rows(name, "SELECT id FROM users")[1].id)
      assert.same({ "users" }, collegedb.list_tables(collegedb.sqlite(path)))
      db = fixture.open { kv = path .. "-kv", shards = shards, strategy = "random" }
      db:insert("k2", "INSERT INTO users VALUES ('k2')")
      assert.equal("a", db:mapper():get_shard_mapping "k2".shard)
      db:close()
      assert.is_true(core.file_size(path .. "-kv") > 0)
    end)
  end
end)
