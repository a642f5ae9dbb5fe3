-- A read whose key the cache does not know and that is at home, so that the directory holds no entry:
-- the price of looking there. Two instances read the same files; one of them keeps nothing in its cache.

local collegedb = require "collegedb"
local core = require "collegedb.core"
local fixture = require "bench.fixture"
local measure = require "bench.measure"

local SHARDS <const>, KEYS <const>, COUNTED <const> = 4, 20000, 6000

-- Four files with each row where the hash places it.
local function create(ctx)
  local nodes, paths = {}, {}
  for i = 1, SHARDS do nodes[i] = { name = "shard-" .. i, weight = 1 } end
  local placement = core.placement(nodes)
  for i = 1, SHARDS do
    paths[i] = ("%s/cold-%d.db"):format(ctx.tmp, i)
    local there = io.open(paths[i])
    if there then there:close()
    else fixture.create(paths[i], fixture.rows, function(key) return placement:place("", key) == i end) end
  end
  return paths
end

local function open(ctx, paths, ttl)
  local shards = {}
  for i, path in ipairs(paths) do shards[i] = { name = "shard-" .. i, path, synchronous = "normal" } end
  return collegedb.open { kv = ctx.tmp .. "/cold-directory.db", shards = shards, mapping_cache_ttl = ttl }
end

local function loops(ctx, count)
  local paths = create(ctx)
  local keys, sql = fixture.sample(count, fixture.rows), fixture.select
  local function reader(db)
    local function read(from, to)
      for i = from, to do
        local key = keys[i % count + 1]
        db:first(key, sql, { key })
      end
    end
    read(1, count)
    return read
  end
  return reader(open(ctx, paths, 3600)), reader(open(ctx, paths, 0))
end

local function counted(ctx)
  local cached, cold = loops(ctx, 4000)
  return { { "cached", function() cached(1, COUNTED) end }, { "cold", function() cold(1, COUNTED) end } }
end

local function run(ctx)
  local cached, cold = loops(ctx, KEYS)
  local rounds = ctx.quick and 3 or 11
  local time = measure.alternate { base = cold, ours = cached, calls = 20000, slice = 500, rounds = rounds }
  local rows = { {
    what = "cold lookup (not cached, no entry)", reach = "≤ 1.6 × a cached one", met = time.ratio <= 1.6,
    measured = ("%.2f × (%.2f µs, cached %.2f µs)"):format(time.ratio, time.base * 1e6, time.ours * 1e6),
  } }
  local runs = measure.instructions(ctx, "cold", COUNTED, 1)
  if runs then
    rows[2] = {
      what = "cold lookup: instructions",
      measured = ("%.2f × (%.0f, cached %.0f)"):format(measure.counted(runs, "cold", "cached"),
        measure.counted(runs, "cold"), measure.counted(runs, "cached")),
    }
  end
  return rows
end

return { run = run, counted = counted }
