--- Where a key is that the mapping cache does not know: the directory, then
-- probing, then its home, or for an INSERT of the other strategies a claim.
-- Called from src/bind/route.c on a miss.

local allocate = require "collegedb.allocate"
local catalog = require "collegedb.catalog"
local epochs = require "collegedb.epochs"
local errors = require "collegedb.errors"
local follow = require "collegedb.follow"
local forward = require "collegedb.forward"
local members = require "collegedb.members"
local patience = require "collegedb.patience"
local probe = require "collegedb.probe"
local recovery = require "collegedb.recovery"

local router = {}

-- The numbers of WHY in src/bind/route.c.
local HOME, DIRECTORY, FOUND, CLAIMED, UNCLAIMED, ROOTED, ROOTED_ENTRY, OLD_HOME = 0, 1, 2, 3, 4, 5, 6, 7
router.FOUND, router.UNCLAIMED = FOUND, UNCLAIMED -- only a look at the shards told; the key has no place

-- A key is looked for again when the epoch changed under it: so often at once, and then so many seconds with pauses.
local AT_ONCE, PATIENCE = 4, 10

local function missing_shard(id, state)
  local name = state.directory:name_of(id) or ("number " .. id)
  local absent = state.absent[name]
  errors.raise("SHARD_NOT_FOUND", { shard = name }, "the key lives on shard %s, which %s", name,
    absent and "can not be opened: " .. absent or "the config does not have")
end

local function home_in(placement, tag, keyspace, text)
  local found = epochs.candidates(placement, tag, keyspace ~= "")
  if not found then return nil end
  local at = found.placement:place(catalog.tag(tag, keyspace), text)
  return at and found.nodes[at]
end

-- An integer without a tag, on tables that stand only on shards with a keyspace of their own.
local function refuse_untagged(state, keyspace, text)
  local names = {}
  for _, shard in ipairs(state.shards) do names[#names + 1] = shard.keyspace end
  errors.raise("USAGE", { key = text, table = keyspace },
    "%s %s could be of several shards, each with a keyspace of its own: write db:key(%q, %s, keyspace) with %s",
    keyspace, text, keyspace, text, table.concat(names, ", "))
end

local function all_tagged(state)
  for _, shard in ipairs(state.shards) do
    if not shard.keyspace then return false end
  end
  return true
end

---@class collegedb.Homes where a key would be by the placements alone
---@field home table? its node in the newest placement; nil of a strategy without homes
---@field old integer[] shards where earlier placements had it, the newest first, without its home
---@field gone integer? the id of an earlier one that the config does not have
---@field decider integer? where the placements differ: its shard in the oldest one, where it is unless it was sent on

---@return collegedb.Homes
local function homes_of(state, tag, keyspace, text)
  local placements = state.epoch.placements
  local homes = { home = home_in(placements[1], tag, keyspace, text), old = {} }
  local oldest
  for i = 2, #placements do
    local node = home_in(placements[i], tag, keyspace, text)
    if node then
      oldest = node
      if not (homes.home and node.id == homes.home.id) then
        if node.index then table.insert(homes.old, node.index) else homes.gone = node.id end
      end
    end
  end
  local differ = #homes.old > 0 or homes.gone
  if homes.home and differ and state.directory.keeps_journal then homes.decider = oldest.index end
  return homes
end

--- The shard that is the key's home in the newest placement; nil of a strategy without homes, or of one that is not
-- configured.
---@return integer? index
function router.home(state, tag, keyspace, text)
  local node = home_in(state.epoch.placements[1], tag, keyspace, text)
  return node and node.index
end

--- Where placements differ: the shard on which a key without an entry is, if it has rows there and was not sent on.
---@return integer? index
function router.decider(state, tag, keyspace, text) return homes_of(state, tag, keyspace, text).decider end

--- The shards that are or were the key's home, as indexes.
---@return integer[]
function router.homes(state, tag, keyspace, text)
  local homes = homes_of(state, tag, keyspace, text)
  if homes.home and homes.home.index then table.insert(homes.old, 1, homes.home.index) end
  return homes.old
end

-- A tagged string has no entry of its own: its shard is the one with the tag, or one of them.
local function add_tagged(state, places, tag)
  local tagged = {}
  for index, shard in ipairs(state.shards) do
    if shard.keyspace == tag then tagged[#tagged + 1] = index end
  end
  if #tagged > 1 then table.move(tagged, 1, #tagged, #places + 1, places) end
end

local function find(state, places, tag, keyspace, text)
  if #places == 0 then return nil end
  probe.prepare(state)
  return probe.each_place(state, places, tag, keyspace, text)()
end

-- A key of a strategy without homes.
local function place_new(state, full, tag, keyspace, text, name, insert)
  local key = { tag = tag, keyspace = keyspace, text = text, table = name }
  if not insert then return allocate.select(state, key), UNCLAIMED, false end
  return allocate.give(state, full, key), CLAIMED, true
end

-- A key that decides no shard: where its row is, or for a read anywhere.
local function resolve_member(state, tag, keyspace, text, name, insert)
  local index = members.find(state, tag, keyspace, text)
  if index then return index, FOUND, true end
  if insert then members.refuse_unknown(state, keyspace, text, name) end
  return members.anywhere(state, tag, keyspace), UNCLAIMED, false
end

-- A key of the global keyspace, in a statement of a table that follows another: one
-- of the group, if rows of it are where the group would be, or else a row's own.
---@param place integer? the shard of its entry, or its home
---@param text string the key as the group's, `own` as a row's own
---@return integer? index, boolean? rooted rows of the group are there
local function resolve_either(state, place, tag, text, own, name, insert)
  local at, told = nil, false
  if place then at, told = forward.follow(state, place, "", text) end
  if told or (at and probe.has(state, at, tag, "", text)) then return at, true end
  local index = members.find(state, tag, "", own)
  if index then return index, false end
  if not insert then return nil end
  -- The group may have left between the looks at its own row and at its rows.
  if at then
    at, told = forward.follow(state, at, "", text)
    if told then return at, true end
  end
  members.refuse_unknown(state, "", own, name)
end

-- A key that has an entry. Without rows of the group the entry says nothing of a row's own key: it may be left over
-- from a group that is gone, or from before the table followed another.
local function resolve_entry(state, id, tag, keyspace, text, own, name, insert)
  local index = state.epoch.index_of[id]
  if members.may_be(state, keyspace, name) then
    local found, rooted = resolve_either(state, index, tag, text, own, name, insert)
    if found then return found, rooted and ROOTED_ENTRY or FOUND, true end
  end
  if not index then missing_shard(id, state) end
  return index, DIRECTORY, true
end

-- An INSERT of a key that is nowhere: its home, or another shard when that is full. Where earlier placements would look
-- for it, `at`, is noted that it is there. Nil: decide again.
---@param at integer?
local function place_at_home(state, full, tag, keyspace, text, homes, at, looked)
  local index, claimed = homes.home.index, state.config.directory == "full"
  if allocate.is_full(state, index) then
    local nodes = epochs.candidates(state.epoch.placements[1], tag, keyspace ~= "").nodes
    index, claimed = allocate.next_home(state, nodes, full, text), true
  end
  local sent = not at or at == index or forward.send_ahead(state, at, index, keyspace, text)
  if sent == false then return nil end
  -- Where only a look at the shards told that the key is new, two processes could see different things: an INSERT
  -- then makes it certain.
  if claimed or #state.epoch.probed > 0 or (looked and not (sent and at)) then
    return allocate.claim(state, full, text, state.shards[index]), CLAIMED, true
  end
  return index, HOME, true
end

-- A move gives its key an entry before the rows go where it was: a key that was on none of the shards, one looked at
-- after the other, may have moved meanwhile.
local function has_entry_now(state, full, text)
  local number, id = state.directory:lookup(full, text)
  return id ~= nil or number ~= state.epoch.number
end

-- A key without an entry, of a keyspace that decides shards.
local function resolve_home(state, full, tag, keyspace, text, own, name, insert)
  local may_be = members.may_be(state, keyspace, name)
  local homes = homes_of(state, tag, keyspace, text)
  local home, decider = homes.home, homes.decider
  if decider then
    local at, told, void = forward.follow(state, decider, keyspace, text)
    if void and insert then
      forward.revive(state, void, keyspace, text)
      return nil
    end
    -- Without rows it goes home: when the earlier placements are dropped, nobody looks for it elsewhere.
    if told and insert and at ~= home.index and not probe.has_rows(state, at, tag, keyspace, text) then
      return place_at_home(state, full, tag, keyspace, text, homes, at, true)
    end
    if told then return at, may_be and FOUND or at == home.index and HOME or OLD_HOME, not may_be end
  end
  local places = probe.where(state, home and home.index, homes.old, homes.gone)
  if decider then table.insert(places, 1, decider) end -- of two rows its row stands, as before the newer placement
  if tag and keyspace == "" then add_tagged(state, places, tag) end
  local found, rooted = find(state, places, tag, keyspace, text), false
  -- It may have left between the looks at its own row and at its rows.
  if decider and not found and select(2, forward.follow(state, decider, keyspace, text)) then return nil end
  if #places > 0 and not found and has_entry_now(state, full, text) then return nil end
  if not found and may_be then
    found, rooted = resolve_either(state, home and home.index, tag, text, own, name, insert)
    if found and not rooted then return found, FOUND, true end
  end
  if homes.gone and not found then missing_shard(homes.gone, state) end
  if not home and not found then return place_new(state, full, tag, keyspace, text, name, insert) end
  if not found and not home.index then missing_shard(home.id, state) end
  if insert and not found then return place_at_home(state, full, tag, keyspace, text, homes, decider, #places > 0) end
  local index = found or home.index
  -- Where rows were seen, an INSERT makes it certain that others see them too, unless they ask the same shard.
  if insert and index ~= decider and (#places > 0 or state.config.directory == "full") then
    return allocate.claim(state, full, text, state.shards[index]), CLAIMED, true
  end
  -- Neither a place where a row was merely found is kept, since it may be deleted and inserted elsewhere, nor that
  -- a key was found nowhere, since a file that others write may have it next.
  local at_home = home and index == home.index
  if rooted and at_home then return index, ROOTED, true end
  if index == decider and not at_home and not may_be then return index, OLD_HOME, true end
  return index, at_home and HOME or FOUND, at_home and (found ~= nil or #places == 0)
end

-- `own` is the key as it was given, `text` as the root of its table has it.
local function resolve_once(state, full, tag, keyspace, own, name, insert)
  if state.scripts_due then state:follow_scripts() end
  -- Others may have made tables meanwhile, or changed which follows which.
  if members.may_be(state, keyspace, name) then state:refresh_catalog() end
  local text = members.root_text(state, keyspace, own, name)
  local number, id = state.directory:lookup(full, text)
  if number ~= state.epoch.number then
    -- What was not found in one epoch says nothing in the next: look again.
    state:read_epoch()
    return nil
  end
  if members.fill(state, keyspace) then return resolve_member(state, tag, keyspace, text, name, insert) end
  if id then return resolve_entry(state, id, tag, keyspace, text, own, name, insert) end
  local known, adopted
  if state.directory.ask then
    known, adopted = follow.find(state, { full = full, tag = tag, keyspace = keyspace, text = text,
      home = router.home(state, tag, keyspace, text), homes = router.homes(state, tag, keyspace, text) }, insert)
  end
  if known == false then return nil end
  if known then
    local index, why = resolve_entry(state, known, tag, keyspace, text, own, name, insert)
    return index, adopted and why or FOUND, true
  end
  return resolve_home(state, full, tag, keyspace, text, own, name, insert)
end

-- Whether a move is what holds a key up that was looked for in vain for a while. Raises MOVING when that is too long.
local function look_for_move(state, keyspace, text, waiting)
  local holder = recovery.holder(state, keyspace, text)
  if holder and waiting:waited() >= state.config.move_deadline * 1000 then
    recovery.raise_moving(state, holder, text)
  end
end

--- Finds the shard of a key.
---@param state table of lua/collegedb/state.lua
---@param full string keyspace, with its tag if it has one
---@param text string the canonical key
---@param name string? the statement's main table
---@param insert boolean the statement is an INSERT: the key may be given a place
---@return integer index of the shard, integer why, boolean keep in the cache
function router.resolve(state, full, text, name, insert)
  local tag, keyspace = catalog.untag(full)
  if not tag and keyspace ~= "" and all_tagged(state) then refuse_untagged(state, keyspace, text) end
  local tries, waiting = 0, nil
  repeat
    local index, why, keep = resolve_once(state, full, tag, keyspace, text, name, insert)
    if index then
      -- The cache keeps it for the key as it was given, which may stand for a row's own, but for no other group.
      keep = keep and state.directory:lasts()
      return index, why, keep and (why == FOUND or members.root_text(state, keyspace, text, name) == text)
    end
    tries = tries + 1
    if tries == AT_ONCE then waiting = patience.new(PATIENCE) end
    if waiting and waiting:is_long() then look_for_move(state, keyspace, text, waiting) end
  until waiting and not waiting:wait()
  errors.raise("BUSY", { key = text }, "the shards change faster than the key %s can be placed", text)
end

-- Without keyspaces an integer is one key in all tables: one of those where it may also be a row's own inside a group.
local function any_integer_table(state)
  local inside, others = {}, {}
  for _, each in pairs(state.catalog.tables) do
    local list = each.text_member and inside or others
    if each.kind == "integer" then list[#list + 1] = each.name end
  end
  table.sort(inside)
  table.sort(others)
  return inside[1] or others[1]
end

-- The one table with integer keys, or nil without any. Those that refer to its keys do not count.
local function only_integer_table(state)
  if state.catalog.bare then return any_integer_table(state) end
  local by_keyspace, names = {}, {}
  for _, each in pairs(state.catalog.tables) do
    local known = by_keyspace[each.keyspace]
    if each.kind == "integer" and not (known and each.refers) then by_keyspace[each.keyspace] = each.name end
  end
  for _, name in pairs(by_keyspace) do names[#names + 1] = name end
  table.sort(names)
  if #names < 2 then return names[1] end
  errors.raise("USAGE", nil, "an integer key could be of %s or of %s: write db:key(table, id)", names[1], names[2])
end

--- What the catalog says of a table: kind of key, keyspace of integer keys, whether strings compare NOCASE, and
-- whether an integer, and a string, may be the key of a row inside a group. Of one that it does not know, such as a
-- view, the last alone. Without a name, the name of the only table with integer keys.
---@param state table
---@param name string?
function router.describe(state, name)
  if not name then return only_integer_table(state) end
  local found = state:table(name)
  if not found then return nil, nil, nil, nil, state.catalog.text_members end
  return found.kind == "blob" and "text" or found.kind, found.keyspace, found.fold_text,
    members.fill(state, found.keyspace), found.text_member
end

return router
