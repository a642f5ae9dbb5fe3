-- The same reads through lua-sql-sqlite3, written as its users write them: the value escaped into the SQL text.

local collegedb = require "collegedb"
local fixture = require "bench.fixture"
local measure = require "bench.measure"

local COUNT <const> = 20000

local function run(ctx)
  local what, reach = "the same reads against lua-sql-sqlite3: throughput", "≥ 2.7 ×"
  local found, luasql = pcall(require, "luasql.sqlite3")
  if not found then return { { what = what, reach = reach, measured = "skipped: no lua-sql-sqlite3" } } end
  local path, keys, sql = fixture.users(ctx), fixture.sample(COUNT, fixture.rows), fixture.select
  local db <close> = collegedb.open { kv = "memory:", shards = { { name = "a", path, synchronous = "normal" } } }
  local connection = luasql.sqlite3():connect(path)
  connection:execute "PRAGMA synchronous = NORMAL"
  local function ours(from, to)
    for i = from, to do
      local key = keys[i % COUNT + 1]
      db:first(key, sql, { key })
    end
  end
  local function theirs(from, to)
    for i = from, to do
      local cursor = connection:execute("SELECT * FROM users WHERE id = '" .. connection:escape(keys[i % COUNT + 1]) .. "'")
      cursor:fetch({}, "a")
      cursor:close()
    end
  end
  ours(1, COUNT)
  theirs(1, COUNT)
  local time = measure.alternate { base = theirs, ours = ours, calls = 20000, slice = 500, rounds = ctx.quick and 3 or 11 }
  connection:close()
  return { {
    what = what, reach = reach, met = time.ratio >= 2.7,
    measured = ("%.2f × (%.2f µs, lua-sql-sqlite3 %.2f µs)"):format(time.ratio, time.ours * 1e6, time.base * 1e6),
  } }
end

return { run = run }
