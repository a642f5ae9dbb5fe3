--- A directory that is lost, or older than its shards, since a backup of it was put back: the shards' own rows say
-- which keys have moved where, and under which number. Entries that are missing otherwise are found by probing.

local catalog = require "collegedb.catalog"
local epochs = require "collegedb.epochs"
local fence = require "collegedb.fence"
local moves = require "collegedb.moves"
local router = require "collegedb.router"

local mend = {}

local PAGE <const> = 1000

-- Of a key that went the row that stayed says where; where both are there both say the same, and the highest floor
-- wins.
local OWN <const> = [[SELECT keyspace, key, state, move, floor, peer, at FROM _collegedb_own
  WHERE (keyspace, key) > (?1, ?2) AND floor > 0 AND state IN ('active', 'tomb') AND instr(keyspace, char(1)) = 0
  ORDER BY keyspace, key LIMIT ]] .. PAGE

-- Not where the key's home says the same, and the directory nothing else.
local function needs_entry(state, owner, each)
  local tag, keyspace = catalog.untag(each.keyspace)
  local homes = router.homes(state, tag, keyspace, each.text)
  if #homes ~= 1 or state.shards[homes[1]] ~= owner then return true end
  local _, id = state.directory:lookup(each.keyspace, each.text)
  return id ~= nil and id ~= owner.id
end

-- The entries that a page of a shard's own rows tells, and the page's last row.
local function page_of(state, shard, last)
  local list, row_count = {}, 0
  for row in shard.inner:each(OWN, { last.keyspace, last.key }) do
    fence.own_checked(row)
    local owner = row.state == "active" and shard or state.shards[state.by_name[row.peer]]
    if owner then
      local full = catalog.tag(row.keyspace ~= "" and owner.keyspace or nil, row.keyspace)
      local each = { keyspace = full, text = row.key, id = owner.id, version = row.floor }
      if needs_entry(state, owner, each) then list[#list + 1] = each end
    end
    last, row_count = row, row_count + 1
  end
  return list, row_count == PAGE and last or nil
end

local function publish(state, shard)
  local last = { keyspace = "", key = "" }
  repeat
    local list
    list, last = fence.reading(page_of, state, shard, last)
    if list and #list > 0 then state.directory:publish_all(list) end
  until not last
end

--- Is the directory older than moves that the shards know of? At open: one look into each shard that has a fence.
---@param state table of lua/collegedb/state.lua
---@return boolean mended
function mend.run(state)
  local counted, seen = moves.numbers(state)
  if seen <= counted then return false end
  state:emit("old_directory", ("the directory %s knows of %d moves and the shards of %d: it is lost, or an older one "
    .. "was put back; it learns from the shards where keys are"):format(state.directory.path, counted, seen))
  for _, shard in ipairs(state.shards) do
    if fence.is_up(shard.inner) then publish(state, shard) end
  end
  -- What else it does not know, such as keys that were inserted since, only a look at all rows can tell.
  epochs.distrust(state.directory, state.shards)
  moves.raise(state.directory, seen) -- the last, so that whoever opens after a crash begins again
  state:read_epoch()
  return true
end

return mend
