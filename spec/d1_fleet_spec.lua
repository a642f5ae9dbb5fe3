-- D1 databases and a file as the shards of one database, whose directory is a D1 database too: two programs share it
-- while it grows and shrinks.

local collegedb = require "collegedb"
local engine = require "spec.support.engine"
local fixture = require "spec.support.fixture"

local SCHEMA <const> = [[
  CREATE TABLE IF NOT EXISTS users (id TEXT PRIMARY KEY, name TEXT, n REAL);
  CREATE TABLE IF NOT EXISTS notes (id TEXT PRIMARY KEY, user TEXT REFERENCES users (id) ON DELETE CASCADE, body BLOB);
]]
local KEYS <const> = 30

describe("a fleet of D1 databases", function()
  if engine.skips(it, function(why) pending(why) end) then return end

  local endpoint, names, first, second

  local function d1(i) return collegedb.d1 { database = names[i], endpoint = endpoint } end

  local function open()
    return fixture.open { kv = d1(1), auto_migrate = true, shards = {
      { name = "east", d1(2) }, { name = "west", d1(3) },
      { name = "file", fixture.path "file.db" } } }
  end

  local function blob(i) return ("\0\255%d"):format(i):rep(i) end

  setup(function()
    endpoint, names = engine.start(4)
    fixture.start()
    first = open()
    first:ensure_schema(SCHEMA)
    second = open()
    for i = 1, KEYS do
      local key = "u" .. i
      first:run(key, "INSERT INTO users VALUES (?, ?, ?)", { key, "name " .. i, i / 3 })
      second:run(key, "INSERT INTO notes VALUES (?, ?, ?)", { "n" .. i, key, collegedb.blob(blob(i)) })
    end
  end)

  teardown(function()
    fixture.stop()
    engine.stop()
  end)

  local function check(db, label)
    for i = 1, KEYS do
      local key = "u" .. i
      assert.equal(i / 3, db:first(key, "SELECT n FROM users WHERE id = ?", { key }).n, label .. key)
      assert.same({ { id = "n" .. i, body = blob(i) } },
        db:all(key, "SELECT id, body FROM notes WHERE user = ?", { key }), label .. key)
    end
    assert.equal(KEYS, (db:count "users"))
    assert.equal(KEYS, (db:count "notes"))
  end

  local function check_all(label)
    check(first, label .. ", first program: ")
    check(second, label .. ", second program: ")
    local report = first:verify()
    assert.same({ true, {} }, { report.success, report.findings }, label)
  end

  it("keeps each key on one shard", function()
    check_all "at the beginning"
    local _, by_shard = first:count "users"
    for _, name in ipairs { "east", "west", "file" } do assert(by_shard[name] > 0, name) end
  end)

  it("moves keys from each kind of shard to each", function()
    for i = 1, 3 do
      for _, name in ipairs { "east", "west", "file", "west", "east", "file", "east" } do
        local moves = first:locate("u" .. i) ~= name
        assert.equal(moves, first:reassign_shard("u" .. i, name).moved)
        second:run("u" .. i, "UPDATE users SET name = ? WHERE id = ?", { name, "u" .. i })
        assert.equal(name, first:first("u" .. i, "SELECT name FROM users WHERE id = ?", { "u" .. i }).name)
      end
    end
    check_all "after moves"
  end)

  it("grows and shrinks while another program has it open", function()
    first:add_shard { name = "new", d1(4) }
    local report = first:rebalance()
    assert.same({ true, {} }, { report.success, report.failed })
    local _, by_shard = second:count "users"
    assert(by_shard.new > 0)
    check_all "after it has grown"
    report = second:drain "east"
    assert.same({ true, {} }, { report.success, report.failed })
    assert.equal(0, select(2, first:count "users").east)
    check_all "after it has shrunk"
  end)

  it("is opened by a program that does not know of the added shard", function()
    local third = open()
    check(third, "third program: ")
    assert.equal("new", third:list_known_shards()[4])
  end)
end)
