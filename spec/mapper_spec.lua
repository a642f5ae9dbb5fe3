-- The mapper: the directory's entries one by one, of a database and without one.

local collegedb = require "collegedb"
local fixture = require "spec.support.fixture"
local table_kv = require "spec.support.table_kv"

local SCHEMA <const> = [[
  CREATE TABLE IF NOT EXISTS users (email TEXT PRIMARY KEY, name TEXT);
  CREATE TABLE IF NOT EXISTS posts (id INTEGER PRIMARY KEY, title TEXT);
]]

local function mapper(kv, opts) return fixture.track(collegedb.KVShardMapper(kv or "memory:", opts)) end

local function other(shard) return shard == "a" and "b" or "a" end

-- What every mapper does alike; `make` gives one that knows the shards a and b.
local function behaves(make)
  local m
  before_each(function() m = make() end)

  it("knows a key from its first mapping to its last", function()
    assert.is_nil(m:get_shard_mapping "k")
    m:set_shard_mapping("k", "a")
    assert.same({ shard = "a", version = 1 }, m:get_shard_mapping "k")
    m:set_shard_mapping("k", "b")
    assert.same({ shard = "b", version = 2 }, m:get_shard_mapping "k")
    m:update_shard_mapping("k", "a")
    assert.same({ shard = "a", version = 3 }, m:get_shard_mapping "k")
    assert.is_true(m:delete_shard_mapping "k")
    assert.is_false(m:delete_shard_mapping "k")
    assert.is_nil(m:get_shard_mapping "k")
    fixture.raises("MAPPING_NOT_FOUND", "k", m.update_shard_mapping, m, "k", "a")
    assert.is_nil(m:get_shard_mapping "k")
  end)

  it("takes hostile keys apart from one another", function()
    local keys = { "a b", "'", '"', "\0", "k\0", "k", "größe", "%s", "17", ("x"):rep(512), "; DROP TABLE x" }
    for i, key in ipairs(keys) do m:set_shard_mapping(key, i % 2 == 0 and "a" or "b") end
    for i, key in ipairs(keys) do assert.equal(i % 2 == 0 and "a" or "b", m:get_shard_mapping(key).shard) end
  end)

  it("refuses what is no key or no shard's name", function()
    for _, key in ipairs { 17, 1.5, true, {}, "", ("x"):rep(513) } do
      fixture.raises("USAGE", "key", m.get_shard_mapping, m, key)
      fixture.raises("USAGE", "key", m.set_shard_mapping, m, key, "a")
      fixture.raises("USAGE", "key", m.update_shard_mapping, m, key, "a")
      fixture.raises("USAGE", "key", m.delete_shard_mapping, m, key)
    end
    for _, name in ipairs { 17, {}, "", ("x"):rep(128), "a\nb" } do
      fixture.raises("USAGE", "name", m.set_shard_mapping, m, "k", name)
      fixture.raises("USAGE", "name", m.update_shard_mapping, m, "k", name)
      fixture.raises("USAGE", "name", m.add_known_shard, m, name)
      fixture.raises("USAGE", "name", m.set_known_shards, m, { "a", "b", name })
    end
    fixture.raises("USAGE", "array", m.set_known_shards, m, "a")
    assert.same({ "a", "b" }, m:get_known_shards())
  end)

  it("writes a batch whole or not at all", function()
    m:set_shard_mapping("k1", "a")
    for _, list in ipairs {
      { { "k1", "b" }, { 7, "a" } }, { { "k1", "b" }, { "k2" } }, { { "k1", "b" }, "k2" }, { { "k1", "b" }, [3] = {} },
      { { "k1", "b" }, key = "k2" }, 7,
    } do
      fixture.raises("USAGE", nil, m.set_shard_mappings_batch, m, list)
    end
    assert.same({ shard = "a", version = 1 }, m:get_shard_mapping "k1")
    assert.equal(0, m:set_shard_mappings_batch {})
    local list = {}
    for i = 1, 500 do list[i] = { "k" .. i, i <= 200 and "a" or "b" } end
    assert.equal(500, m:set_shard_mappings_batch(list))
    for i = 1, 500 do assert.equal(list[i][2], m:get_shard_mapping("k" .. i).shard) end
    assert.same({ shard = "a", version = 2 }, m:get_shard_mapping "k1")
  end)

  it("forgets all mappings", function()
    m:set_shard_mappings_batch { { "x", "a" }, { "y", "b" } }
    assert.equal(2, m:clear_all_mappings())
    assert.equal(0, m:clear_all_mappings())
    assert.is_nil(m:get_shard_mapping "x")
    assert.same({ "a", "b" }, m:get_known_shards())
  end)

  it("keeps the names of shards", function()
    m:add_known_shard "c"
    m:add_known_shard "c"
    assert.same({ "a", "b", "c" }, m:get_known_shards())
    m:set_known_shards { "a", "b", "d" }
    assert.same({ "a", "b", "d" }, m:get_known_shards())
    m:set_known_shards { "a", "b" }
    assert.same({ "a", "b" }, m:get_known_shards())
  end)
end

describe("the mapper of a database", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  describe("behaves like any:", function()
    behaves(function() return fixture.database(SCHEMA):mapper() end)
  end)

  describe("in a table KV behaves like any:", function()
    behaves(function() return fixture.database(SCHEMA, { kv = table_kv.memory() }):mapper() end)
  end)

  it("knows keys without an entry by their rows", function()
    local db = fixture.database(SCHEMA)
    local m = db:mapper()
    db:insert("k", "INSERT INTO users VALUES ('k', 'K')")
    db:insert(7, "INSERT INTO posts VALUES (7, 'P')")
    assert.same({ shard = db:locate "k", version = 0 }, m:get_shard_mapping "k")
    assert.same({ shard = db:locate(7, "posts"), version = 0 }, m:get_shard_mapping(db:key("posts", 7)))
    assert.is_nil(m:get_shard_mapping(db:key("posts", 8)))
    m:update_shard_mapping("k", other(db:locate "k"))
    assert.equal(1, m:get_shard_mapping("k").version)
  end)

  it("is followed at once by its database, and moves no rows", function()
    local db = fixture.database(SCHEMA)
    local m = db:mapper()
    db:insert("k", "INSERT INTO users VALUES ('k', 'K')")
    local first = db:locate "k"
    assert.is_table(db:first("k", "SELECT * FROM users WHERE email = 'k'"))
    m:set_shard_mapping("k", other(first))
    assert.equal(other(first), (db:locate "k"))
    assert.is_nil(db:first("k", "SELECT * FROM users WHERE email = 'k'"))
    assert.same({ first }, fixture.holders({ "a", "b" }, "users", "email", "k"))
    m:set_shard_mapping("k", first)
    assert.is_table(db:first("k", "SELECT * FROM users WHERE email = 'k'"))
    m:set_shard_mappings_batch { { "k", other(first) } }
    assert.is_nil(db:first("k", "SELECT * FROM users WHERE email = 'k'"))
    m:clear_all_mappings()
    assert.is_table(db:first("k", "SELECT * FROM users WHERE email = 'k'"))
  end)

  it("lets no row get lost when entries go", function()
    fixture.sqlite("a.db", SCHEMA .. [[
      WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 40)
        INSERT INTO posts SELECT i, 't' FROM n]])
    local db = fixture.open(fixture.config())
    local m = db:mapper()
    for i = 1, 40 do
      if i <= 20 then m:delete_shard_mapping(db:key("posts", i)) end
      assert.is_table(db:first(i, "SELECT * FROM posts WHERE id = ?", { i }))
    end
    m:clear_all_mappings()
    for i = 1, 40 do assert.is_table(db:first(i, "SELECT * FROM posts WHERE id = ?", { i })) end
    db:close()
    db = fixture.open(fixture.config()) -- integrates anew
    for i = 1, 40 do assert.equal("a", (db:locate(i, "posts"))) end
  end)

  it("keeps what it set when an integration is taken back", function()
    fixture.sqlite("a.db", SCHEMA .. "INSERT INTO posts VALUES (1, 't'), (2, 't'), (3, 't'), (4, 't'), (5, 't')")
    local db = fixture.open(fixture.config())
    db:mapper():set_shard_mapping("mine", "a")
    db:rollback "a"
    assert.equal("a", db:mapper():get_shard_mapping("mine").shard)
  end)

  it("reads the keys of a shard from the shard", function()
    local db = fixture.database(SCHEMA .. "CREATE TABLE IF NOT EXISTS notes (email TEXT PRIMARY KEY);")
    local m, expected = db:mapper(), { a = {}, b = {} }
    for i = 1, 30 do
      local key = "k" .. i
      db:insert(key, "INSERT INTO users VALUES (?, 'x')", { key })
      db:insert(key, "INSERT INTO notes VALUES (?)", { key })
      db:insert(i, "INSERT INTO posts VALUES (?, 'x')", { i })
      table.insert(expected[db:locate(key)], key)
      table.insert(expected[db:locate(i, "posts")], "posts:" .. i)
    end
    for _, name in ipairs { "a", "b" } do
      local keys, list = m:get_keys_for_shard(name), {}
      for i, key in ipairs(keys) do
        assert.equal(name, (db:locate(key)))
        list[i] = tostring(key)
      end
      table.sort(list)
      table.sort(expected[name])
      assert.same(expected[name], list)
      assert.equal(#list, m:get_shard_key_counts()[name])
    end
    fixture.raises("SHARD_NOT_FOUND", nil, m.get_keys_for_shard, m, "c")
    fixture.raises("USAGE", nil, m.get_keys_for_shard, m)
  end)

  it("knows only the shards of the config, and their keyspaces", function()
    local extra = { shards = { b = { keyspace = "east" } } }
    local db = fixture.database(SCHEMA, extra)
    local m = db:mapper()
    fixture.raises("SHARD_NOT_FOUND", "c", m.set_shard_mapping, m, "k", "c")
    fixture.raises("SHARD_NOT_FOUND", "c", m.set_shard_mappings_batch, m, { { "k", "a" }, { "l", "c" } })
    assert.is_nil(m:get_shard_mapping "k")
    fixture.raises("USAGE", "keyspace", m.set_shard_mapping, m, db:key("posts", 1), "b")
    fixture.raises("USAGE", "keyspace", m.set_shard_mapping, m, db:key("posts", 1, "east"), "a")
    m:set_shard_mapping(db:key("posts", 1, "east"), "b")
    m:set_shard_mapping("k", "b")
    fixture.raises("USAGE", "in the config", m.set_known_shards, m, { "a" })
    m:add_known_shard "c"
    fixture.raises("SHARD_NOT_FOUND", "c", m.set_shard_mapping, m, "k", "c")
  end)

  it("ends with its database", function()
    local db = fixture.database(SCHEMA)
    local m = db:mapper()
    m:close()
    m:set_shard_mapping("k", "a")
    db:close()
    fixture.raises("CLOSED", nil, m.get_shard_mapping, m, "k")
    fixture.raises("CLOSED", nil, m.get_known_shards, m)
  end)
end)

describe("a KVShardMapper", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  describe("behaves like any:", function()
    behaves(function()
      local m = mapper(fixture.path "directory.db")
      m:set_known_shards { "a", "b" }
      return m
    end)
  end)

  for _, opts in ipairs { {}, { hash_shard_mappings = false }, { keyspaces = false }, { mapping_secret = "s" } } do
    describe(("on a table KV behaves like any (%s):"):format(next(opts) or "hashed"), function()
      behaves(function()
        local m = mapper(table_kv.memory(), opts)
        m:set_known_shards { "a", "b" }
        return m
      end)
    end)
  end

  it("works in memory, and registers shards as keys are mapped to them", function()
    local m = mapper()
    m:set_shard_mapping("k", "east")
    m:set_shard_mapping("l", "east")
    m:add_known_shard "west"
    assert.same({ "east", "west" }, m:get_known_shards())
    assert.same({ east = 2, west = 0 }, m:get_shard_key_counts())
    fixture.raises("UNSUPPORTED", "db:mapper", m.get_keys_for_shard, m, "east")
    fixture.raises("CONFLICT", "2 keys", m.set_known_shards, m, { "west" })
    assert.same({ "east", "west" }, m:get_known_shards())
    m:close()
    m:close()
    fixture.raises("CLOSED", nil, m.get_shard_mapping, m, "k")
    assert.same({}, fixture.files())
  end)

  it("takes a path, options and nothing else", function()
    for _, kv in ipairs { 7, true, {}, "", "a\0b" } do
      fixture.raises("CONFIG", "memory:", collegedb.KVShardMapper, kv)
    end
    fixture.raises("CONFIG", nil, collegedb.KVShardMapper)
    fixture.raises("CONFIG", "color", collegedb.KVShardMapper, "memory:", { color = 1 })
    fixture.raises("CONFIG", "mapping_secret", collegedb.KVShardMapper, "memory:", { mapping_secret = 1 })
    fixture.raises("CONFIG", "table", collegedb.KVShardMapper, "memory:", 7)
    local path = fixture.path "directory.db"
    local m = mapper(path, { mapping_secret = "s" })
    m:set_shard_mapping("k", "a")
    m:close()
    fixture.raises("CONFIG", "mapping_secret", collegedb.KVShardMapper, path)
    assert.equal("a", mapper(path, { mapping_secret = "s" }):get_shard_mapping("k").shard)
  end)

  it("shares its directory with a database, whose shards it does not add to unasked", function()
    local db = fixture.database(SCHEMA)
    local m = mapper(fixture.path "directory.db")
    assert.same({ "a", "b" }, m:get_known_shards())
    fixture.raises("SHARD_NOT_FOUND", "c", m.set_shard_mapping, m, "k", "c")
    m:set_shard_mapping("k", "b")
    m:set_shard_mapping(db:key("posts", 3), "b")
    assert.equal("b", (db:locate "k"))
    assert.equal("b", (db:locate(3, "posts")))
    fixture.raises("CONFLICT", nil, function()
      db:close()
      m:set_known_shards { "a" }
    end)
  end)

  it("forgets no shard while another has the directory open", function()
    local m = mapper(fixture.path "directory.db")
    m:set_shard_mapping("k", "c")
    m:delete_shard_mapping "k"
    local db = fixture.database(SCHEMA)
    fixture.raises("BUSY", nil, m.set_known_shards, m, { "a", "b" })
    assert.same({ "c", "a", "b" }, m:get_known_shards())
    db:close()
    m:set_known_shards { "a", "b" }
    assert.same({ "a", "b" }, m:get_known_shards())
  end)

  it("lets no config in beside one that would overlook its rows", function()
    local function pick(_, shards) return shards[1].name end
    local db = fixture.database(SCHEMA, { strategy = pick }, { "a" })
    fixture.sqlite("c.db", SCHEMA .. "INSERT INTO users VALUES ('k', 'K')")
    db:mapper():add_known_shard "c"
    assert.same({ "a", "c" }, db:mapper():get_known_shards())
    fixture.raises("BUSY", nil, collegedb.open, fixture.config({ strategy = pick }, { "a", "c" }))
    db:close()
    assert.equal("c", (fixture.open(fixture.config({ strategy = pick }, { "a", "c" })):locate "k"))
  end)

  it("loses no update of two processes", function()
    local m = mapper(fixture.path "directory.db")
    m:set_known_shards { "a", "b" }
    m:set_shard_mapping("k", "a")
    fixture.together(2, [[
      local m <close> = collegedb.KVShardMapper(folder .. "/directory.db")
      local me = ...
      wait_for_go()
      for i = 1, 50 do
        m:update_shard_mapping("k", i % 2 == 0 and "a" or "b")
        m:set_shard_mapping(me .. "-" .. i, "a")
      end]])
    assert.equal(101, m:get_shard_mapping("k").version)
    local counts = m:get_shard_key_counts()
    assert.equal(101, counts.a + counts.b)
  end)
end)
