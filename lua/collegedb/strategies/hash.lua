--- The default strategy: weighted rendezvous hashing (src/core/placement.c).
-- A key's home follows from the key and the shards alone, so that placing it
-- writes nothing to the directory. A shard that is added takes its share from
-- all others, and no other key moves.

local core = require "collegedb.core"

local hash = { name = "hash", api = 1 }

--- Where the key would be placed among `shards`, when the hash serves as a part of another strategy.
function hash.select(key, shards)
  local nodes = {}
  for i, shard in ipairs(shards) do nodes[i] = { name = shard.name, weight = shard.weight } end
  return shards[core.placement(nodes):place("", tostring(key))].name
end

return hash
