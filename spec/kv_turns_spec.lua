-- ctx.turn with a table KV as the directory: no turn serves two keys, and one is passed over only where compare-and-set
-- can not help it.

local fixture = require "spec.support.fixture"
local table_kv = require "spec.support.table_kv"

local SCHEMA <const> = "CREATE TABLE IF NOT EXISTS users (id TEXT PRIMARY KEY, n)"
local INSERT <const> = "INSERT INTO users VALUES (?, 1)"

local function insert(db, key) return db:insert(key, INSERT, { key }).meta.served_by end

local function by_turns(_, shards, ctx) return shards[ctx.turn "t" % #shards + 1].name end

describe("a turn, with a table KV as the directory,", function()
  local kv
  before_each(function()
    fixture.start()
    kv = table_kv.memory()
  end)
  after_each(fixture.stop)

  local function open(strategy, extra)
    extra = extra or {}
    extra.kv, extra.strategy = kv, strategy or by_turns
    return fixture.open(fixture.config(extra))
  end

  local function database(strategy, extra)
    local db = open(strategy, extra)
    db:ensure_schema(SCHEMA)
    return db
  end

  local function counter(name) return tonumber(kv.data["collegedb:turn:" .. name] or 0) end

  it("is one for each call, by name", function()
    local seen = {}
    local db = database(function(_, shards, ctx)
      seen[#seen + 1] = { ctx.turn(), ctx.turn "x", ctx.turn "x" }
      return shards[1].name
    end)
    insert(db, "u1")
    insert(db, "u2")
    assert.same({ { 0, 0, 1 }, { 1, 2, 3 } }, seen)
    assert.same({ 2, 4 }, { counter "default", counter "x" })
  end)

  it("is not spent by what writes no entry", function()
    local how
    local db = database(function(key, shards, ctx)
      local name = by_turns(key, shards, ctx)
      if how == "raises" then error "boom" end
      return how and "nowhere" or name
    end)
    for _, wrong in ipairs { "raises", "nowhere" } do
      how = wrong
      fixture.raises("SCRIPT", nil, insert, db, "u1")
    end
    how = nil
    assert.is_nil(db:first("u1", "SELECT 1 FROM users WHERE id = 'u1'"))
    assert.same({ "a", "b" }, { insert(db, "u1"), (insert(db, "u2")) })
    assert.equal(2, counter "t")
  end)

  it("is given back when another program was first", function()
    local db, other = database(), open()
    assert.equal("a", insert(db, "u1"))
    kv.on = function(name, key)
      if name ~= "compare_and_set" or not key:find "^shard:" then return end
      kv.on = nil
      -- After the turn was spent, and before the claim of the key. The other's has no turn.
      other:mapper():set_shard_mapping("raced", "b")
    end
    assert.equal("b", insert(db, "raced"))
    assert.equal(1, counter "t")
    assert.equal("b", insert(db, "u2"))
  end)

  it("is another's when that one was quicker, and the strategy is asked again", function()
    local asked, other = 0, nil
    local db = database(function(key, shards, ctx)
      asked = asked + 1
      local name = by_turns(key, shards, ctx)
      if asked == 1 then insert(other, "between") end
      return name
    end)
    other = open()
    assert.equal("b", insert(db, "u1"))
    assert.equal("a", (db:locate "between"))
    assert.same({ 2, 2 }, { asked, counter "t" })
  end)

  it("of several is spent with all or none", function()
    local asked, other, seen = 0, nil, {}
    local db = database(function(_, shards, ctx)
      asked = asked + 1
      seen[asked] = { ctx.turn "x", ctx.turn "y" }
      if asked == 1 then insert(other, "between") end
      return shards[1].name
    end)
    other = open(function(_, shards, ctx) return shards[ctx.turn "y" % 2 + 1].name end)
    insert(db, "u1")
    assert.same({ { 0, 0 }, { 0, 1 } }, seen)
    assert.same({ 1, 2 }, { counter "x", counter "y" })
  end)

  it("is spent once when the epoch changes under the claim", function()
    local db, other = database(), open()
    kv.on = function(name, key)
      if name ~= "compare_and_set" or not key:find "^shard:" then return end
      kv.on = nil
      other:integrate "a"
    end
    assert.equal("a", insert(db, "u1"))
    assert.equal("b", insert(db, "u2"))
    assert.equal(2, counter "t")
  end)

  it("keeps the strategy from giving other keys a place, and is not to be had when it has returned", function()
    local db, kept
    db = database(function(key, shards, ctx)
      if key == "inner" then return shards[1].name end
      local name = by_turns(key, shards, ctx)
      kept = ctx
      if key == "outer" then insert(db, "inner") end
      return name
    end)
    fixture.raises("USAGE", "may not insert another new key", insert, db, "outer")
    fixture.raises("USAGE", "has returned", kept.turn, "t")
    assert.equal("a", insert(db, "u1"))
    assert.equal("a", insert(db, "inner"))
    assert.equal(1, counter "t")
  end)

  it("ends with a database that the strategy closes", function()
    local db
    db = database(function(key, shards, ctx)
      local name = by_turns(key, shards, ctx)
      db:close()
      return name
    end)
    fixture.raises("CLOSED", nil, insert, db, "u1")
    assert.equal(0, counter "t")
    for name in pairs(kv.data) do assert.is_nil(name:find "^shard:") end
  end)

  it("serves one key only, whichever processes take them", function()
    local close
    kv, close = table_kv.file(fixture.path "kv.db")
    database("round_robin", { auto_migrate = false }):close()
    local outputs = fixture.together(3, [[
      local table_kv = dofile "spec/support/table_kv.lua"
      local kv, close = table_kv.file(folder .. "/kv.db")
      local db = collegedb.open { kv = kv, strategy = "round_robin", auto_migrate = false,
        shards = { a = folder .. "/a.db", b = folder .. "/b.db" } }
      wait_for_go()
      for i = 1, 40 do
        local key = (...) .. "-" .. i
        db:insert(key, "INSERT INTO users VALUES (?, 1)", { key })
      end
      db:close()
      close()]])
    assert.same({ "", "", "" }, outputs)
    local db = open "round_robin"
    local _, by_shard = db:count "users"
    local spent = kv.get "collegedb:turn:round_robin"
    db:close()
    close()
    assert.same({ a = 60, b = 60 }, by_shard)
    assert.equal("120", spent)
  end)
end)
