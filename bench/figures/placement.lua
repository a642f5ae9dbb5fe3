-- What a 17th shard of equal weight takes: keys whose place changes, and where they go.

local core = require "collegedb.core"
local fixture = require "bench.fixture"

local function nodes(count)
  local list = {}
  for i = 1, count do list[i] = { name = "shard-" .. i, weight = 1 } end
  return core.placement(list)
end

local function run()
  local before, after, count = nodes(16), nodes(17), 4000000
  local moved, elsewhere = 0, 0
  for i = 1, count do
    local key = fixture.key(i)
    local place = after:place("", key)
    if place ~= before:place("", key) then
      moved = moved + 1
      if place ~= 17 then elsewhere = elsewhere + 1 end
    end
  end
  local share = moved / count
  return { {
    what = "a 17th shard re-places, of 4 million keys", reach = "1/17 ± 0.5 %",
    met = math.abs(share * 17 - 1) <= 0.005 and elsewhere == 0,
    measured = ("1/17 %+.2f %% (%.3f %% of the keys), %d of them between older shards"):format((share * 17 - 1) * 100,
      share * 100, elsewhere),
  } }
end

return { run = run }
