--- A shard by chance, each as often as its weight says.

local random = { name = "random", api = 1 }

function random.select(_, shards, ctx)
  local total = 0
  for _, shard in ipairs(shards) do total = total + shard.weight end
  -- 2^31 steps are fine enough for any weights, and ctx.random gives whole numbers.
  local at = (ctx.random(2 ^ 31 | 0) - 1) / 2 ^ 31 * total
  for _, shard in ipairs(shards) do
    at = at - shard.weight
    if at < 0 then return shard.name end
  end
  return shards[#shards].name
end

return random
