-- What a routed call costs by the number of shards: as many rows in all, each where the hash places it, in 1 to 100
-- files. Part of bench/scale/main.lua, which draws it.

local collegedb = require "collegedb"
local core = require "collegedb.core"
local fixture = require "bench.fixture"
local floor = require "floor"
local measure = require "bench.measure"

local ROWS <const>, KEYS <const>, COUNTED <const> = 50000, 5000, 4000

local function paths_of(ctx, count)
  local nodes, paths = {}, {}
  for i = 1, count do nodes[i] = { name = "shard-" .. i, weight = 1 } end
  local placement = core.placement(nodes)
  for i = 1, count do
    paths[i] = ("%s/scale-%d-%d.db"):format(ctx.tmp, count, i)
    local there = io.open(paths[i])
    if there then there:close()
    else fixture.create(paths[i], ROWS, function(key) return placement:place("", key) == i end) end
  end
  return paths
end

local function open(ctx, count, ttl)
  local shards = {}
  for i, path in ipairs(paths_of(ctx, count)) do
    shards[i] = { name = "shard-" .. i, path, synchronous = "normal", cache_size = -256 }
  end
  -- Taken over before it returns: what is inserted meanwhile gets entries, and the directory would not stay empty.
  return collegedb.open { kv = ("%s/scale-%d-directory.db"):format(ctx.tmp, count), shards = shards,
    mapping_cache_ttl = ttl, auto_migrate = true }
end

local function loops(ctx, count)
  local keys, sql = fixture.sample(KEYS, ROWS), fixture.select
  local cached, cold, new = open(ctx, count, 3600), open(ctx, count, 0), math.random(1000000000, 1000000000000)
  local function reader(db)
    return function(from, to)
      for i = from, to do
        local key = keys[i % KEYS + 1]
        db:first(key, sql, { key })
      end
    end
  end
  local function insert(from, to)
    for _ = from, to do
      new = new + 1
      local key = fixture.key(new)
      cached:insert(key, fixture.insert, fixture.row(new, key))
    end
  end
  local list = { cached = reader(cached), cold = reader(cold), insert = insert }
  for _, f in pairs(list) do f(1, KEYS) end
  return list
end

local NAMES <const> = { "cached", "cold", "insert" }

local function counted(ctx, count)
  local list, sections = loops(ctx, tonumber(count)), {}
  for i, name in ipairs(NAMES) do sections[i] = { name, function() list[name](1, COUNTED) end } end
  return sections
end

-- Prints, for a number of shards: seconds to open, then for each of NAMES the seconds and the instructions of a call.
local function part(ctx, count)
  local list = loops(ctx, tonumber(count))
  local start = floor.now()
  open(ctx, tonumber(count), 60):close()
  local values, times = { floor.now() - start }, {}
  for round = 1, ctx.quick and 3 or 9 do
    for _, name in ipairs(NAMES) do
      times[name] = times[name] or {}
      local calls = name == "insert" and 1000 or KEYS
      local began = floor.now()
      list[name](1, calls)
      times[name][round] = (floor.now() - began) / calls
    end
  end
  local runs = measure.instructions(ctx, "scale_shards", COUNTED, 1, count)
  for _, name in ipairs(NAMES) do
    values[#values + 1] = measure.median(times[name])
    values[#values + 1] = runs and measure.counted(runs, name) or 0
  end
  return table.unpack(values)
end

return { part = part, counted = counted }
