--- Do the shards' names still point at the files that they pointed at? Checked at
-- open, on a few keys of each shard that counts as integrated, against where
-- these keys resolve. Nothing is stored for it, neither in the files nor in the directory.

local catalog = require "collegedb.catalog"
local core = require "collegedb.core"
local errors = require "collegedb.errors"
local forward = require "collegedb.forward"
local probe = require "collegedb.probe"
local quote = require "collegedb.quote"
local router = require "collegedb.router"

local identity = {}

local TABLES, KEYS = 4, 5 -- of a shard, and from either end of a table
local LATEST_TABLES, LATEST = 16, 3 -- of a shard, and of the rows that came last
local ENOUGH = 3          -- keys that speak against a name before it is refused

-- Adds the keys that a query gives, as { keyspace, text }, the keyspace without the shard's tag.
local function add_keys(list, shard, found, sql)
  for row in shard.inner:each(sql) do
    local text = found.fold and quote.fold(tostring(row.k)) or tostring(row.k)
    local usable = text ~= "" and #text <= core.key_max and math.type(row.k) ~= "float"
    if usable then list[#list + 1] = { keyspace = found.keyspace, text = text } end
  end
end

local function add_ends(list, shard, found)
  local column = quote.name(found.key_column)
  for _, direction in ipairs { "ASC", "DESC" } do
    add_keys(list, shard, found, ("SELECT %s AS k FROM %s WHERE %s IS NOT NULL ORDER BY %s %s LIMIT %d"):format(column,
      quote.name(found.name), column, column, direction, KEYS))
  end
end

-- The last rows that came: a directory that is older than its shards does not know them. A table without row
-- numbers can not tell which these are.
local function add_latest(list, shard, found)
  local column = quote.name(found.key_column)
  local done, err = pcall(add_keys, list, shard, found, ("SELECT %s AS k FROM %s WHERE %s IS NOT NULL "
    .. "ORDER BY rowid DESC LIMIT %d"):format(column, quote.name(found.name), column, LATEST))
  if not done and not errors.is_error(err, "SQL") then error(err, 0) end
end

-- Some keys of a shard.
local function samples(state, index)
  local list, tables = {}, {}
  for _, each in pairs(state.catalog.tables) do
    -- Without an index a look would be a scan.
    if each.shards[index] and each.unique and not each.group then tables[#tables + 1] = each end
  end
  table.sort(tables, function(a, b) return a.name < b.name end)
  for i, found in ipairs(tables) do
    if i <= TABLES then add_ends(list, state.shards[index], found) end
    if i <= LATEST_TABLES and found.kind ~= "integer" then add_latest(list, state.shards[index], found) end
  end
  return list
end

-- Does the other shard say itself that the key was sent here? Then a move is not over, or the entry not yet written.
local function was_sent(state, other, index, key)
  local at, told = forward.follow(state, other, key.keyspace, key.text)
  return told and at == index
end

-- Is the key still here, which it was before the directory was asked?
local function stays(state, index, tag, key) return probe.has(state, index, tag, key.keyspace, key.text) end

local function full_of(state, index, key)
  return catalog.tag(key.keyspace ~= "" and state.shards[index].keyspace or nil, key.keyspace)
end

-- Where the directory says that the key is: "here", "unknown" (nowhere else
-- either: its row would not be found), "entry" with the shard that an entry
-- names and that does not have it, or "elsewhere" with a row of its own.
local function verdict(state, index, key)
  local tag = key.keyspace ~= "" and state.shards[index].keyspace or nil
  local _, id = state.directory:lookup(full_of(state, index, key), key.text)
  if id then
    local other = state.epoch.index_of[id]
    if other == index then return "here" end
    if not other or probe.has(state, other, tag, key.keyspace, key.text) then return "elsewhere" end
    if was_sent(state, other, index, key) then return "here" end
    return stays(state, index, tag, key) and "entry" or "elsewhere", other
  end
  for _, home in ipairs(router.homes(state, tag, key.keyspace, key.text)) do
    if home == index then return "here" end
    if probe.has(state, home, tag, key.keyspace, key.text) then return "elsewhere" end
    if was_sent(state, home, index, key) then return "here" end
  end
  return stays(state, index, tag, key) and "unknown" or "elsewhere"
end

-- How many of a shard's keys would not be found, and how many the directory has on another shard, with that one.
local function judge(state, index, keys)
  local unknown, displaced, other, asked = 0, 0, nil, {}
  for i, key in ipairs(keys) do asked[i] = { keyspace = full_of(state, index, key), text = key.text } end
  state.directory:foreseeing(asked, function()
    for _, key in ipairs(keys) do
      local where, named = verdict(state, index, key)
      if where == "unknown" then unknown = unknown + 1 end
      if where == "entry" then displaced, other = displaced + 1, named end
    end
  end)
  return unknown, displaced, other
end

--- Looks at the shards. Raises CONFIG when a shard's file holds the keys that the
-- directory has on another one. Returns the indexes of shards with rows that
-- would not be found, because they were put there past the router, or because
-- the file came under another name: they are to be integrated again.
---@param state table of lua/collegedb/state.lua
---@return integer[]
function identity.check(state)
  local strangers = {}
  for index, shard in ipairs(state.shards) do
    if state.epoch.integrated[index] and not shard.external_writers then
      local keys = samples(state, index)
      local unknown, displaced, other = judge(state, index, keys)
      if displaced >= ENOUGH and displaced + unknown == #keys then
        errors.raise("CONFIG", { shard = shard.name },
          "the file of shard %s holds keys that the directory has on %s, where they are not: has each name its file?",
          shard.name, state.shards[other].name)
      end
      if unknown > 0 then strangers[#strangers + 1] = index end
    end
  end
  return strangers
end

return identity
