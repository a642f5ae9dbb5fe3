--- Rows of a group that are asked for by their own key: an order by its number,
-- where the user's name decides the shard. No entry says where such a row is, and
-- a move of its group would make one wrong; so the shards are asked.

local catalog = require "collegedb.catalog"
local errors = require "collegedb.errors"
local moves = require "collegedb.moves"
local probe = require "collegedb.probe"
local quote = require "collegedb.quote"

local members = {}

local LOOKS <const> = 5 -- while moves begin and end in between

--- May a key of this keyspace, in a statement of this table, be a row's own?
---@param state table of lua/collegedb/state.lua
---@param keyspace string without its tag
---@param name string? the statement's main table
function members.may_be(state, keyspace, name)
  if keyspace ~= "" then return members.fill(state, keyspace) end
  local found = name and state.catalog.tables[quote.fold(name)]
  if not found then return state.catalog.text_members end -- a view, WITH, or no statement: it may be about any table
  return found.text_member
end

--- A string as the root of the statement's table has it, where that compares NOCASE and a row's own key does not.
---@param name string? the statement's main table; without one that is known, as all roots have it
function members.root_text(state, keyspace, text, name)
  if keyspace ~= "" then return text end
  local found = name and state.catalog.tables[quote.fold(name)]
  if not found then return state.catalog.fold_roots and quote.fold(text) or text end
  if not found.text_member or found.fold_text then return text end
  local root = state.catalog.tables[quote.fold(found.group.root)]
  return root and root.fold and quote.fold(text) or text
end

--- Do all keys of this keyspace belong to rows inside a group, so that none decides a shard?
function members.fill(state, keyspace) return state.catalog.members[keyspace] == true end

-- The table whose own keys are of the keyspace, or else one that refers to them.
local function owner(state, keyspace)
  local found
  for _, each in pairs(state.catalog.tables) do
    if each.member and each.keyspace == keyspace and not (found and each.refers) then found = each end
  end
  return found
end

--- Raises USAGE: a row is to be inserted under a key that nobody knows. A string is let pass where it may also be
-- the key of a new group: no statement tells, or it is not about a table that follows another.
---@param name string? the table
function members.refuse_unknown(state, keyspace, text, name)
  local found = name and state.catalog.tables[quote.fold(name)]
  if keyspace == "" and not found then return end
  if not found or not found.group then found = owner(state, keyspace) end
  errors.raise("USAGE", { key = text, table = found.name },
    "rows of %s are where their %s are, and no row there has the key %s: insert under the key of %s, db:key(%q, …)",
    found.name, found.group.parent, text, found.group.root, found.group.root)
end

--- A shard that has tables with such keys: where a key is asked for that is nowhere.
---@return integer index
function members.anywhere(state, tag, keyspace)
  for index, shard in ipairs(state.shards) do
    if shard.keyspace == tag and #catalog.in_keyspace(state.catalog, index, keyspace, "rows") > 0 then return index end
  end
  return 1
end

-- The shard that has it, and a second one if there is one.
local function find(state, tag, keyspace, text, what)
  local first, all = nil, {}
  for index = 1, #state.shards do all[index] = index end
  for at in probe.each_place(state, all, tag, keyspace, text, what) do
    if first and at ~= first then return first, at end
    first = first or at
  end
  return first
end

--- The shard that has the row; or rows that refer to it, where it is missing. Raises CONFLICT when two have one.
---@return integer? index
function members.find(state, tag, keyspace, text)
  local first, second
  for _ = 1, LOOKS do
    local before = moves.stamp(state.directory)
    first, second = find(state, tag, keyspace, text, "rows")
    if not first then first, second = find(state, tag, keyspace, text, "parts") end
    -- One that moves meanwhile may be seen on none of the shards, or on two.
    if (first and not second) or moves.stamp(state.directory) == before then break end
  end
  if not second then return first end
  errors.raise("CONFLICT", { key = text, shard = state.shards[first].name },
    "%s and %s both have a row with the key %s: use the key of its group, or give the shards a keyspace each",
    state.shards[first].name, state.shards[second].name, text)
end

return members
