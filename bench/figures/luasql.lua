-- The same reads through lua-sql-sqlite3, written as its manual has them: the value escaped into the SQL text, a
-- cursor fetched from and closed. Each side has a process of its own, as a program would use one or the other: the
-- collector runs over its own values only. The floor tells how much could be reached at all.

local collegedb = require "collegedb"
local fixture = require "bench.fixture"
local floor = require "floor"
local measure = require "bench.measure"

local KEYS <const>, COUNTED <const> = 20000, 3000

local sides = {}

function sides.ours(path)
  local db = collegedb.open { kv = "memory:", shards = { { name = "a", path, synchronous = "normal" } } }
  local sql = fixture.select
  return function(key) db:first(key, sql, { key }) end
end

-- The same two with a cache of SQLite's that holds the whole table, so that no page is read from the kernel.
local CACHE <const> = -65536 -- KiB, as in PRAGMA cache_size

function sides.ours_in_cache(path)
  local db = collegedb.open {
    kv = "memory:", shards = { { name = "a", path, synchronous = "normal", cache_size = CACHE } },
  }
  local sql = fixture.select
  return function(key) db:first(key, sql, { key }) end
end

function sides.floor(path)
  local get = floor.prepare(floor.open(path, "NORMAL"), fixture.select, "first")
  return function(key) get { key } end
end

local function connect(path)
  local connection = require("luasql.sqlite3").sqlite3():connect(path)
  connection:execute "PRAGMA synchronous = NORMAL"
  return connection
end

local function reader(connection)
  return function(key)
    local cursor = connection:execute("SELECT * FROM users WHERE id = '" .. connection:escape(key) .. "'")
    cursor:fetch({}, "a")
    cursor:close()
  end
end

function sides.luasql(path) return reader(connect(path)) end

function sides.luasql_in_cache(path)
  local connection = connect(path)
  connection:execute("PRAGMA cache_size = " .. CACHE)
  return reader(connection)
end

function sides.careless(path)
  local connection = connect(path)
  return function(key)
    connection:execute("SELECT * FROM users WHERE id = '" .. connection:escape(key) .. "'"):fetch({}, "a")
  end
end

-- In a process of its own: seconds a read.
local function part(ctx, side)
  local path, keys = fixture.users(ctx), fixture.sample(KEYS, fixture.rows)
  local read = sides[side](path)
  for _, key in ipairs(keys) do read(key) end
  local start = floor.now()
  for _, key in ipairs(keys) do read(key) end
  return (floor.now() - start) / KEYS
end

local function take(side)
  local pipe <close> = assert(io.popen("lua5.4 bench/figure.lua part luasql " .. side))
  return assert(pipe:read "n", "a process failed")
end

-- Sides in turns; medians of the times, and of each round's ratio to the first side.
local function compare(rounds, list)
  local times, ratios = {}, {}
  for _, side in ipairs(list) do times[side], ratios[side] = {}, {} end
  for i = 1, rounds do
    for _, side in ipairs(list) do times[side][i] = take(side) end
    for _, side in ipairs(list) do ratios[side][i] = times[side][i] / times[list[1]][i] end
  end
  local time, ratio = {}, {}
  for _, side in ipairs(list) do time[side], ratio[side] = measure.median(times[side]), measure.median(ratios[side]) end
  return time, ratio
end

local function counted(ctx)
  local keys, sections = fixture.sample(COUNTED, fixture.rows), {}
  for _, side in ipairs { "ours", "luasql" } do
    local read = sides[side](fixture.users(ctx))
    local function all()
      for _, key in ipairs(keys) do read(key) end
    end
    all()
    sections[#sections + 1] = { side, all }
  end
  return sections
end

local function run(ctx)
  local what, reach = "reads against lua-sql-sqlite3: throughput", "≥ 2.7 ×"
  if not pcall(require, "luasql.sqlite3") then
    return { { what = what, reach = reach, measured = "skipped: no lua-sql-sqlite3" } }
  end
  fixture.users(ctx)
  local time, ratio = compare(ctx.quick and 3 or 11, { "ours", "luasql", "floor" })
  local cached = select(2, compare(ctx.quick and 1 or 7, { "ours_in_cache", "luasql_in_cache" })).luasql_in_cache
  local rows = { {
    what = what, reach = reach, met = ratio.luasql >= 2.7,
    measured = ("%.2f × (%.2f µs, lua-sql-sqlite3 %.2f µs)"):format(ratio.luasql, time.ours * 1e6, time.luasql * 1e6),
    why = ("The floor itself reaches %.2f × here. Almost half of the time of a read is spent in the kernel, on file "
      .. "locks and on reading pages, which both sides pay; with a `cache_size` that holds the table on both sides it "
      .. "is %.2f ×, and in instructions of their own the distance is twice as large."):format(
      ratio.luasql / ratio.floor, cached),
  }, {
    what = "the floor against lua-sql-sqlite3: throughput", measured = ("%.2f ×"):format(ratio.luasql / ratio.floor),
  }, {
    what = "reads against lua-sql-sqlite3, both with `cache_size` 64 MiB, which holds the table: throughput",
    measured = ("%.2f ×"):format(cached),
  } }
  if ctx.quick then return rows end
  rows[#rows + 1] = {
    what = "reads against lua-sql-sqlite3 with its cursors left to the collector: throughput",
    measured = ("%.1f ×"):format(select(2, compare(1, { "ours", "careless" })).careless),
  }
  local runs = measure.instructions(ctx, "luasql", COUNTED, 1)
  if runs then
    rows[#rows + 1] = {
      what = "reads against lua-sql-sqlite3: instructions",
      measured = ("%.2f × (%.0f, lua-sql-sqlite3 %.0f)"):format(measure.counted(runs, "luasql", "ours"),
        measure.counted(runs, "ours"), measure.counted(runs, "luasql")),
    }
  end
  return rows
end

return { run = run, counted = counted, part = part }
