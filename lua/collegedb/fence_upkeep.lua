--- Brings the fences of a shard in line with its tables. One around a table that was dropped since would end every step
-- of every move there, whatever keyspace it is of: SQLite looks at all triggers of `_collegedb_open`.

local errors = require "collegedb.errors"
local fence = require "collegedb.fence"
local group = require "collegedb.group"
local inspect = require "collegedb.inspect"
local single_fence = require "collegedb.single_fence"

local upkeep = {}

-- What can not be done now is not in the way of others: moves of the keyspace are under way, or no fence can hold it.
local function try(f, ...)
  local done, err = pcall(f, ...)
  local later = errors.is_error(err, "CONFLICT") or errors.is_error(err, "UNSUPPORTED")
  if not done and not later then error(err, 0) end
end

local function is_gone(state, index, keyspace) return #group.parts(state.catalog, index, keyspace) == 0 end

local READ <const> = "SELECT keyspace, text FROM _collegedb_fence"

local function keep_single(state, index)
  local inner = state.shards[index].inner
  for _, row in ipairs(fence.reading(inner.all, inner, READ) or {}) do
    if not is_gone(state, index, row.keyspace) then try(single_fence.hold, state, index, row.keyspace)
    else single_fence.remove(state, index, row) end
  end
end

local function keep_file(state, index)
  local shard = state.shards[index]
  if not fence.is_up(shard.inner) then return end
  fence.step(shard, function(tx)
    if not fence.is_up(tx) or inspect.version(tx) ~= state.catalog.versions[index] then return end
    for _, row in ipairs(tx:all(READ)) do
      if not is_gone(state, index, row.keyspace) then try(fence.hold, state, tx, index, row.keyspace)
      else fence.remove_of(tx, row.keyspace) end
    end
  end)
end

--- Once for each state of the catalog, which was just refreshed.
---@param state table of lua/collegedb/state.lua
---@param index integer
function upkeep.run(state, index)
  local known = state.catalog
  known.kept_up = known.kept_up or {}
  if known.kept_up[index] then return end
  if state.shards[index].single then keep_single(state, index) else keep_file(state, index) end
  known.kept_up[index] = true
end

return upkeep
