-- The config: every field with what it takes, and a CONFIG error that names the field for everything else.

local collegedb = require "collegedb"
local fixture = require "spec.support.fixture"

describe("collegedb.open", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  local function refused(field, config, message)
    local e = fixture.raises("CONFIG", message, collegedb.open, config)
    assert(e.message:find(field, 1, true), ("%s is not named in: %s"):format(field, e.message))
    return e
  end

  describe("takes", function()
    -- What it shows, the field, its value. A missing value means: the field is not given.
    local cases = {
      { "a strategy by name", "strategy", "hash" },
      { "a strategy as a function", "strategy", function(_, shards) return shards[1].name end },
      { "a strategy as a table", "strategy", { name = "first", select = function(_, s) return s[1].name end } },
      { "rules by name", "rules", "default" },
      { "rules as a table", "rules", { name = "mine" } },
      { "no folder of scripts", "script_dirs", {} },
      { "a bound for scripts", "script_limit", 1000000 },
      { "integration in the background", "auto_migrate", "background" },
      { "integration at once", "auto_migrate", true },
      { "no integration", "auto_migrate", false },
      { "a sparse directory", "directory", "sparse" },
      { "a full directory", "directory", "full" },
      { "a secret", "mapping_secret", "s3cret" },
      { "a life of cached mappings", "mapping_cache_ttl", 0.5 },
      { "no life of cached mappings", "mapping_cache_ttl", 0 },
      { "an endless life of cached mappings", "mapping_cache_ttl", 1e15 },
      { "a small mapping cache", "mapping_cache_size", 1 },
      { "a huge mapping cache", "mapping_cache_size", math.maxinteger },
      { "check_keys", "check_keys", true },
      { "an observer", "on_event", function() end },
      { "a directory in memory", "kv", "memory:" },
    }
    for _, case in ipairs(cases) do
      local what, field, value = table.unpack(case)
      it(what, function()
        local db = fixture.database("CREATE TABLE users (id TEXT PRIMARY KEY)", { [field] = value })
        db:insert("u1", "INSERT INTO users VALUES (?)", { "u1" })
        assert.same({ id = "u1" }, db:first("u1", "SELECT * FROM users WHERE id = ?", { "u1" }))
      end)
    end

    local shard_cases = {
      { "a region", "region", "weur" },
      { "a priority", "priority", 3 },
      { "a weight", "weight", 0.25 },
      { "a shard closed for new keys", "allocate", false },
      { "a shard that is not integrated", "integrate", false },
      { "a shard that others write", "external_writers", true },
      { "the rollback journal", "journal_mode", "delete" },
      { "the rollback journal in capitals", "journal_mode", "DELETE" },
      { "a timeout", "busy_timeout", 0.1 },
      { "no timeout", "busy_timeout", 0 },
      { "memory-mapped reading", "mmap_size", 1048576 },
      { "a page cache", "cache_size", -2000 },
    }
    for _, case in ipairs(shard_cases) do
      local what, field, value = table.unpack(case)
      it(what .. " for a shard", function()
        local extra = { shards = { a = { [field] = value } } }
        local db = fixture.database("CREATE TABLE users (id TEXT PRIMARY KEY)", extra)
        local key = fixture.key_on(db, field == "allocate" and "b" or "a")
        db:insert(key, "INSERT INTO users VALUES (?)", { key })
        assert.equal(1, db:count "users")
      end)
    end

    it("shards as an array, in its order", function()
      local db = fixture.open(fixture.config(nil, { "b", "c", "a" }))
      assert.same({ "b", "c", "a" }, db:list_known_shards())
    end)

    it("shards as a map, in the order of names", function()
      local db = fixture.open {
        kv = "memory:",
        shards = {
          west = fixture.path "w.db",
          east = { fixture.path "e.db", weight = 2 },
          north = collegedb.sqlite(fixture.path "n.db"),
          south = { name = "south", collegedb.sqlite(fixture.path "s.db") },
        },
      }
      assert.same({ "east", "north", "south", "west" }, db:list_known_shards())
    end)

    it("another database's shard", function()
      local first = fixture.database "CREATE TABLE users (id TEXT PRIMARY KEY)"
      local second = fixture.open { kv = "memory:", shards = { { name = "inner", first:shard "a" } } }
      second:insert("u1", "INSERT INTO users VALUES (?)", { "u1" })
      assert.same({ { id = "u1" } }, first:shard("a"):all "SELECT * FROM users")
      second:close()
      assert.equal(1, first:count "users")
    end)

    it("a path that looks like a URI as a path", function()
      local here = require("lfs").currentdir()
      assert(require("lfs").chdir(fixture.path ""))
      local ok, err = pcall(function()
        fixture.open { kv = "memory:", shards = { { name = "a", "file:a.db?mode=memory" } } }
        assert.is_not_nil(fixture.bytes "file:a.db?mode=memory")
      end)
      require("lfs").chdir(here)
      if not ok then error(err, 0) end
    end)

    it("the config without changing it", function()
      local config = fixture.config { strategy = "hash", rules = { name = "mine" } }
      config.shards[1].weight = nil
      fixture.open(config)
      assert.same({ name = "a", fixture.path "a.db" }, config.shards[1])
      assert.is_nil(config.mapping_cache_ttl)
      assert.is_nil(getmetatable(config.rules))
    end)
  end)

  describe("refuses, naming the field,", function()
    -- Values that are of no use for any field of the kind.
    local wrong = {
      string = { 5, true, {}, print },
      number = { "5", true, {}, 0 / 0, -1 },
      boolean = { "true", 1, {} },
    }
    local fields = {
      strategy = { 5, true, {}, "", "no_such_strategy", "../hash" },
      rules = { 5, true, "no_such_rules" },
      script_dirs = { "scripts", 5, { 5 }, { "x", false } },
      script_limit = { 0, 1.5, math.huge, table.unpack(wrong.number) },
      auto_migrate = { "later", 1, {}, "true" },
      directory = { "dense", true, 5 },
      mapping_secret = wrong.string,
      mapping_cache_ttl = { math.huge, table.unpack(wrong.number) },
      mapping_cache_size = { 0, 2.5, math.huge, table.unpack(wrong.number) },
      check_keys = wrong.boolean,
      on_event = { "print", true, {} },
      kv = { "", 5, true, {}, "a\0b" },
      shards = { "a.db", 5, {}, { "a.db" }, { [2] = { name = "b", "b.db" } },
        { a = { "a.db" }, [1] = { name = "b", "x" } } },
    }
    local names = {}
    for field in pairs(fields) do names[#names + 1] = field end
    table.sort(names)
    for _, field in ipairs(names) do
      it("a wrong " .. field, function()
        for _, value in ipairs(fields[field]) do
          local config = fixture.config()
          config[field] = value
          refused(field, config)
        end
        assert.same({}, fixture.files())
      end)
    end

    local shard_fields = {
      name = { "", 5, {}, ("x"):rep(128), "a\nb" },
      region = wrong.string,
      priority = { 1.5, "1", {}, 0 / 0 },
      weight = { 0, -1, "1", 0 / 0, math.huge, 1e7 },
      allocate = wrong.boolean,
      integrate = wrong.boolean,
      external_writers = wrong.boolean,
      keyspace = { "", 5, {}, "a\0b" },
      journal_mode = { "fast", 5, true, {} },
      busy_timeout = { math.huge, table.unpack(wrong.number) },
      mmap_size = { 1.5, math.huge, table.unpack(wrong.number) },
      cache_size = { 1.5, "1", {}, 0 / 0 },
      [1] = { "", 5, true, {}, print, "a\0b" },
    }
    for field, values in pairs(shard_fields) do
      it("a shard's wrong " .. tostring(field), function()
        for _, value in ipairs(values) do
          local config = fixture.config()
          config.shards[2][field] = value
          refused(tostring(field), config, "^shards%[2%]")
        end
        assert.same({}, fixture.files())
      end)
    end

    it("a config that is no table", function()
      for _, value in ipairs { 5, "collegedb.lua", true, print } do
        fixture.raises("CONFIG", "table", collegedb.open, value)
      end
      fixture.raises("CONFIG", "table", collegedb.open)
    end)

    it("a missing field", function()
      refused("kv", { shards = { a = "a.db" } }, "missing")
      refused("shards", { kv = "memory:" }, "missing")
      refused("name", { kv = "memory:", shards = { { "a.db" } } }, "missing")
      refused("shards[1]", { kv = "memory:", shards = { { name = "a" } } }, "missing")
    end)

    it("an unknown field, and says which there are", function()
      refused("mapping_cache_tll", fixture.config { mapping_cache_tll = 5 }, "mapping_cache_ttl")
      refused("wieght", fixture.config { shards = { b = { wieght = 2 } } }, "weight")
      refused("1", { kv = "memory:", shards = { a = "a.db" }, "stray" })
      refused("100%s", fixture.config { ["100%s"] = 1 })
    end)

    it("a shard's second name", function()
      refused("name", { kv = "memory:", shards = { a = { name = "b", "a.db" } } })
    end)

    it("two shards of one name", function()
      refused("name", { kv = "memory:", shards = { { name = "a", "a.db" }, { name = "a", "b.db" } } })
    end)

    it("one file for two shards, or for a shard and the directory", function()
      refused("shards[2]", fixture.config { shards = { b = { fixture.path "a.db" } } })
      refused("shards[1]", fixture.config { kv = fixture.path "a.db" })
    end)

    it("a strategy without a place for it, and says where it looked", function()
      local config = fixture.config { strategy = "by_moon", script_dirs = { fixture.path "scripts" } }
      local e = refused("strategy", config)
      assert(e.message:find(fixture.path "scripts/strategies/by_moon.lua", 1, true), e.message)
    end)
  end)

  describe("collegedb.sqlite", function()
    it("is a shard value that prints as its path", function()
      assert.equal("sqlite some.db", tostring(collegedb.sqlite "some.db"))
    end)

    it("refuses what is no path", function()
      for _, value in ipairs { "", 5, {}, "a\0b" } do fixture.raises("USAGE", "path", collegedb.sqlite, value) end
      fixture.raises("USAGE", "path", collegedb.sqlite)
    end)
  end)
end)
