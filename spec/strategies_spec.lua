-- The shipped strategies beside hash, limits of size, and loading scripts anew.

local collegedb = require "collegedb"
local compat = require "collegedb.strategies.hash_compat"
local fixture = require "spec.support.fixture"
local location = require "collegedb.strategies.location"

local SCHEMA <const> = "CREATE TABLE IF NOT EXISTS users (id TEXT PRIMARY KEY, n)"
local INSERT <const> = "INSERT INTO users VALUES (?, 1)"

local function insert(db, from, to)
  for i = from, to do db:insert("u" .. i, INSERT, { "u" .. i }) end
end

local function found(db, from, to)
  for i = from, to do assert(db:first("u" .. i, "SELECT 1 FROM users WHERE id = ?", { "u" .. i }), "u" .. i) end
end

describe("the strategy random", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("gives each shard its share by weight, and every key is found again", function()
    local db = fixture.database(SCHEMA, { strategy = "random", shards = { b = { weight = 3 } } })
    insert(db, 1, 400)
    local _, by_shard = db:count "users"
    assert.is_true(by_shard.a > 60 and by_shard.a < 140, "a has " .. by_shard.a)
    db:flush_cache()
    found(db, 1, 400)
  end)
end)

describe("the strategy round_robin", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("takes turns in config order, across a reopening, also as round-robin", function()
    local names = { "a", "b", "c" }
    local db = fixture.database(SCHEMA, { strategy = "round-robin" }, names)
    insert(db, 1, 4)
    db:close()
    db = fixture.open(fixture.config({ strategy = "round_robin" }, names))
    insert(db, 5, 9)
    for i = 1, 9 do assert.equal(names[(i - 1) % 3 + 1], (db:locate("u" .. i))) end
  end)

  it("spends no turn on reads", function()
    local db = fixture.database(SCHEMA, { strategy = "round_robin" })
    for i = 1, 5 do assert.is_nil(db:first("x" .. i, "SELECT 1 FROM users WHERE id = ?", { "x" .. i })) end
    assert.is_nil((db:locate "x1"))
    insert(db, 1, 2)
    assert.same({ "a", "b" }, { (db:locate "u1"), (db:locate "u2") })
  end)

  it("is exact across processes that share the directory", function()
    fixture.database(SCHEMA, { strategy = "round_robin" }):close()
    fixture.together(4, [[
      local me = ...
      local db <close> = require("collegedb").open { kv = folder .. "/directory.db", strategy = "round_robin",
        shards = { { name = "a", folder .. "/a.db" }, { name = "b", folder .. "/b.db" } } }
      wait_for_go()
      for i = 1, 50 do
        local key = me .. "-" .. i
        db:insert(key, "INSERT INTO users VALUES (?, 1)", { key })
      end
    ]])
    local _, by_shard = fixture.open(fixture.config { strategy = "round_robin" }):count "users"
    assert.same({ a = 100, b = 100 }, by_shard)
  end)
end)

describe("the strategy hash_compat", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  -- Computed by JavaScript: for (c of charCodes) { h = (h << 5) - h + c; h |= 0 } Math.abs(h)
  local vectors <const> = {
    ["user-123"] = 267697872, a = 97, ["Ünï©ode"] = 1057386884, ["日本語"] = 25921943, ["😀 mixed"] = 1565337858,
    polygenelubricants = 2147483648, ["tenant/αβγ"] = 1602211123, ["0"] = 48,
  }

  it("computes what JavaScript computes", function()
    for key, value in pairs(vectors) do assert.equal(value, compat.hash(key), key) end
    assert.is_true(compat.hash "\xff\xfe broken" >= 0)
    assert.equal(0, compat.hash "")
  end)

  it("places keys in config order", function()
    local names = { "z", "m", "a" }
    local db = fixture.database(SCHEMA, { strategy = "hash_compat" }, names)
    for key, value in pairs(vectors) do
      db:insert(key, INSERT, { key })
      assert.equal(names[value % 3 + 1], (db:locate(key)))
    end
  end)
end)

describe("the strategy location", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("knows which regions are near one another", function()
    for _, region in ipairs(location.regions) do
      assert.equal(0, location.distance(region, region))
      for _, other in ipairs(location.regions) do
        assert.is_true(math.abs(location.distance(region, other) - location.distance(other, region)) < 1e-6)
      end
    end
    assert.is_true(location.distance("weur", "eeur") < location.distance("weur", "enam"))
    assert.is_true(location.distance("wnam", "enam") < location.distance("wnam", "oc"))
    assert.is_true(location.distance("oc", "apac") < location.distance("oc", "af"))
  end)

  it("takes the nearest region, there the highest priority, and spreads over the rest", function()
    local db = fixture.database(SCHEMA, {
      strategy = "location", target_region = "eeur",
      shard_locations = {
        a = "enam", b = "weur", c = { region = "weur", priority = 2 }, d = { region = "weur", priority = 2 },
      },
    }, { "a", "b", "c", "d", "e" })
    insert(db, 1, 60)
    local _, by_shard = db:count "users"
    assert.same({ 0, 0, 0 }, { by_shard.a, by_shard.b, by_shard.e })
    assert.is_true(by_shard.c > 10 and by_shard.d > 10)
  end)

  it("wants a target_region, and regions that there are", function()
    local db = fixture.database(SCHEMA, { strategy = "location", shards = { a = { region = "weur" } } })
    fixture.raises("SCRIPT", "target_region", db.insert, db, "k", INSERT, { "k" })
    fixture.raises("CONFIG", "target_region.*weur", collegedb.open, fixture.config { target_region = "mars" })
    fixture.raises("CONFIG", "shard_locations", collegedb.open, fixture.config { shard_locations = { a = "moon" } })
    fixture.raises("CONFIG", "shard_locations.*no such shard", collegedb.open,
      fixture.config { shard_locations = { nobody = "weur" } })
  end)
end)

describe("a mixed strategy", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("places what is inserted by write, and looks for the unknown by read", function()
    local operations = {}
    local db = fixture.database(SCHEMA, { strategy = {
      read = function(_, shards, ctx) operations[#operations + 1] = ctx.operation return shards[1].name end,
      write = "round_robin",
    } })
    insert(db, 1, 4)
    assert.is_nil(db:first("x", "SELECT 1 FROM users WHERE id = 'x'"))
    assert.same({ "read" }, operations)
    local _, by_shard = db:count "users"
    assert.same({ a = 2, b = 2 }, by_shard)
  end)

  it("wants both", function()
    fixture.raises("CONFIG", "read =, write =", collegedb.open, fixture.config { strategy = { read = "hash" } })
    fixture.raises("CONFIG", "strategy.write", collegedb.open,
      fixture.config { strategy = { read = "hash", write = 5 } })
  end)
end)

describe("max_size", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  for _, strategy in ipairs { "hash", "random" } do
    it("closes a full shard to new keys under " .. strategy .. ", and keeps what it has", function()
      local db = fixture.database(SCHEMA)
      insert(db, 1, 40)
      db:close()
      db = fixture.open(fixture.config { strategy = strategy, shards = { a = { max_size = 1 } } })
      local _, before = db:count "users"
      insert(db, 41, 80)
      local _, after = db:count "users"
      assert.equal(before.a, after.a)
      assert.equal(before.b + 40, after.b)
      db:flush_cache()
      found(db, 1, 80)
    end)

    it("is FULL when no shard is open any more under " .. strategy, function()
      local db = fixture.database(SCHEMA, { strategy = strategy, max_database_size = 1 })
      fixture.raises("FULL", "max_size", db.insert, db, "k", INSERT, { "k" })
      assert.is_nil(db:first("k", "SELECT 1 FROM users WHERE id = 'k'"))
      assert.equal(0, db:count "users")
    end)
  end
end)

describe("reload_scripts", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  local function write_strategy(shard)
    os.execute("mkdir -p " .. fixture.path "strategies")
    local text = "return { name = 'mine', api = 1, select = function() return %q end }"
    fixture.write("strategies/mine.lua", text:format(shard))
  end

  it("takes a changed file", function()
    write_strategy "a"
    local db = fixture.database(SCHEMA, { strategy = "mine", script_dirs = { fixture.path "." } })
    insert(db, 1, 1)
    write_strategy "b"
    insert(db, 2, 2)
    db:reload_scripts()
    insert(db, 3, 3)
    assert.same({ "a", "a", "b" }, { (db:locate "u1"), (db:locate "u2"), (db:locate "u3") })
    fixture.write("strategies/mine.lua", "return {")
    fixture.raises("SCRIPT", "mine.lua:1", db.reload_scripts, db)
    insert(db, 4, 4)
    assert.equal("b", (db:locate "u4"))
  end)

  it("hands an overriding file the script that it shadows", function()
    os.execute("mkdir -p " .. fixture.path "strategies")
    fixture.write("strategies/random.lua", [[
      local base = ...
      return setmetatable({ select = function(key, shards, ctx)
        return key:find "^vip" and "b" or base.select(key, { shards[1] }, ctx)
      end }, { __index = base })]])
    local db = fixture.database(SCHEMA, { strategy = "random", script_dirs = { fixture.path "." } })
    for _, key in ipairs { "vip1", "u1" } do db:insert(key, INSERT, { key }) end
    assert.same({ "b", "a" }, { (db:locate "vip1"), (db:locate "u1") })
  end)
end)
