--- Where a key has gone, by what its own rows in the shards say.

local errors = require "collegedb.errors"
local fence = require "collegedb.fence"
local recovery = require "collegedb.recovery"

local forward = {}

--- Follows the own rows from shard to shard: where the key is now, and whether an own row said so. What is being
-- received is still at its source, which serves reads and refuses writes. A committed move is brought to its end by
-- whoever meets it.
---@param keyspace string without a shard's tag
---@return integer index, boolean told
function forward.follow(state, index, keyspace, text)
  local told = false
  for _ = 1, 2 * #state.shards do
    local own = fence.own_row(state.shards[index].inner, keyspace, text)
    if not own then return index, told end
    if own.state == "active" or own.state == "sending" then return index, true end
    local peer = state.by_name[own.peer]
    if not peer then
      errors.raise("SHARD_NOT_FOUND", { shard = own.peer, key = text }, "the key %s was moved to shard %s, which the "
        .. "config does not have", text, own.peer)
    end
    if own.state == "sent" then recovery.activate(state.shards[peer], own.move) end
    index, told = peer, true
  end
  return index, false -- it moves faster than it can be followed
end

return forward
