-- Two databases over a directory that takes one statement at a time, or over the coordinator: whatever the one does
-- between any two statements of the other, every key has one place, and is found there.

local collegedb = require "collegedb"
local core = require "collegedb.core"
local errors = require "collegedb.errors"
local fixture = require "spec.support.fixture"
local gateway = require "spec.support.gateway"
local json = require "collegedb.json"
local net = require "collegedb.net"

local SCHEMA <const> = "CREATE TABLE IF NOT EXISTS users (id TEXT PRIMARY KEY, n)"
local INSERT <const> = "INSERT INTO users VALUES (?, 1)"

local function insert(db, key)
  local done, err = pcall(db.insert, db, key, INSERT, { key })
  assert(done or errors.is_error(err, "CONSTRAINT"), err)
end

local function file(name)
  return { name = name, fixture.path(name .. ".db"), synchronous = "off", busy_timeout = 0.05 }
end

local acts = {
  insert = function(db)
    for i = 1, 3 do insert(db, "new" .. i) end
  end,
  integrate = function(db) db:integrate "b" end,
  rollback = function(db) db:rollback "b" end,
  ["map a key"] = function(db)
    -- Only where its rows are.
    db:mapper():set_shard_mapping("k2", (db:locate "k2"))
  end,
  ["forget a key"] = function(db) db:mapper():delete_shard_mapping "k3" end,
  move = function(db) db:reassign_shard("k1", db:locate "k1" == "a" and "b" or "a") end,
  grow = function(db)
    if not core.state(db).by_name.c then db:add_shard(file "c") end
    db:rebalance()
  end,
  ["ensure tables"] = function(db) db:ensure_schema "CREATE TABLE IF NOT EXISTS more (id TEXT PRIMARY KEY)" end,
}

-- What may be said to one of two that do the same.
local EXPECTED <const> = { BUSY = true, CONFLICT = true, MOVED = true, MOVING = true, CONFIG = true }

local function try(act, db)
  local done, err = pcall(act, db)
  assert(done or (errors.is_error(err) and EXPECTED[err.code]), tostring(err))
  return done
end

-- A file, of which each instance has a handle of its own.
local single = { name = "single statements", clean = function() end }

function single.open()
  local kv = core.sqlite(fixture.path "directory.db", { name = "directory.db", single = true, synchronous = "off" })
  return kv, function() core.close(kv) end
end

local function open(kind, strategy)
  local kv, close = kind.open()
  local db = collegedb.open { kv = kv, strategy = strategy, auto_migrate = true, move_deadline = 0.2,
    shards = { file "a", file "b" } }
  return db, close
end

-- Calls `before` ahead of each call of a method of what an object has in a field; returns what puts it back.
local function watch(object, field, before)
  local inner = object[field]
  object[field] = setmetatable({}, { __index = function(_, method)
    return function(_, ...)
      before()
      return inner[method](inner, ...)
    end
  end })
  return function() object[field] = inner end
end

-- Runs `first` on one database, and `second` on another before its n-th statement; whether it came so far.
local function interleave(kind, strategy, first, second, n)
  for _, name in ipairs(fixture.files()) do os.remove(fixture.path(name)) end
  kind.clean()
  local one, close_one = open(kind, strategy)
  one:ensure_schema(SCHEMA)
  for i = 1, 8 do insert(one, "k" .. i) end
  local other, close_other = open(kind, strategy)
  local dir, count, running = core.state(one).directory, 0, true
  local function come()
    count = count + 1
    if running and count == n then
      running = false
      try(second, other)
    end
  end
  local ends = { watch(dir.store, "shard", come) }
  if dir.rows.coordinator then ends[2] = watch(dir.rows, "coordinator", come) end
  try(first, one)
  for _, leave in ipairs(ends) do leave() end
  for _, db in ipairs { one, other } do insert(db, "last") end
  local findings, total = one:verify().findings, one:count "users"
  local seen = {}
  for _, db in ipairs { one, other } do
    for i = 1, 8 do
      assert(db:first("k" .. i, "SELECT n FROM users WHERE id = ?", { "k" .. i }), "k" .. i)
      seen[i] = seen[i] or (db:locate("k" .. i))
      assert.equal(seen[i], (db:locate("k" .. i)))
    end
  end
  one:close()
  other:close()
  close_one()
  close_other()
  assert.same({}, findings)
  assert.is_true(total == 9 or total == 12, total)
  return not running
end

-- `usual`: every which statement is looked at; `pairs_of`: every which pair.
local function behaves(kind, usual, pairs_of)
  local names = {}
  for name in pairs(acts) do names[#names + 1] = name end
  table.sort(names)
  -- CDB_INTERLEAVE=1 looks at every statement.
  local step = tonumber(os.getenv "CDB_INTERLEAVE" or usual)
  for at, first in ipairs(names) do
    it(first .. ", and the other does whatever it does", function()
      for by, second in ipairs(names) do
        if step ~= 1 and (at + by) % pairs_of > 0 then goto next end
        local strategy = (at + by) % 2 == 0 and "hash" or "round_robin"
        local n = 1 + (at * 7 + by * 3) % step
        local came
        repeat
          local done, answer = pcall(interleave, kind, strategy, acts[first], acts[second], n)
          assert(done, ("%s, %s before statement %d: %s"):format(strategy, second, n, tostring(answer)))
          came, n = answer, n + step
        until not came
        ::next::
      end
    end)
  end
end

describe("two databases over single statements", function()
  before_each(fixture.start)
  after_each(fixture.stop)
  behaves(single, 13, 1)
end)

describe("two databases over the coordinator", function()
  if gateway.skips(it, function(why) pending(why) end) then return end

  local kind, served = {}, nil
  setup(function()
    served = gateway.start { vars = { COLLEGEDB_DEVELOPMENT = "true" } }
    local value = collegedb.gateway({ url = served.url, token = gateway.token }):coordinator()
    function kind.open() return value, function() end end
    function kind.clean() value:ask("flush", json.object {}) end
  end)
  teardown(function()
    net.close()
    served.stop()
  end)
  before_each(fixture.start)
  after_each(function()
    net.close()
    fixture.stop()
  end)
  behaves(kind, 151, 3)
end)
