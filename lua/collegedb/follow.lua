--- Mappings that another program has written to Workers KV: where the directory knows nothing of a key, they say where
-- it is, and become entries, so that all of our programs agree from then on.

local errors = require "collegedb.errors"
local probe = require "collegedb.probe"

local follow = {}

local function index_of(state, name, text)
  return state.by_name[name] or errors.raise("SHARD_NOT_FOUND", { shard = name, key = text },
    "Workers KV has the key %s on shard %s, which the config does not have", text, name)
end

-- What KV says is old, or of a shard that takes no keys any more: rows say more.
local function is_outdated(state, index, home, tag, keyspace, text)
  if state.epoch.drained[index] then return true end
  if not home or not probe.has_rows(state, home, tag, keyspace, text) then return false end
  state:emit("disagreement", ("Workers KV has the key %s on %s, and its rows are on %s"):format(text,
    state.shards[index].name, state.shards[home].name))
  return true
end

--- Where Workers KV has a key that has no entry.
---@param state table of lua/collegedb/state.lua
---@param full string keyspace, with its tag if it has one
---@param home integer? where the key would be without it
---@param insert boolean
---@return integer|false|nil id of the shard; nil: nowhere else than it would be, false: decide again
---@return boolean? adopted it has an entry now. A read adopts nothing that has no rows: it may be one of several names
--- of a key, by which no row is found
function follow.find(state, full, tag, keyspace, text, home, insert)
  local name = state.directory:ask(full, text)
  if not name then return nil end
  local index = index_of(state, name, text)
  if index == home then return nil end
  local there = probe.has_rows(state, index, tag, keyspace, text)
  if not there and is_outdated(state, index, home, tag, keyspace, text) then return nil end
  local id = state.shards[index].id
  if state.directory.foretold or not (there or insert) then return id, false end
  local winner = state.directory:adopt(full, text, id, state.epoch.number)
  return winner or false, true
end

return follow
