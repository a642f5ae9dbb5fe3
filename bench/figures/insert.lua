-- A routed INSERT of a key that is new: hash, sparse directory, four shards, NORMAL. The floor inserts the same keys
-- into four files of its own, to the file where the hash would place them, which was looked up before.

local collegedb = require "collegedb"
local core = require "collegedb.core"
local fixture = require "bench.fixture"
local floor = require "floor"
local measure = require "bench.measure"

local SHARDS <const>, COUNTED <const> = 4, 5000

-- The directory as another connection sees it.
local function watch(path)
  local connection = floor.open(path, "FULL")
  local version = floor.prepare(connection, "PRAGMA data_version", "first")
  local entries = floor.prepare(connection, "SELECT count(*) AS n FROM _collegedb_entries", "first")
  return function() return ("%d/%d"):format(version({}).data_version, entries({}).n) end
end

local function loops(ctx, most)
  local shards, nodes, writers = {}, {}, {}
  local function empty(name, i)
    local path = ("%s/insert-%s-%d.db"):format(ctx.tmp, name, i)
    for _, tail in ipairs { "", "-wal", "-shm" } do os.remove(path .. tail) end
    return fixture.create(path, 0)
  end
  for i = 1, SHARDS do
    writers[i] = floor.prepare(floor.open(empty("floor", i), "NORMAL"), fixture.insert, "run")
    shards[i] = { name = "shard-" .. i, empty("ours", i), synchronous = "normal" }
    nodes[i] = { name = "shard-" .. i, weight = 1 }
  end
  local placement, sql = core.placement(nodes), fixture.insert
  local db = collegedb.open { kv = ctx.tmp .. "/insert-directory.db", shards = shards }
  local keys, writer_of = {}, {}
  for i = 1, most do
    keys[i] = ("a-%08d"):format(i)
    writer_of[i] = writers[placement:place("", keys[i])]
  end
  local function ours(from, to)
    for i = from, to do
      local key = keys[i]
      db:insert(key, sql, { key, "Name of a new user", i % 90, i * 0.25 })
    end
  end
  local function base(from, to)
    for i = from, to do writer_of[i] { keys[i], "Name of a new user", i % 90, i * 0.25 } end
  end
  return ours, base, watch(ctx.tmp .. "/insert-directory.db")
end

local function counted(ctx)
  local ours, base = loops(ctx, COUNTED + 1000)
  ours(1, 1000)
  base(1, 1000)
  return {
    { "floor", function() base(1001, COUNTED + 1000) end },
    { "ours", function() ours(1001, COUNTED + 1000) end },
  }
end

local function run(ctx)
  local calls, rounds = 10000, ctx.quick and 5 or 11
  local ours, base, directory = loops(ctx, 3 * rounds * calls)
  local before = directory()
  local time = measure.alternate { base = base, ours = ours, calls = calls, slice = 1000, rounds = rounds }
  local after = directory()
  local rows = { {
    what = "routed insert of a new key, `hash`, sparse", reach = "≥ 0.80 of the floor", met = time.ratio >= 0.8,
    measured = ("%.3f (%.1f µs, floor %.1f µs)"):format(time.ratio, time.ours * 1e6, time.base * 1e6),
  }, {
    what = "writes to the directory meanwhile", reach = "none", met = before == after,
    measured = before == after and "none (data_version and entries unchanged)" or before .. " became " .. after,
  } }
  local runs = measure.instructions(ctx, "insert", COUNTED, 1)
  if runs then
    rows[3] = {
      what = "routed insert of a new key: instructions",
      measured = ("%.3f × (%.0f, floor %.0f)"):format(measure.counted(runs, "ours", "floor"),
        measure.counted(runs, "ours"), measure.counted(runs, "floor")),
    }
  end
  return rows
end

return { run = run, counted = counted }
