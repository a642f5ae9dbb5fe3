--- Where a key has gone, by what its own rows in the shards say.

local errors = require "collegedb.errors"
local fence = require "collegedb.fence"
local group = require "collegedb.group"
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

-- A key that was not sent from here, but would be looked for here: no move has this number.
local AHEAD = [[INSERT INTO _collegedb_own SELECT ?1, ?2, 'tomb', 0, 0, ?3, NULL, ?4 WHERE NOT (%s)
  ON CONFLICT DO NOTHING]]

--- Notes, at the shard that decides where a key is, that it is at another one from now on, unless it is here: has rows,
-- or an own row. Then a program that still would insert it here is refused.
---@param index integer the shard that decides
---@param target integer
---@return boolean? done nil where no fence can be; false: look again
function forward.send_ahead(state, index, target, keyspace, text)
  local parts = group.parts(state.catalog, index, keyspace)
  local sql = AHEAD:format(group.any_sql(parts, "SELECT ?2 AS key"))
  local done, answer = pcall(state.shards[index].handle.transaction, state.shards[index].handle, function(tx)
    fence.hold(state, tx, index, keyspace)
    return tx:run(sql, { keyspace, text, state.shards[target].name, os.time() }).meta.changes == 1
  end)
  if done then return answer end
  if errors.is_error(answer, "UNSUPPORTED") then return nil end
  error(answer, 0)
end

return forward
