-- Turns that strategies take from a coordinator beside the directory, instead of the directory's.

local collegedb = require "collegedb"
local fixture = require "spec.support.fixture"
local gateway = require "spec.support.gateway"
local net = require "collegedb.net"

local SCHEMA <const> = "CREATE TABLE IF NOT EXISTS users (id TEXT PRIMARY KEY, n)"
local INSERT <const> = "INSERT INTO users VALUES (?, 1)"

local function open(coordinator, strategy)
  local db = fixture.open(fixture.config({ strategy = strategy or "round_robin", coordinator = coordinator },
    { "a", "b", "c" }))
  db:ensure_schema(SCHEMA)
  return db
end

describe("a coordinator beside the directory", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  -- From 4 on.
  local function counting(log)
    local count = 4
    return { turn = function(name)
      log[#log + 1] = name
      count = count + 1
      return count - 1
    end, peek = function() return count end }
  end

  it("of the user's gives the turns, and takes none for a read", function()
    local log = {}
    local db = open(counting(log))
    for i = 1, 4 do
      local next_one = ("abc"):sub((3 + i) % 3 + 1, (3 + i) % 3 + 1)
      assert.is_nil(db:first("k" .. i, "SELECT n FROM users WHERE id = ?", { "k" .. i }))
      db:insert("k" .. i, INSERT, { "k" .. i })
      assert.equal(next_one, (db:locate("k" .. i)))
    end
    assert.same({ "round_robin", "round_robin", "round_robin", "round_robin" }, log)
    db:close()
    log = {}
    db = open(counting(log), function(_, shards, ctx) return shards[ctx.turn() % #shards + 1].name end)
    db:insert("x", INSERT, { "x" })
    assert.equal("b", (db:locate "x"))
    assert.same({ "default" }, log)
  end)

  it("is told when it gives no turn", function()
    for _, answer in ipairs { -1, 0.5, "x", false } do
      local db = open { turn = function() return answer end }
      fixture.raises("SCRIPT", "coordinator", db.insert, db, "k", INSERT, { "k" })
      assert.is_nil((db:locate "k"))
      db:close()
    end
    for _, wrong in ipairs { true, {}, { turn = 1 }, { turn = function() end, peek = 1 } } do
      fixture.raises("CONFIG", "^coordinator", open, wrong)
    end
  end)

  describe("of a gateway", function()
    if gateway.skips(it, function(why) pending(why) end) then return end
    local served
    setup(function() served = gateway.start {} end)
    teardown(function()
      net.close()
      served.stop()
    end)

    it("gives the turns of all programs that name it", function()
      net.close()
      local value = collegedb.gateway({ url = served.url, token = gateway.token }):coordinator()
      local db = open(value)
      for i = 1, 3 do db:insert("k" .. i, INSERT, { "k" .. i }) end
      db:close()
      os.remove(fixture.path "directory.db")
      for _, name in ipairs { "a", "b", "c" } do os.remove(fixture.path(name .. ".db")) end
      db = open(value)
      assert.is_nil(db:first("k", "SELECT n FROM users WHERE id = ?", { "k" }))
      for i = 1, 4 do db:insert("l" .. i, INSERT, { "l" .. i }) end
      assert.same({ "a", "b", "c", "a" }, { (db:locate "l1"), (db:locate "l2"), (db:locate "l3"), (db:locate "l4") })
      fixture.raises("CONFIG", "coordinator", collegedb.open, fixture.config { kv = value, coordinator = value })
      db:close()
      net.close()
    end)
  end)
end)
