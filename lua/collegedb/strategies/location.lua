--- The shard nearest to the config's `target_region`. Of several in the nearest
-- region the highest `priority` wins, and the hash spreads over what is left.

local hash = require "collegedb.strategies.hash"

local location = { name = "location", api = 1 }

-- The middle of each of D1's location hints, in degrees north and east
-- (https://developers.cloudflare.com/d1/configuration/data-location/).
local regions = {
  wnam = { 38, -119 }, enam = { 40, -78 }, weur = { 49, 4 }, eeur = { 50, 24 },
  apac = { 14, 112 }, oc = { -32, 148 }, me = { 26, 48 }, af = { 0, 22 },
}

local names = {}
for name in pairs(regions) do names[#names + 1] = name end
table.sort(names)

--- The names of the regions, sorted.
location.regions = names

--- Kilometres between two regions along a great circle (the haversine formula).
function location.distance(from, to)
  local a, b = regions[from], regions[to]
  local north, east = math.rad(b[1] - a[1]) / 2, math.rad(b[2] - a[2]) / 2
  local h = math.sin(north) ^ 2 + math.cos(math.rad(a[1])) * math.cos(math.rad(b[1])) * math.sin(east) ^ 2
  return 2 * 6371 * math.asin(math.sqrt(h))
end

-- Those with the smallest value of `measure`.
local function best(shards, measure)
  local least, list = math.huge, {}
  for _, shard in ipairs(shards) do
    local value = measure(shard)
    if value < least then least, list = value, {} end
    if value == least then list[#list + 1] = shard end
  end
  return list
end

function location.select(key, shards, ctx)
  local target = ctx.target_region
  if not target then error "the strategy location needs target_region in the config" end
  local near = best(shards, function(shard)
    return shard.region and location.distance(target, shard.region) or math.maxinteger
  end)
  return hash.select(key, best(near, function(shard) return -(shard.priority or 0) end))
end

return location
