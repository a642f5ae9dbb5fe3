--- Where a key has gone, by what its own rows in the shards say.

local errors = require "collegedb.errors"
local fence = require "collegedb.fence"
local group = require "collegedb.group"
local inspect = require "collegedb.inspect"
local procedures = require "collegedb.procedures"
local recovery = require "collegedb.recovery"
local single_fence = require "collegedb.single_fence"
local single_steps = require "collegedb.single_steps"

local forward = {}

-- A key was sent ahead from `from` to a shard that had sent it there long ago, when nothing was remembered of that any
-- more but here: for as long as a shard was put away. What was sent ahead came later. Where both were sent ahead it is
-- for whoever inserts the key to say where it is.
local function is_circle(own, from, last)
  return last and last.state == "tomb" and last.move == 0 and own.state == "tomb" and not own.before
    and own.peer == from.name
end

local function end_circle(shard, keyspace, text, own)
  if shard.single then return single_steps.live_again(shard, keyspace, text, own) end
  fence.step(shard, function(tx)
    if not fence.is_up(tx) then return end
    tx:run("UPDATE _collegedb_own SET state = 'active' WHERE keyspace = ? AND key = ? AND state = 'tomb' AND move = ?",
      { keyspace, text, own.move })
  end)
end

--- Follows the own rows from shard to shard: where the key is now, and whether an own row said so. What is being
-- received is still at its source, which serves reads and refuses writes. A committed move is brought to its end by
-- whoever meets it.
-- A way that ends at a shard which was closed since, or nowhere, says nothing: what it was for is gone.
---@param keyspace string without a shard's tag
---@return integer index, boolean told
---@return integer? void the way ends at a closed shard, or in a circle: the shard before that one, or one of the circle
function forward.follow(state, index, keyspace, text)
  local first, told, last, from = index, false, nil, nil
  for _ = 1, 2 * #state.shards do
    local own = fence.own_row(state.shards[index].inner, keyspace, text)
    if own and is_circle(own, from, last) then
      end_circle(state.shards[index], keyspace, text, own)
      return index, true
    end
    if told and index == first then return first, false, first end
    local stays = not own or own.state == "active" or own.state == "sending"
    if stays and told and state.epoch.sealed[index] then return first, false, state.by_name[from.name] end
    if stays then return index, told or own ~= nil end
    local peer = state.by_name[own.peer]
    if not peer then
      errors.raise("SHARD_NOT_FOUND", { shard = own.peer, key = text }, "the key %s was moved to shard %s, which the "
        .. "config does not have", text, own.peer)
    end
    if own.state == "sent" then recovery.bring_in(state, state.shards[peer], own.move) end
    last, from = own, state.shards[index]
    index, told = peer, true
  end
  return first, false, index
end

--- A key that a shard has sent to where nothing can be of it any more: it may live there again. Two programs that each
-- revived it on another shard of a circle would not see each other: the directory lets one at a time.
---@param index integer what follow said
function forward.revive(state, index, keyspace, text)
  local shard = state.shards[index]
  local function try(tx)
    local own = fence.own_row(tx, keyspace, text)
    if not own or own.state ~= "tomb" then return end
    if select(3, forward.follow(state, index, keyspace, text)) ~= index then return end
    if shard.single then return single_steps.live_again(shard, keyspace, text, own) end
    tx:run("UPDATE _collegedb_own SET state = 'active' WHERE keyspace = ? AND key = ?", { keyspace, text })
  end
  state.directory:exclusively(function()
    if shard.single then try(shard.inner) else fence.step(shard, try) end
  end)
end

-- A key that is not here, but would be looked for here. That it went without a move is told by `before`.
local AHEAD <const> = [[INSERT INTO _collegedb_own SELECT ?1, ?2, 'tomb', 0, 0, ?3, ?3, ?4 WHERE NOT (%s) AND %s
  ON CONFLICT DO UPDATE SET state = 'tomb', peer = ?3, before = ?3, at = ?4 WHERE state = 'active']]

-- The same where each statement is one by itself.
local function send_single(state, index, target, keyspace, text)
  local done, held = pcall(single_fence.hold, state, index, keyspace)
  if not done then
    if errors.is_error(held, "UNSUPPORTED") then return nil end
    error(held, 0)
  end
  local sql = AHEAD:format(group.any_sql(held.parts, "SELECT ?2 AS key"), single_fence.STANDS)
  local answer = procedures.sure(state.shards[index], "run", sql, { keyspace, text, state.shards[target].name,
    os.time(), held.tag, held.triggers, held.schema })
  if answer.meta.changes > 0 then return true end
  single_fence.hold(state, index, keyspace, true) -- it may be that which is not as it was
  return false
end

--- Notes, at the shard where a key would be looked for, that it is at another one from now on, unless it has rows here
-- or was sent on. Then a program that still would insert it here is refused.
---@param index integer the shard that decides, or to which its own rows lead
---@param target integer
---@return boolean? done nil where no fence can be; false: look again
function forward.send_ahead(state, index, target, keyspace, text)
  if state.shards[index].single then return send_single(state, index, target, keyspace, text) end
  local stale = false
  local done, answer = pcall(fence.step, state.shards[index], function(tx)
    stale = inspect.version(tx) ~= state.catalog.versions[index]
    if stale then return false end -- a table that was made meanwhile may have rows of the key
    local parts = group.parts(state.catalog, index, keyspace)
    fence.hold(state, tx, index, keyspace)
    return tx:run(AHEAD:format(group.any_sql(parts, "SELECT ?2 AS key"), "1"),
      { keyspace, text, state.shards[target].name, os.time() }).meta.changes == 1
  end)
  if stale then state:refresh_catalog() end
  if done then return answer end
  if errors.is_error(answer, "UNSUPPORTED") then return nil end
  error(answer, 0)
end

return forward
