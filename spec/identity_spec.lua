-- Names and files: what an open notices when they do not belong together any more.

local collegedb = require "collegedb"
local fixture = require "spec.support.fixture"

local SCHEMA <const> = "CREATE TABLE IF NOT EXISTS users (id TEXT PRIMARY KEY, n); "
  .. "CREATE TABLE IF NOT EXISTS nums (id INTEGER PRIMARY KEY)"

local function fill(db, count)
  for i = 1, count do
    db:insert("u" .. i, "INSERT INTO users VALUES (?, 1)", { "u" .. i })
    db:insert(i, "INSERT INTO nums VALUES (?)", { i })
  end
end

local function assert_found(db, count)
  for i = 1, count do
    assert(db:first("u" .. i, "SELECT 1 FROM users WHERE id = ?", { "u" .. i }), "u" .. i)
    assert(db:first(i, "SELECT 1 FROM nums WHERE id = ?", { i }), tostring(i))
  end
end

local function swapped(extra)
  local config = fixture.config(extra)
  config.shards[1][1], config.shards[2][1] = config.shards[2][1], config.shards[1][1]
  return config
end

describe("names and files", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  for _, mode in ipairs { true, false } do
    it("exchanged under hash: every row is found, auto_migrate = " .. tostring(mode), function()
      local db = fixture.database(SCHEMA)
      fill(db, 30)
      db:close()
      local events = {}
      db = fixture.open(swapped {
        auto_migrate = mode, on_event = function(event) events[#events + 1] = event.event end,
      })
      assert.equal("strangers", events[1])
      assert_found(db, 30)
      for i = 1, 30 do
        fixture.raises("CONSTRAINT", nil, db.insert, db, "u" .. i, "INSERT INTO users VALUES (?, 2)", { "u" .. i })
      end
    end)
  end

  it("exchanged where the directory has entries: refused", function()
    local function to_a(key) return (tonumber(key) or tonumber(key:sub(2))) % 2 == 0 and "a" or "b" end
    local db = fixture.database(SCHEMA, { strategy = to_a })
    fill(db, 30)
    db:close()
    local e = fixture.raises("CONFIG", "its file", collegedb.open, swapped { strategy = to_a })
    assert.equal("a", e.shard)
    assert_found(fixture.open(fixture.config { strategy = to_a }), 30)
  end)

  it("rows put into a shard past the router are found after the next open", function()
    local db = fixture.database(SCHEMA)
    for i = 1, 30 do
      db:shard("a"):run("INSERT INTO users VALUES (?, 1)", { "u" .. i })
      db:shard("b"):run("INSERT INTO nums VALUES (?)", { i })
    end
    db:close()
    assert_found(fixture.open(fixture.config()), 30)
  end)

  it("as they were cost no integration", function()
    local db = fixture.database(SCHEMA)
    fill(db, 30)
    db:close()
    fixture.sqlite("c.db", SCHEMA .. "; INSERT INTO users SELECT 'u' || value, 3 FROM json_each('[1,2,3,4,5]')")
    local events = {}
    local function listen(event) events[#events + 1] = event.event end
    db = fixture.open(fixture.config({ on_event = listen }, { "a", "b", "c" }))
    assert.equal(5, db:integration_report("c").conflict_count)
    db:close()
    events = {}
    db = fixture.open(fixture.config({ on_event = listen }, { "a", "b", "c" }))
    assert.same({}, events)
    assert_found(db, 30)
  end)
end)
