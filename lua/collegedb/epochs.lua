--- Epochs: the numbered state of shard set, placement and integration, kept in
-- the directory. A process that meets a newer number reads it anew before it
-- decides anything.
--
-- A placement is the shards and weights by which keys get their homes. A new one does not move keys: those before it
-- stay, as retiring ones, until no key is where only they would look for it (lua/collegedb/growing.lua).

local core = require "collegedb.core"
local errors = require "collegedb.errors"

local epochs = {}

-- SQLite holds anything in any column.
local function corrupt(name, field, value)
  errors.raise("CORRUPT", { shard = tostring(name) }, "the directory has %q as the %s of shard %s", tostring(value),
    field, tostring(name))
end

local function checked(row, ...)
  for _, field in ipairs { ... } do
    if math.type(row[field]) ~= "integer" then corrupt(row.name, field, row[field]) end
  end
  return row
end

local function known_shard(shard, name)
  local row = shard:first("SELECT id, name, keyspace, integrated, drained, settings FROM _collegedb_shards "
    .. "WHERE name = ?", { name })
  return row and checked(row, "integrated", "drained")
end

local function register(dir, tx, shards)
  local changed = false
  for _, shard in ipairs(shards) do
    local row = known_shard(tx, shard.name)
    if not row then
      -- A file that is empty now has nothing to take over; one with rows is probed until it is integrated.
      shard.id = tx:run("INSERT INTO _collegedb_shards (name, keyspace, integrated) VALUES (?, ?, ?)",
        { shard.name, shard.keyspace or core.null, not shard.external_writers and shard:is_empty() }).meta.last_row_id
      changed = true
    else
      shard.id = row.id
      if row.keyspace ~= shard.keyspace then
        -- Its keys have other names now: what was taken over under the old ones is taken over again.
        tx:run("UPDATE _collegedb_shards SET keyspace = ?, integrated = 0, conflicts = 0 WHERE id = ?",
          { shard.keyspace or core.null, shard.id })
        dir:void(tx, shard.id)
        changed = true
      elseif shard.external_writers and row.integrated == 1 then
        -- What others write now must be found also when they have ceased.
        tx:run("UPDATE _collegedb_shards SET integrated = 0 WHERE id = ?", { shard.id })
        changed = true
      end
    end
  end
  return changed
end

local function wanted_homes(dir_shard, shards)
  local homes = {}
  for _, shard in ipairs(shards) do
    local row = known_shard(dir_shard, shard.name)
    if shard.allocate and not (row and row.drained > 0) then
      homes[#homes + 1] = { shard = shard.id, weight = shard.weight, keyspace = shard.keyspace, name = shard.name }
    end
  end
  return homes
end

-- By name, so that it can be compared before new shards have an id.
local function homes_text(homes)
  local parts = {}
  for i, home in ipairs(homes) do
    parts[i] = ("%q:%.17g:%s"):format(home.name, home.weight, home.keyspace or "")
  end
  table.sort(parts)
  return table.concat(parts, "\n")
end

local function read_homes(shard, number)
  local homes = shard:all([[SELECT h.shard, h.weight, h.keyspace, s.name FROM _collegedb_homes AS h
    JOIN _collegedb_shards AS s ON s.id = h.shard WHERE h.placement = ? ORDER BY h.shard]], { number })
  for _, home in ipairs(homes) do
    local weight = home.weight
    if math.type(weight) == nil or not (weight > 0 and weight < math.huge) then corrupt(home.name, "weight", weight) end
  end
  return homes
end

local function current_placement(shard)
  return shard:first "SELECT number, family FROM _collegedb_placements ORDER BY number DESC LIMIT 1"
end

local function same_placement(shard, now, family, homes)
  return now.family == family
    and (family ~= "hash" or homes_text(read_homes(shard, now.number)) == homes_text(homes))
end

local function add_placement(tx, family, homes)
  local number = tx:run("INSERT INTO _collegedb_placements (family) VALUES (?)", { family }).meta.last_row_id
  for _, home in ipairs(homes) do
    tx:run("INSERT INTO _collegedb_homes VALUES (?, ?, ?, ?)",
      { number, home.shard, home.weight, home.keyspace or core.null })
  end
end

--- Are keys placed by other shards, weights or another strategy now than the config has?
---@param shard userdata the directory's tables
---@param shards table[] of the config
---@param family "hash"|"claims"
---@return boolean
function epochs.differs(shard, shards, family)
  local now = current_placement(shard)
  return now ~= nil and not same_placement(shard, now, family, family == "hash" and wanted_homes(shard, shards) or {})
end

-- What a process that does not know of it could do wrong: place a key by the old
-- homes or keyspaces, or overlook the rows of a shard that it does not have.
local function needs_alone(shard, shards, family)
  local now = current_placement(shard)
  if not now then return false end
  if not same_placement(shard, now, family, family == "hash" and wanted_homes(shard, shards) or {}) then return true end
  for _, each in ipairs(shards) do
    local row = known_shard(shard, each.name)
    if row and row.keyspace ~= each.keyspace then return true end
    if not row and each.handle and not each:is_empty() then return true end
  end
  return false
end

-- Is it another weight, or a shard that gets no more keys, or one whose adding was not brought to its end? All programs
-- know these shards, so it can be done while they run, behind a fence.
local function can_wait(shard, shards, family)
  local now = current_placement(shard)
  if now.family ~= family or family ~= "hash" then return false end
  local names, configured = {}, {}
  for _, home in ipairs(read_homes(shard, now.number)) do names[home.name] = home end
  for _, each in ipairs(shards) do
    local row = known_shard(shard, each.name)
    if not row or row.keyspace ~= each.keyspace then return false end
    configured[each.name] = true
  end
  for name in pairs(names) do
    if not configured[name] then return false end
  end
  for _, home in ipairs(wanted_homes(shard, shards)) do
    if not names[home.name] and not known_shard(shard, home.name).settings then return false end
  end
  return true
end

local function place(dir, shards, family, alone)
  local refused = false
  dir:change(function(tx)
    local homes = family == "hash" and wanted_homes(tx, shards) or {}
    local now = current_placement(tx)
    if now and same_placement(tx, now, family, homes) then return false end
    refused = now ~= nil and not alone
    if not refused then add_placement(tx, family, homes) end
    return not refused
  end)
  return not refused
end

--- Brings the directory's record in line with the config: registers new shards,
-- and starts a new placement when shards, weights or the strategy's family
-- changed. Keys of the placements before stay where they are and are found by
-- probing. What another instance must not overlook changes only while none is
-- open: one that still thinks in the old placement could insert a key a second time.
-- The placement comes last, so that an open that fails before leaves none behind.
---@param dir table the directory
---@param shards table[] with name, weight, keyspace, allocate, is_empty; their id is filled in
---@param family "hash"|"claims"
---@param make fun() makes the files that are not there yet
---@param welcome fun() gives new shards, registered by then, their tables
---@return boolean later others have it open, and the placement of the config is still to be made: epochs.follow_config
function epochs.reconcile(dir, shards, family, make, welcome)
  local placed = false
  local function settle(alone)
    make()
    dir:change(function(tx) return register(dir, tx, shards) end)
    welcome()
    placed = place(dir, shards, family, alone)
  end
  if not needs_alone(dir.shard, shards, family) then settle(false)
  elseif not dir:alone(function() settle(true) end) and can_wait(dir.shard, shards, family) then
    settle(false)
    return true
  end
  if not placed then
    errors.raise("BUSY", { field = "shards" }, "the shards, weights, keyspaces or strategy of the config are not those "
      .. "that the directory %s was opened with, and another program has it open: close that one first (db:add_shard "
      .. "and db:drain need not)", dir.path)
  end
  return false
end

--- Makes the next placement, of the homes that `edit` makes of the present ones; false when that is not the newest any
-- more. Of a strategy without homes only the epoch is a new one.
---@param dir table the directory
---@param number integer the present placement
---@param edit fun(homes: table[], tx: userdata) homes are { shard, weight, keyspace, name }
---@return boolean done
function epochs.replace(dir, number, edit)
  return dir:change(function(tx)
    local now = current_placement(tx)
    if now.number ~= number then return false end
    local homes = read_homes(tx, number)
    edit(homes, tx)
    if now.family == "hash" then add_placement(tx, now.family, homes) end
    return true
  end)
end

--- Makes the placement that a config wishes for; false when it is not `number` any more that it would follow.
---@param shards table[] of the config
function epochs.follow_config(dir, number, shards)
  return epochs.replace(dir, number, function(homes, tx)
    local wanted = wanted_homes(tx, shards)
    for i = 1, math.max(#homes, #wanted) do homes[i] = wanted[i] end
  end)
end

--- Registers a shard that is added while programs run, as one that takes no keys yet.
---@param settings string|nil the shard table as JSON, for the other programs
function epochs.enroll(dir, shard, settings)
  dir:change(function(tx)
    register(dir, tx, { shard })
    tx:run("UPDATE _collegedb_shards SET settings = ?, drained = max(drained, 1) WHERE id = ?",
      { settings or core.null, shard.id })
    return true
  end)
end

--- Drops the placements before the newest one, if that still is `number`.
function epochs.retire(dir, number)
  return dir:change(function(tx)
    if current_placement(tx).number ~= number then return false end
    tx:run("DELETE FROM _collegedb_homes WHERE placement < ?", { number })
    return tx:run("DELETE FROM _collegedb_placements WHERE number < ?", { number }).meta.changes > 0
  end)
end

local function by_keyspace(homes, index_of)
  local nodes, indexes, untagged, tagged = {}, {}, {}, {}
  for _, home in ipairs(homes) do
    local node = { name = home.name, weight = home.weight, index = index_of[home.shard], id = home.shard }
    nodes[#nodes + 1] = node
    local list = untagged
    if home.keyspace then
      tagged[home.keyspace] = tagged[home.keyspace] or {}
      list = tagged[home.keyspace]
    end
    list[#list + 1] = node
  end
  local function placement(list) return { nodes = list, placement = core.placement(list) } end
  for tag, list in pairs(tagged) do indexes[tag] = placement(list) end
  return { all = placement(nodes), untagged = placement(untagged), tagged = indexes }
end

local function read_flags(dir, shards, record)
  local rows = {}
  for row in dir.shard:each "SELECT id, name, integrated, conflicts, generation, drained FROM _collegedb_shards" do
    rows[row.id] = checked(row, "integrated", "conflicts", "generation", "drained")
  end
  for index, shard in ipairs(shards) do
    local row = rows[shard.id]
    record.index_of[shard.id] = index
    record.integrated[index] = row.integrated == 1
    record.conflicts[index] = row.conflicts
    record.generations[index] = row.generation
    record.drained[index], record.sealed[index] = row.drained > 0, row.drained == 2
    record.awaits[index] = not record.integrated[index]
    if shard.external_writers or record.awaits[index] then record.probed[#record.probed + 1] = index end
  end
end

local function read_placements(dir, record)
  for _, row in ipairs(dir.shard:all "SELECT number, family FROM _collegedb_placements ORDER BY number DESC") do
    if #record.placements == 0 then record.placement = row.number end
    record.oldest = row.number
    record.placements[#record.placements + 1] = row.family == "hash"
      and by_keyspace(read_homes(dir.shard, row.number), record.index_of) or { claims = true }
  end
end

--- Reads the current epoch: its number, which shards still need probing, and the placements, newest first.
---@param dir table the directory
---@param shards table[] the configured shards, with ids
function epochs.read(dir, shards)
  for tries = 1, 100 do
    local number = dir:epoch()
    local record = {
      number = number, placements = {}, index_of = {},
      integrated = {}, conflicts = {}, generations = {}, -- by shard index, as the directory has them
      placement = 0, oldest = 0,       -- numbers of the newest and the oldest one
      drained = {},                    -- by shard index: it is to become empty, and gets no new keys
      sealed = {},                     -- by shard index: it is, and takes no rows
      awaits = {},                     -- by shard index: existing data is still to be taken over
      probed = {},                     -- indexes of the shards to look at for a key without an entry
    }
    read_flags(dir, shards, record)
    read_placements(dir, record)
    -- From here on others know that this instance works in the placement, and may not drop it.
    if dir:work_in(record.placement) and dir:epoch() == number then return record end
    if tries > 4 then core.pause(tries) end
  end
  errors.raise("BUSY", nil, "the directory %s changes faster than it can be read", dir.path)
end

--- An epoch as it would be if a shard got no more keys.
---@param record table of epochs.read
---@param index integer
---@param shards table[]
---@return table
function epochs.without(record, index, shards)
  local copy, homes = {}, {}
  for field, value in pairs(record) do copy[field] = value end
  copy.drained = table.move(record.drained, 1, #record.drained, 1, {})
  copy.drained[index] = true
  if record.placements[1].claims then return copy end
  for _, node in ipairs(record.placements[1].all.nodes) do
    if node.index ~= index then
      homes[#homes + 1] = { name = node.name, weight = node.weight, shard = node.id,
        keyspace = node.index and shards[node.index].keyspace }
    end
  end
  copy.placements = { by_keyspace(homes, record.index_of), table.unpack(record.placements) }
  return copy
end

--- Has shards probed again, until they are integrated anew.
---@param shards { id: integer }[]
function epochs.distrust(dir, shards)
  dir:change(function(tx)
    for _, shard in ipairs(shards) do
      tx:run("UPDATE _collegedb_shards SET integrated = 0 WHERE id = ?", { shard.id })
    end
    return true
  end)
end

--- Marks a shard as integrated (one with external writers never is), which makes
-- the next epoch; false when the placement is another than `placement`, or the
-- shard was rolled back or distrusted since it had this `generation`.
function epochs.set_integrated(dir, shard, placement, generation, conflicts)
  return dir:change(function(tx)
    local now = tx:first([[SELECT generation, (SELECT coalesce(max(number), 0) FROM _collegedb_placements) AS placement
      FROM _collegedb_shards WHERE id = ?]], { shard.id })
    if not now or now.placement ~= placement or now.generation ~= generation then return false end
    tx:run("UPDATE _collegedb_shards SET integrated = ?, conflicts = ? WHERE id = ?",
      { not shard.external_writers, conflicts, shard.id })
    return true
  end)
end

--- The placement's nodes that a key of this keyspace tag may be at home on.
---@param placement table one of record.placements
---@param tag string? the keyspace's tag
---@param integer boolean an integer key: without a tag it belongs to the shards without one
function epochs.candidates(placement, tag, integer)
  if placement.claims then return nil end
  if tag then return placement.tagged[tag] end
  return integer and placement.untagged or placement.all
end

return epochs
