-- A routed UPDATE of one row in its own transaction, WAL and NORMAL, against the floor on the same file. The floor
-- makes the same result table; a floor that returns the number of changed rows only stands beside it.

local collegedb = require "collegedb"
local fixture = require "bench.fixture"
local floor = require "floor"
local measure = require "bench.measure"

local KEYS <const>, COUNTED <const>, TURNS <const> = 20000, 6000, 97 -- a prime that divides none of the loops' lengths

local function loops(ctx, count)
  local path = fixture.create(ctx.tmp .. "/update.db", fixture.rows)
  local keys, sql = fixture.sample(count, fixture.rows), fixture.update
  local connection = floor.open(path, "NORMAL")
  local run, write = floor.prepare(connection, sql, "run"), floor.prepare(connection, sql, "write")
  local db = collegedb.open { kv = "memory:", shards = { { name = "a", path, synchronous = "normal" } } }
  -- Each call writes another value than the one that is there: SQLite leaves a page alone that would stay as it is.
  local turn = 0
  local function ours(from, to)
    for i = from, to do
      local key = keys[i % count + 1]
      turn = (turn + 1) % TURNS
      db:update_by_primary_key(key, sql, { turn, key })
    end
  end
  local function with(f)
    return function(from, to)
      for i = from, to do
        local key = keys[i % count + 1]
        turn = (turn + 1) % TURNS
        f { turn, key }
      end
    end
  end
  ours(1, count)
  return ours, with(run), with(write), function() os.remove(path) end
end

local function counted(ctx)
  local ours, base, bare = loops(ctx, 4000)
  return {
    { "floor", function() base(1, COUNTED) end },
    { "ours", function() ours(1, COUNTED) end },
    { "bare", function() bare(1, COUNTED) end },
  }
end

local function run(ctx)
  local ours, base, bare, remove = loops(ctx, KEYS)
  local rounds = ctx.quick and 5 or 11
  local time = measure.alternate { base = base, ours = ours, calls = 10000, slice = 1000, rounds = rounds }
  local beside = measure.alternate { base = bare, ours = ours, calls = 10000, slice = 1000, rounds = rounds // 2 + 1 }
  remove()
  local rows = { {
    what = "routed `update`, own transaction, WAL, NORMAL", reach = "≥ 0.85 of the floor", met = time.ratio >= 0.85,
    measured = ("%.3f (%.1f µs, floor %.1f µs)"):format(time.ratio, time.ours * 1e6, time.base * 1e6),
  }, {
    what = "routed `update` against a floor that makes no result table",
    measured = ("%.3f (floor %.1f µs)"):format(beside.ratio, beside.base * 1e6),
  } }
  local runs = measure.instructions(ctx, "update", COUNTED, 1)
  if runs then
    rows[3] = {
      what = "routed `update`: instructions",
      measured = ("%.3f × (%.0f, floor %.0f, without result table %.0f)"):format(measure.counted(runs, "ours", "floor"),
        measure.counted(runs, "ours"), measure.counted(runs, "floor"), measure.counted(runs, "bare")),
    }
  end
  return rows
end

return { run = run, counted = counted }
