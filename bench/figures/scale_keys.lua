-- A directory with many entries: 100 files that were there before are integrated, so that every key gets an entry; then
-- what is asked of it costs what. Part of bench/scale/main.lua.

local collegedb = require "collegedb"
local floor = require "floor"
local measure = require "bench.measure"

local SHARDS <const>, COUNTED <const> = 100, 4000

-- Every hundredth key in each file, so that the hash would have placed hardly any where it is.
local FILL <const> = [[CREATE TABLE users (id TEXT PRIMARY KEY) WITHOUT ROWID;
  WITH RECURSIVE n(i) AS (SELECT %d UNION ALL SELECT i + %d FROM n WHERE i + %d <= %d)
  INSERT INTO users SELECT printf('user-%%08d', i) FROM n]]

local function path_of(ctx, keys, name) return ("%s/keys-%d-%s.db"):format(ctx.tmp, keys, name) end

local function config(ctx, keys, ttl)
  local shards = {}
  for i = 1, SHARDS do
    shards[i] = { name = "shard-" .. i, path_of(ctx, keys, i), synchronous = "normal", cache_size = -256 }
  end
  return { kv = path_of(ctx, keys, "directory"), directory = "full", auto_migrate = false, shards = shards,
    mapping_cache_ttl = ttl }
end

local function key_of(i) return ("user-%08d"):format(i) end

-- A number below `n` for each i, scattered and always the same.
local function scatter(i, n) return (i * 0x9E3779B97F4A7C15 >> 11) % n end

local parts = {}

--- Makes the files.
function parts.create(ctx, keys)
  for i = 1, SHARDS do
    local connection = floor.open(path_of(ctx, keys, i), "OFF")
    floor.exec(connection, FILL:format(i, SHARDS, SHARDS, keys))
    floor.exec(connection, "PRAGMA wal_checkpoint(TRUNCATE)")
    floor.close(connection)
  end
end

local function size(path)
  local file <close> = assert(io.open(path))
  return file:seek "end"
end

--- Seconds, bytes of the directory, and how much memory grew at most.
function parts.integrate(ctx, keys)
  local db = collegedb.open(config(ctx, keys))
  collectgarbage()
  local before, start, entries = measure.memory "VmRSS", floor.now(), 0
  for i = 1, SHARDS do
    local report = db:integrate("shard-" .. i)
    assert(report.success, report.issues[1])
    entries = entries + report.entries
  end
  local seconds = floor.now() - start
  assert(entries == keys, "not every key got an entry")
  local grown = measure.memory "VmHWM" - before
  db:close()
  return seconds, size(path_of(ctx, keys, "directory")), grown
end

-- Forgets what the kernel remembers of the files.
local function drop(ctx, keys)
  os.execute(("sync; for f in '%s'/keys-%d-*.db; do dd if=\"$f\" iflag=nocache count=0 status=none; done"):format(
    ctx.tmp, keys))
end

local function read(db, from, to, keys)
  local sql = "SELECT id FROM users WHERE id = ?"
  for i = from, to do
    local key = key_of(scatter(i, keys) + 1)
    assert(db:first(key, sql, { key }), "a key is not found")
  end
end

local function timed(count, f, ...)
  local start = floor.now()
  f(...)
  return (floor.now() - start) / count
end

--- Seconds to open; seconds of a read: from the disk, of keys that the mapping cache does not know, of such that it
-- knows, of the directory only; and how much memory all of that took.
function parts.look_up(ctx, keys)
  drop(ctx, keys)
  local before, start = measure.memory "VmRSS", floor.now()
  local db = collegedb.open(config(ctx, keys, 3600))
  local opened = floor.now() - start
  local from_disk = timed(2000, read, db, 1, 2000, keys)
  for i = 1, SHARDS do db:shard("shard-" .. i):first "SELECT count(*) FROM users" end -- what the kernel shall remember
  for round = 1, 3 do read(db, round * 20000, round * 20000 + 19999, keys) end
  db:flush_cache()
  local cold = timed(20000, read, db, 1, 20000, keys)
  local warm = timed(20000, read, db, 1, 20000, keys)
  db:flush_cache()
  local locate = timed(20000, function()
    for i = 1, 20000 do db:locate(key_of(scatter(i, keys) + 1)) end
  end)
  return opened, from_disk, cold, warm, locate, measure.memory "VmRSS" - before
end

--- A cache of a million keys under many more: its share of hits, seconds of a locate, its bytes; of keys that are asked
-- for evenly, and of such where nine of ten are among a fortieth of them.
function parts.evict(ctx, keys)
  local answers = {}
  for _, skewed in ipairs { false, true } do
    local db = collegedb.open(config(ctx, keys, 3600))
    local function locate(from, to)
      for i = from, to do
        local n = (skewed and scatter(i, 10) > 0) and keys // 40 or keys
        db:locate(key_of(scatter(i * 7 + 3, n) + 1))
      end
    end
    locate(1, 4000000)
    local past = db:statistics().cache
    local seconds = timed(1000000, locate, 4000001, 5000000)
    local now = db:statistics().cache
    local hits, misses = now.hits - past.hits, now.misses - past.misses
    table.move({ hits / (hits + misses), seconds, now.bytes }, 1, 3, #answers + 1, answers)
    db:close()
  end
  return table.unpack(answers)
end

--- Seconds of a verify, and how much memory grew at most.
function parts.verify(ctx, keys)
  local db <close> = collegedb.open(config(ctx, keys))
  local before, start = measure.memory "VmRSS", floor.now()
  assert(db:verify().success)
  return floor.now() - start, measure.memory "VmHWM" - before
end

--- Instructions of a read: cold, warm.
function parts.count(ctx, keys)
  local runs = measure.instructions(ctx, "scale_keys", COUNTED, 1, keys)
  if not runs then return 0, 0 end
  return measure.counted(runs, "cold"), measure.counted(runs, "warm")
end

function parts.remove(ctx, keys)
  os.execute(("rm -f '%s'/keys-%d-*.db*"):format(ctx.tmp, keys))
end

local function counted(ctx, keys)
  keys = tonumber(keys)
  local cold, warm = collegedb.open(config(ctx, keys, 0)), collegedb.open(config(ctx, keys, 3600))
  read(cold, 1, COUNTED, keys)
  read(warm, 1, COUNTED, keys)
  return {
    { "cold", function() read(cold, 1, COUNTED, keys) end },
    { "warm", function() read(warm, 1, COUNTED, keys) end },
  }
end

return { part = function(ctx, name, keys) return parts[name](ctx, tonumber(keys)) end, counted = counted }
