--- Gives each shard keys by its weight, and moves no more than that takes: of a shard with too many as many as that,
-- wherever in their order they are, each to the shard that lacks the most. Which ones is algorithm S of D. Knuth, The
-- Art of Computer Programming 2, 3.4.2, with the keys' hashes for random numbers.

local RANGE <const> = 1 << 53

-- How many keys each shard has too many, or too few. Of a number that is no whole one the nearest counts.
local function surplus_of(shards)
  local total, weights = 0, 0
  for _, shard in ipairs(shards) do
    total = total + shard.keys
    if shard.allocate then weights = weights + shard.weight end
  end
  local surplus = {}
  for _, shard in ipairs(shards) do
    surplus[shard.name] = shard.keys - (shard.allocate and math.floor(total * shard.weight / weights + 0.5) or 0)
  end
  return surplus
end

-- The shard that lacks the most.
local function neediest(takers)
  local found
  for _, taker in ipairs(takers) do
    if taker.missing > 0 and (not found or taker.missing > found.missing) then found = taker end
  end
  return found
end

return {
  name = "even",
  api = 1,
  plan = function(shards, ctx)
    local surplus, left, takers = surplus_of(shards), {}, {}
    for _, shard in ipairs(shards) do
      left[shard.name] = shard.keys
      if shard.allocate and surplus[shard.name] < 0 then
        takers[#takers + 1] = { name = shard.name, missing = -surplus[shard.name] }
      end
    end
    return function(key, from)
      local chance = ctx.hash(tostring(key)) % RANGE / RANGE
      local goes = surplus[from] > 0 and chance * left[from] < surplus[from]
      local taker = goes and neediest(takers)
      left[from] = left[from] - 1
      if not taker then return nil end
      surplus[from], taker.missing = surplus[from] - 1, taker.missing - 1
      return taker.name
    end
  end,
}
