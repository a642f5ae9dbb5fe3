-- A routed read whose key the cache knows, against the floor on the same file.

local collegedb = require "collegedb"
local fixture = require "bench.fixture"
local floor = require "floor"
local measure = require "bench.measure"

local COUNTED <const> = 12000
local COUNTED_WHAT <const>, REACH <const> = "routed `first`, cached: instructions", "≤ 1.05 × the floor"
local WHY <const> = "Of what is above the floor, more than a quarter is the call itself: Lua looks `db:first` up in a "
  .. "metatable and hands it four values, the floor is a function that is handed one. A sixth is walking the table of "
  .. "parameters, which finds superfluous ones; another one the key's hash, the mapping cache and the clock. See "
  .. "[where the time goes](where-time-goes.md). To come below 1.05 one of these checks would have to go."

local function open(ctx)
  local path = fixture.users(ctx)
  local connection = floor.open(path, "NORMAL")
  local db = collegedb.open { kv = "memory:", shards = { { name = "a", path, synchronous = "normal" } } }
  return db, floor.prepare(connection, fixture.select, "first"), floor.prepare(connection, fixture.select, "bare")
end

local function loops(ctx, count)
  local db, get, bare = open(ctx)
  local keys, sql = fixture.sample(count, fixture.rows), fixture.select
  local function ours(from, to)
    for i = from, to do
      local key = keys[i % count + 1]
      db:first(key, sql, { key })
    end
  end
  local function base(from, to)
    for i = from, to do
      local key = keys[i % count + 1]
      get { key }
    end
  end
  local function without_table(from, to)
    for i = from, to do bare(keys[i % count + 1]) end
  end
  ours(1, count)
  base(1, count)
  without_table(1, count)
  return ours, base, without_table
end

-- Few keys, so that the collector makes many rounds over a small heap; many calls.
local function counted(ctx)
  local ours, base, without_table = loops(ctx, 4000)
  return {
    { "floor", function() base(1, COUNTED) end },
    { "ours", function() ours(1, COUNTED) end },
    { "bare", function() without_table(1, COUNTED) end },
  }
end

local function run(ctx)
  local rows = {}
  local runs = measure.instructions(ctx, "first", COUNTED, ctx.quick and 1 or 3)
  if runs then
    local ratio = measure.counted(runs, "ours", "floor")
    rows[1] = {
      what = COUNTED_WHAT, reach = REACH, met = ratio <= 1.05, why = ratio > 1.05 and WHY or nil,
      measured = ("%.3f × (%.0f, floor %.0f)"):format(ratio, measure.counted(runs, "ours"),
        measure.counted(runs, "floor")),
    }
    rows[2] = {
      what = "routed `first` against a floor that is handed the bare key, no table `{ key }`: instructions",
      measured = ("%.3f × (%.0f)"):format(measure.counted(runs, "ours", "bare"), measure.counted(runs, "bare")),
    }
  else
    rows[1] = { what = COUNTED_WHAT, reach = REACH, measured = "skipped: no valgrind" }
  end
  local ours, base = loops(ctx, 20000)
  local rounds = ctx.quick and 5 or 11
  local time = measure.alternate { base = base, ours = ours, calls = 20000, slice = 500, rounds = rounds }
  rows[#rows + 1] = {
    what = "routed `first`, cached: throughput", reach = "≥ 0.88 of the floor", met = time.ratio >= 0.88,
    measured = ("%.3f (%.2f µs, floor %.2f µs)"):format(time.ratio, time.ours * 1e6, time.base * 1e6),
  }
  return rows
end

return { run = run, counted = counted, loops = loops }
