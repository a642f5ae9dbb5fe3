--- Mappings that another program has written to Workers KV: where the directory knows nothing of a key, they say where
-- it is, and become entries, so that all of our programs agree from then on.

local errors = require "collegedb.errors"
local probe = require "collegedb.probe"

local follow = {}

local CLOSED <const> = "SELECT 1 AS yes FROM _collegedb_shards WHERE name = ? AND drained = 2"

-- Nil: the shard was drained, and has nothing any more.
local function index_of(state, name, text)
  local index = state.by_name[name]
  if index or state.directory.shard:first(CLOSED, { name }) then return index end
  errors.raise("SHARD_NOT_FOUND", { shard = name, key = text },
    "Workers KV has the key %s on shard %s, which the config does not have", text, name)
end

-- What KV says is old, where rows of the key are elsewhere: at home, or where nobody has taken them over.
local function is_outdated(state, index, key)
  local places = table.move(state.epoch.probed, 1, #state.epoch.probed, #key.homes + 1, key.homes)
  local at = probe.each_place(state, places, key.tag, key.keyspace, key.text)()
  if at then
    state:emit("disagreement", ("Workers KV has the key %s on %s, and its rows are on %s"):format(key.text,
      state.shards[index].name, state.shards[at].name))
  end
  return at ~= nil
end

---@class collegedb.FollowedKey
---@field full string keyspace, with its tag if it has one
---@field tag string?
---@field keyspace string
---@field text string
---@field home integer? where it would be without a mapping
---@field homes integer[] where it is, or was, at home

--- Where Workers KV has a key that has no entry.
---@param state table of lua/collegedb/state.lua
---@param key collegedb.FollowedKey
---@param insert boolean
---@return integer|false|nil id of the shard; nil: nowhere else than it would be, false: decide again
---@return boolean? adopted it has an entry now. A read adopts nothing that has no rows: it may be one of several names
--- of a key, by which no row is found
function follow.find(state, key, insert)
  local directory, full, text = state.directory, key.full, key.text
  local name = directory:ask(full, text)
  if not name then return nil end
  local index = index_of(state, name, text)
  if index and index == key.home then return nil end
  state:refresh_catalog()
  local there = index and probe.has_rows(state, index, key.tag, key.keyspace, text)
  if not there and (not index or state.epoch.drained[index]) then
    if insert then directory:disregard(full, text, key.home and state.shards[key.home].id) end
    return nil
  end
  if not there and is_outdated(state, index, key) then return nil end
  local id = state.shards[index].id
  if directory.foretold or not (there or insert) then return id, false end
  return directory:adopt(full, text, id, state.epoch.number) or false, true
end

return follow
