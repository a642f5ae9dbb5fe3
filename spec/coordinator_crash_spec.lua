-- The coordinator when its engine is killed under programs that contend for keys: what was acknowledged stays, a key
-- has one shard, turns are spent with a key each, and no write is done twice.

local collegedb = require "collegedb"
local core = require "collegedb.core"
local fixture = require "spec.support.fixture"
local gateway = require "spec.support.gateway"
local net = require "collegedb.net"
local process = require "spec.support.process"

local DATABASES <const> = { "DB_A", "DB_B", "DB_C" }
local SECONDS <const> = tonumber(os.getenv "CDB_CRASH_SECONDS" or 5)

-- In a program of its own.
local OPEN <const> = [[
  local gateway = collegedb.gateway { url = %q, token = %q }
  local function open(extra)
    local config = { kv = gateway:coordinator(), strategy = "round_robin", auto_migrate = true, shards = {} }
    for i, name in ipairs { "DB_A", "DB_B", "DB_C" } do config.shards[i] = { name = name, gateway:shard(name) } end
    for field, value in pairs(extra or {}) do config[field] = value end
    return collegedb.open(config)
  end
]]

-- Inserts keys that the others insert too, and counts on their rows; says which shard it found them on, and how often
-- its counting was acknowledged, or may have been done.
local CONTEND <const> = [[
  local core = require "collegedb.core"
  -- What is not acknowledged is tried again, as an application would.
  local function try(f, ...)
    local began = core.now()
    while true do
      local done, err = pcall(f, ...)
      if done or err.code == "CONSTRAINT" or err.code == "OUTCOME_UNKNOWN" then return done, err end
      local passing = err.code == "UNAVAILABLE" or err.code == "TIMEOUT" or err.code == "BUSY"
      if core.now() - began > 30000 or not passing then error(err, 0) end
      core.pause(50)
    end
  end
  local db = open()
  local acked, unknown, lived = {}, {}, {}
  wait_for_go()
  local began, i = core.now(), 0
  while core.now() - began < %d * 1000 do
    i = i + 1
    -- Most keys are new, and wanted by two or more at the same time.
    local key = "k" .. (core.now() - began) // 100
    if i %% 5 == 0 then key = "k" .. core.random() %% (1 + (core.now() - began) // 100) end
    try(db.insert, db, key, "INSERT INTO users VALUES (?, 0)", { key })
    local done, err = try(db.run, db, key, "UPDATE users SET n = n + 1 WHERE id = ?", { key })
    if done then acked[key] = (acked[key] or 0) + err.meta.changes else unknown[key] = (unknown[key] or 0) + 1 end
    local _, shard = try(db.locate, db, key)
    assert(not lived[key] or lived[key] == shard, key)
    lived[key] = shard
  end
  for key, shard in pairs(lived) do print(key, shard, acked[key] or 0, unknown[key] or 0) end
  db:close()
]]

describe("the coordinator whose engine is killed", function()
  if gateway.skips(it, function(why) pending(why) end) then return end

  local folder, served

  local function start(port)
    served = gateway.start { databases = DATABASES, prefix = "crash-", persist = folder, port = port }
    return tonumber(served.url:match ":(%d+)$")
  end

  before_each(function()
    fixture.start()
    folder = process.new_folder()
  end)
  after_each(function()
    net.close()
    served.stop()
    process.remove(folder)
    fixture.stop()
  end)

  it("has lost nothing, and given no key to two shards", function()
    local port = start()
    local source = OPEN:format(served.url, gateway.token)
    fixture.together(1, source .. [[
      local db = open()
      db:ensure_schema "CREATE TABLE IF NOT EXISTS users (id TEXT PRIMARY KEY, n)"
      db:close() wait_for_go()]])
    local pipes, shards, acked, unknown = {}, {}, {}, {}
    for i = 1, 4 do pipes[i] = fixture.spawn(source .. CONTEND:format(SECONDS), i) end
    for i = 1, 4 do assert.equal("ready", pipes[i]:read "l") end
    fixture.write("go", "")
    local began = core.now()
    local kills = 0
    while core.now() - began < SECONDS * 1000 - 1500 do
      core.pause(300 + core.random() % 900)
      served.kill()
      start(port)
      kills = kills + 1
    end
    for i = 1, 4 do
      local output = pipes[i]:read "a"
      assert(pipes[i]:close(), output)
      for key, shard, done, maybe in output:gmatch "(k%d+)\t(%S+)\t(%d+)\t(%d+)\n" do
        assert.equal(shards[key] or shard, shard, key)
        shards[key] = shard
        acked[key], unknown[key] = (acked[key] or 0) + tonumber(done), (unknown[key] or 0) + tonumber(maybe)
      end
    end
    assert.is_true(kills >= 2)
    local value = collegedb.gateway { url = served.url, token = gateway.token }
    local count, by_shard, handles = 0, {}, {}
    for _, name in ipairs(DATABASES) do handles[name] = value:shard(name):open(name) end
    for key, shard in pairs(shards) do
      count = count + 1
      by_shard[shard] = (by_shard[shard] or 0) + 1
      for _, name in ipairs(DATABASES) do
        local row = handles[name]:first("SELECT n FROM users WHERE id = ?", { key })
        assert.equal(name == shard, row ~= nil, key)
        if row then assert.is_true(row.n >= acked[key] and row.n <= acked[key] + unknown[key], key) end
      end
    end
    for _, handle in pairs(handles) do core.close(handle) end
    local dir = require("collegedb.directory").open(value:coordinator())
    local entries = 0
    for _, n in pairs(dir:counts()) do entries = entries + n end
    assert.is_true(count > 20)
    if os.getenv "CDB_TELL" then
      local sum = 0
      for _, n in pairs(acked) do sum = sum + n end
      print(("%d kills, %d keys, %d writes acknowledged"):format(kills, count, sum))
    end
    assert.equal(dir:count_on("round_robin", 0), entries)
    assert.equal(count, entries)
    dir:close()
    local least, most = math.huge, 0
    for _, name in ipairs(DATABASES) do
      least, most = math.min(least, by_shard[name] or 0), math.max(most, by_shard[name] or 0)
    end
    assert.is_true(most - least <= 1)
  end)
end)
