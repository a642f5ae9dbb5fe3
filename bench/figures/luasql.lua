-- The same reads through lua-sql-sqlite3, written as its manual has them: the value escaped into the SQL text, a
-- cursor fetched from and closed. The floor against it tells how much could be reached at all.

local collegedb = require "collegedb"
local fixture = require "bench.fixture"
local floor = require "floor"
local measure = require "bench.measure"

local KEYS <const>, COUNTED <const> = 20000, 3000

local function loops(ctx, luasql, count)
  local path, keys, sql = fixture.users(ctx), fixture.sample(count, fixture.rows), fixture.select
  local db = collegedb.open { kv = "memory:", shards = { { name = "a", path, synchronous = "normal" } } }
  local get = floor.prepare(floor.open(path, "NORMAL"), sql, "first")
  local connection = luasql.sqlite3():connect(path)
  connection:execute "PRAGMA synchronous = NORMAL"
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
  local function theirs(from, to)
    for i = from, to do
      local key = keys[i % count + 1]
      local cursor = connection:execute("SELECT * FROM users WHERE id = '" .. connection:escape(key) .. "'")
      cursor:fetch({}, "a")
      cursor:close()
    end
  end
  local function careless(from, to)
    for i = from, to do
      local key = keys[i % count + 1]
      connection:execute("SELECT * FROM users WHERE id = '" .. connection:escape(key) .. "'"):fetch({}, "a")
    end
  end
  for _, each in ipairs { ours, base, theirs } do each(1, count) end
  return ours, base, theirs, careless
end

local function counted(ctx)
  local ours, _, theirs = loops(ctx, require "luasql.sqlite3", COUNTED)
  return { { "ours", function() ours(1, COUNTED) end }, { "theirs", function() theirs(1, COUNTED) end } }
end

local function run(ctx)
  local what, reach = "reads against lua-sql-sqlite3: throughput", "≥ 2.7 ×"
  local found, luasql = pcall(require, "luasql.sqlite3")
  if not found then return { { what = what, reach = reach, measured = "skipped: no lua-sql-sqlite3" } } end
  local ours, base, theirs, careless = loops(ctx, luasql, KEYS)
  local rounds = ctx.quick and 3 or 11
  local time = measure.alternate { base = theirs, ours = ours, calls = 20000, slice = 20000, rounds = rounds }
  local best = measure.alternate { base = theirs, ours = base, calls = 20000, slice = 20000, rounds = rounds // 2 + 1 }
  local left = measure.alternate { base = careless, ours = ours, calls = 20000, slice = 20000, rounds = 3 }
  local rows = { {
    what = what, reach = reach, met = time.ratio >= 2.7,
    measured = ("%.2f × (%.2f µs, lua-sql-sqlite3 %.2f µs)"):format(time.ratio, time.ours * 1e6, time.base * 1e6),
    why = ("Against lua-sql-sqlite3 the floor itself reaches %.2f × here, and no router could reach more. Almost "
      .. "half of the time of a read is spent in the kernel, on file locks and on reading pages, which both sides pay; "
      .. "in instructions of their own the distance is twice as large."):format(best.ratio),
  }, {
    what = "the floor against lua-sql-sqlite3: throughput", measured = ("%.2f ×"):format(best.ratio),
  }, {
    what = "lua-sql-sqlite3 whose cursors are left to the collector, against ours: throughput",
    measured = ("%.2f × (%.2f µs)"):format(left.ratio, left.base * 1e6),
  } }
  local runs = measure.instructions(ctx, "luasql", COUNTED, 1)
  if runs then
    rows[4] = {
      what = "reads against lua-sql-sqlite3: instructions",
      measured = ("%.2f × (%.0f, lua-sql-sqlite3 %.0f)"):format(measure.counted(runs, "theirs", "ours"),
        measure.counted(runs, "ours"), measure.counted(runs, "theirs")),
    }
  end
  return rows
end

return { run = run, counted = counted }
