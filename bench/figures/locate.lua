-- db:locate on a key that the cache knows, the loop around it included.

local collegedb = require "collegedb"
local fixture = require "bench.fixture"
local floor = require "floor"
local measure = require "bench.measure"

local KEYS <const>, CALLS <const> = 20000, 200000

local function run(ctx)
  local keys = fixture.sample(KEYS, fixture.rows)
  local db <close> = collegedb.open {
    kv = "memory:", shards = { { name = "a", fixture.users(ctx), synchronous = "normal" } },
  }
  for _, key in ipairs(keys) do db:locate(key) end
  local times = {}
  for round = 1, ctx.quick and 5 or 15 do
    local start = floor.now()
    for i = 1, CALLS do db:locate(keys[i % KEYS + 1]) end
    times[round] = (floor.now() - start) / CALLS
  end
  local each = measure.median(times) * 1e6
  return { {
    what = "`locate` on a cached key", reach = "≤ 0.3 µs", met = each <= 0.3, measured = ("%.2f µs"):format(each),
  } }
end

return { run = run }
