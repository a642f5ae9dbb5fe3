--- One shard after the other, in config order, exactly: the turns are counted in
-- the directory, so all processes that share it take turns with one another.
-- Weights play no part.

local round_robin = { name = "round_robin", api = 1 }

function round_robin.select(_, shards, ctx)
  return shards[ctx.turn "round_robin" % #shards + 1].name
end

-- What `select` does, for a directory that takes the turn and makes the entry at once. Whoever puts another function in
-- the place of this one is asked.
round_robin.rotates = { turn = "round_robin", select = round_robin.select }

return round_robin
