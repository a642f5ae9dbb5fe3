--- Looking a key up in the shards themselves: where existing data has not been
-- taken over yet, where other programs write, and where an earlier placement
-- had its home.

local catalog = require "collegedb.catalog"
local core = require "collegedb.core"
local fence = require "collegedb.fence"
local forward = require "collegedb.forward"
local group = require "collegedb.group"
local inspect = require "collegedb.inspect"

local probe = {}

local function sql_for(state, index, keyspace, what)
  local cache = state.probe_sql[what or "keys"]
  cache[index] = cache[index] or {}
  local sql = cache[index][keyspace]
  if sql == nil then
    sql = catalog.probe_sql(catalog.in_keyspace(state.catalog, index, keyspace, what)) or false
    cache[index][keyspace] = sql
  end
  return sql
end

--- Brings the catalog up to date where others may have made tables meanwhile.
function probe.prepare(state)
  for _, index in ipairs(state.epoch.probed) do
    local inner = state.shards[index].inner
    -- Whether one that is far away was looked at lately is known where the catalog is looked after.
    if core.kind(inner) == "d1" or state.catalog.versions[index] ~= inspect.version(inner) then
      return state:refresh_catalog()
    end
  end
end

-- What asks shard `index` for rows with this key, and with which value; nil where it can have none.
local function question(state, index, tag, keyspace, text, what)
  if (tag or keyspace ~= "") and state.shards[index].keyspace ~= tag then return nil end
  local sql = sql_for(state, index, keyspace, what)
  if sql then return sql, { catalog.key_value(keyspace, text) } end
end

--- Has shard `index` a row with this key, whatever its own rows say of it?
function probe.has_rows(state, index, tag, keyspace, text, what)
  local sql, params = question(state, index, tag, keyspace, text, what)
  return sql and state.shards[index].inner:first(sql, params) ~= nil or false
end

-- The answers of shards that are far away, which are asked at once: by index.
local function ask_far(state, places, tag, keyspace, text, what)
  local calls, at, answers = {}, {}, {}
  for _, index in ipairs(places) do
    local inner = state.shards[index].inner
    local sql, params
    if core.kind(inner) == "d1" then sql, params = question(state, index, tag, keyspace, text, what) end
    if sql then calls[#calls + 1], at[#calls + 1] = { inner, sql, params }, index end
  end
  if #calls < 2 then return answers end -- it is as well asked when it is its turn
  local rows, failed = core.together(calls, "first")
  for i, index in ipairs(at) do
    if failed[i] then error(failed[i], 0) end
    answers[index] = rows[i] and true or false
  end
  return answers
end

--- Where a key is that has rows on shard `index`, or nil if it has none there. That is another shard when the rows
-- were sent there and are not yet cleared here.
---@param tag string? the keyspace's tag; only the shards that carry it have such keys
---@param keyspace string without the tag
---@param text string
---@param what "rows"|"parts"|nil as of catalog.in_keyspace
---@param known boolean? that it has rows, or has none, is known
---@return integer?
function probe.place(state, index, tag, keyspace, text, what, known)
  if known == nil then known = probe.has_rows(state, index, tag, keyspace, text, what) end
  if not known then return nil end
  if not state.shards[index].single and not fence.is_up(state.shards[index].inner) then return index end
  if what then keyspace, text = group.of_row(state, index, keyspace, text) end
  return text and forward.follow(state, index, keyspace, text) or index
end

--- The places of a key by what each of some shards has, in their order, as an iterator of place.
---@param places integer[]
function probe.each_place(state, places, tag, keyspace, text, what)
  local known, i = ask_far(state, places, tag, keyspace, text, what), 0
  return function()
    while i < #places do
      i = i + 1
      local at = probe.place(state, places[i], tag, keyspace, text, what, known[places[i]])
      if at then return at end
    end
  end
end

--- Has shard `index` a row with this key in a table of the keyspace, one that was not sent away?
function probe.has(state, index, tag, keyspace, text, what)
  return probe.place(state, index, tag, keyspace, text, what) == index
end

local function add(list, seen, index)
  if index and not seen[index] then
    seen[index] = true
    list[#list + 1] = index
  end
end

--- The shards to look at for a key without an entry; none when its home alone
-- decides. Of two rows with one key the first stands: the one on a home that
-- is taken over already, then the one where it was at home before, then the
-- one on the shard that the config names first.
---@param home integer? index of the key's home
---@param old_homes integer[] where earlier placements had it
---@param gone integer? an earlier home that is not there to be asked
---@return integer[]
function probe.where(state, home, old_homes, gone)
  local list, seen = {}, {}
  local probed = state.epoch.probed
  if #probed == 0 and #old_homes == 0 and not gone then return list end
  if home and not state.epoch.awaits[home] then add(list, seen, home) end
  for _, index in ipairs(old_homes) do add(list, seen, index) end
  for _, index in ipairs(probed) do add(list, seen, index) end
  if #list == 1 and list[1] == home and not gone then return {} end
  return list
end

return probe
