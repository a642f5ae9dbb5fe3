--- Gives each shard keys by its weight, and moves no more than that takes. Which of a shard's keys go is told by their
-- hash, so that what was interrupted goes on with the same ones.

local RANGE <const> = 1 << 53

-- How many keys each shard has too many, or too few.
local function surplus_of(shards)
  local total, weights = 0, 0
  for _, shard in ipairs(shards) do
    total = total + shard.keys
    if shard.allocate then weights = weights + shard.weight end
  end
  local surplus = {}
  for _, shard in ipairs(shards) do
    surplus[shard.name] = shard.keys - (shard.allocate and total * shard.weight / weights or 0)
  end
  return surplus
end

return {
  name = "even",
  api = 1,
  plan = function(shards, ctx)
    local surplus, share, missing, takers = surplus_of(shards), {}, 0, {}
    for _, shard in ipairs(shards) do
      if surplus[shard.name] > 0 then share[shard.name] = surplus[shard.name] / shard.keys end
      if shard.allocate and surplus[shard.name] < 0 then
        missing = missing - surplus[shard.name]
        takers[#takers + 1] = { name = shard.name, below = missing }
      end
    end
    return function(key, from)
      local chance = ctx.hash(tostring(key)) % RANGE / RANGE
      if not share[from] or chance >= share[from] then return nil end
      local at = chance / share[from] * missing
      for _, taker in ipairs(takers) do
        if at < taker.below then return taker.name end
      end
    end
  end,
}
