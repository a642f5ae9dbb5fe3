--- Growing: adding and closing shards, and other weights, while programs run.
--
-- A change makes a new placement, and moves no key. Until those that it re-places are moved (workflows/rebalance.lua),
-- the placements before it are retiring: where they and the newest differ, the shard of the oldest one decides
-- (lua/collegedb/router.lua). When no key and no program needs them any more, they are dropped.

local config = require "collegedb.config"
local core = require "collegedb.core"
local epochs = require "collegedb.epochs"
local errors = require "collegedb.errors"
local fence = require "collegedb.fence"
local group = require "collegedb.group"
local json = require "collegedb.json"
local moves = require "collegedb.moves"
local recovery = require "collegedb.recovery"
local schema = require "collegedb.schema"
local seals = require "collegedb.seals"
local shards = require "collegedb.shards"

local growing = {}

local ATTEMPTS <const> = 20 -- while other programs make placements too

-- --- what must be so before ---------------------------------------------------------------

local function check_directory(state, what)
  if state.directory.keeps_journal then return end
  errors.raise("UNSUPPORTED", nil, "%s while programs run needs a directory with transactions, not one in %s; close "
    .. "all programs, and open again with another config", what, state.directory.path)
end

-- Programs that still place keys as before are stopped by a fence: it must be possible on every table.
local function check_fences(state)
  for index, shard in ipairs(state.shards) do
    for _, keyspace in ipairs(group.keyspaces(state.catalog, index)) do
      group.read_storage(shard.inner, group.parts(state.catalog, index, keyspace))
    end
  end
end

local function replace(state, edit)
  for _ = 1, ATTEMPTS do
    state:read_epoch()
    if epochs.replace(state.directory, state.epoch.placement, edit) then
      state:read_epoch()
      return
    end
  end
  errors.raise("BUSY", nil, "other programs change the shards all the time")
end

-- --- adding a shard --------------------------------------------------------------------------

local fields = { "path", "region", "priority", "weight", "max_size", "allocate", "integrate", "external_writers",
  "keyspace", "journal_mode", "synchronous", "busy_timeout", "mmap_size", "cache_size", "limits" }

-- The shard as other programs need it; nil for one that they can not open.
local function settings_of(state, shard)
  local value, out = shard.value, {}
  if not value.remote and not shards.is_file(value.path) then return nil end
  for _, field in ipairs(fields) do out[field] = shard[field] end
  if value.remote then out.d1 = value.remote:describe()
  else out.path = shards.path_from(state.directory, core.real_path(value.path)) end
  return json.encode(out)
end

local function open_new(state, shard)
  shards.check_folder(shard.name, shard.value.path)
  shards.open(state, shard)
  local all = table.move(state.shards, 1, #state.shards, 1, {})
  all[#all + 1] = shard
  shards.check_files_differ(state.config.kv, all)
  if shard:is_empty() then return end
  errors.raise("UNSUPPORTED", { shard = shard.name }, "the new shard %s has rows already: programs that do not know it "
    .. "yet could insert their keys a second time; close them all, and open again with the shard in the config",
    shard.name)
end

-- Rows in a file that does not exist are gone with this program, and the directory would go on naming it.
local function check_lasting(state, shard)
  local path, kv = shard.value.path, state.config.kv
  local stays = shards.is_file(kv) or type(kv) ~= "string"
  if type(path) ~= "string" or shards.is_file(path) or not stays then return end
  errors.raise("CONFIG", { field = "shard", shard = shard.name }, "the shard %s would be in memory and end with this "
    .. "program, while the directory %s stays: give it a file", shard.name, state.directory.path)
end

local function enroll(state, shard)
  local opened = #state.owned
  local done, err = pcall(open_new, state, shard)
  if not done then
    while #state.owned > opened do core.close(table.remove(state.owned)) end
    error(err, 0)
  end
  epochs.enroll(state.directory, shard, settings_of(state, shard))
  shards.include(state, shard)
end

-- The tables that the others have; before any program puts keys there.
local function give_tables(state, shard)
  schema.welcome(state)
  for index, other in ipairs(state.shards) do
    if other ~= shard and not state.epoch.drained[index] and schema.add_missing(other, shard) then break end
  end
  state:refresh_catalog(true)
end

local function has_home(homes, shard)
  for i, home in ipairs(homes) do
    if home.shard == shard.id then return i end
  end
end

-- A shard that was drained, or is being drained, takes keys again.
local function open_again(state, shard)
  seals.open(shard)
  state.directory:change(function(tx)
    tx:run("UPDATE _collegedb_shards SET settings = ? WHERE id = ? AND settings IS NOT NULL",
      { settings_of(state, shard) or core.null, shard.id })
    local opened = tx:run("UPDATE _collegedb_shards SET drained = 0 WHERE id = ? AND drained > 0", { shard.id })
    return opened.meta.changes > 0
  end)
end

-- Does the shard get new keys?
local function is_home(state, index)
  if state.epoch.drained[index] then return false end
  local placement = state.epoch.placements[1]
  if placement.claims then return state.shards[index].allocate end
  for _, node in ipairs(placement.all.nodes) do
    if node.index == index then return true end
  end
  return false
end

local function check_new(state, shard)
  local known = state.by_name[shard.name] and state.shards[state.by_name[shard.name]]
  if not known then return nil end
  local a, b = known.value, shard.value
  local same = a.path and core.real_path(a.path) == core.real_path(b.path or "")
  if a.remote then same = b.remote ~= nil and a.remote:id() == b.remote:id() end
  if same and not is_home(state, state.by_name[shard.name]) then return known end
  errors.raise("CONFIG", { field = "shard.name", shard = shard.name }, "a shard %s is there already%s", shard.name,
    same and "" or ", with another file or database")
end

-- What can be told before anything is changed. The shard, and the same one if it is known and closed.
local function check_adding(state, given)
  local shard = config.shard(given)
  check_directory(state, "adding a shard")
  check_lasting(state, shard)
  state:check_outside()
  state:read_epoch()
  state:refresh_catalog()
  local known = check_new(state, shard)
  if shard.allocate then check_fences(state) end
  return shard, known
end

--- Whether a shard could be added, as far as that can be told without its file; raises what growing.add would.
---@param state table of lua/collegedb/state.lua
---@param given table a shard table
---@return table report { shard, retiring, dry_run }
function growing.preview(state, given)
  local shard = check_adding(state, given)
  shards.check_folder(shard.name, shard.value.path)
  return { shard = shard.name, retiring = growing.is_retiring(state), dry_run = true }
end

--- Adds a shard while programs run. Those that have the directory open take it up by themselves; a config may name it
-- from now on, and need not.
---@param state table of lua/collegedb/state.lua
---@param given table a shard table
---@return table report { shard, retiring }
function growing.add(state, given)
  local shard, known = check_adding(state, given)
  if known then
    known.weight, known.allocate = shard.weight, shard.allocate
    shard = known
  else
    enroll(state, shard)
  end
  give_tables(state, shard)
  open_again(state, shard) -- also one that this program does not know, since it was drained before
  if shard.allocate then
    replace(state, function(homes)
      if has_home(homes, shard) then return end
      homes[#homes + 1] = { shard = shard.id, weight = shard.weight, keyspace = shard.keyspace }
    end)
  end
  return { shard = shard.name, retiring = growing.is_retiring(state) }
end

--- Does an earlier placement still count?
function growing.is_retiring(state) return #state.epoch.placements > 1 end

--- Makes the placement that the config wishes for, while others run.
function growing.follow_config(state)
  check_directory(state, "changing weights")
  check_fences(state)
  epochs.follow_config(state.directory, state.epoch.placement, state.shards)
  state:read_epoch()
end

-- --- closing one --------------------------------------------------------------------------------

-- Do new keys that this shard may take have another place? Integer keys need one with the same keyspace.
local function has_another(state, index, homes, tx)
  local shard, spaces = state.shards[index], group.keyspaces(state.catalog, index)
  local integers = #spaces > 1 or (spaces[1] or "") ~= ""
  local function is_like(other) return not integers or other.keyspace == shard.keyspace end
  if not state.epoch.placements[1].claims then
    local at = has_home(homes, shard)
    for i, home in ipairs(homes) do
      if i ~= at and is_like(home) then return true end
    end
    return not at
  end
  for i, other in ipairs(state.shards) do
    if i ~= index and other.allocate and is_like(other)
      and tx:first("SELECT 1 AS yes FROM _collegedb_shards WHERE id = ? AND drained = 0", { other.id }) then
      return true
    end
  end
  return not shard.allocate
end

local function keyspace_text(state, shard)
  if shard.keyspace then return " of the keyspace " .. shard.keyspace end
  for _, other in ipairs(state.shards) do
    if other.keyspace then return " without a keyspace" end
  end
  return ""
end

--- Gives a shard no more new keys; what is on it is still to be moved.
---@param index integer
function growing.close(state, index)
  check_directory(state, "draining a shard")
  check_fences(state)
  local shard = state.shards[index]
  replace(state, function(homes, tx)
    if not has_another(state, index, homes, tx) then
      errors.raise("NO_SHARDS", { shard = shard.name }, "%s is the only shard%s that takes new keys: add another one "
        .. "first", shard.name, keyspace_text(state, shard))
    end
    local at = has_home(homes, shard)
    if at then table.remove(homes, at) end
    -- A config that does not name it any more must not hide it, as long as it is needed.
    tx:run("UPDATE _collegedb_shards SET drained = max(drained, 1), settings = coalesce(settings, ?) WHERE id = ?",
      { settings_of(state, shard) or core.null, shard.id })
  end)
end

--- Closes an empty shard for good: it refuses rows, and no entry names it any more. False if it is not empty.
function growing.seal(state, index)
  local shard = state.shards[index]
  if not seals.close(state, index) then return false end
  local closed = state.directory:change(function(tx)
    local changed = tx:run("UPDATE _collegedb_shards SET drained = 2 WHERE id = ? AND drained > 0", { shard.id })
    if changed.meta.changes == 0 then return false end
    state.directory:drop(tx, shard.id)
    return true
  end)
  state:read_epoch()
  if closed then return true end
  seals.open(shard)
  errors.raise("CONFLICT", { shard = shard.name }, "shard %s was opened again by another program while it was drained",
    shard.name)
end

-- The directory is of a backup from before the shard was drained; or it has no other shard, and this one is opened.
local function close_anew(state, index)
  local closed, err = pcall(growing.close, state, index)
  if closed then return growing.seal(state, index) end
  if not errors.is_error(err, "NO_SHARDS") then error(err, 0) end
  seals.open(state.shards[index])
end

--- Brings directory and shards together: a shard refuses rows for good, and the directory does not say so, since a
-- program died while it closed it, or an older directory was put back.
function growing.recover(state)
  for index, shard in ipairs(state.shards) do
    if not state.epoch.sealed[index] and seals.is_sealed(shard) then
      if state.epoch.drained[index] then growing.seal(state, index) else close_anew(state, index) end
    end
  end
end

-- --- the end of an old placement -----------------------------------------------------------------

-- Whatever was begun by the old placement has ended, or is seen by who looks afterwards.
local function wait_for_writers(state)
  for _, shard in ipairs(state.shards) do
    if not shard.single then shard.handle:transaction(function() end) end -- there nothing goes over two statements
  end
end

-- A key that moves meanwhile may be seen on neither shard by a look at one after the other: the one that it goes to had
-- been looked at before. Nothing moves when no shard knows of an open move, and none is begun until the look is over.
local function look_at_rest(state, look)
  -- A line of the journal that no shard knows of counts as a move that is being begun: a dead mover's is closed first.
  if #moves.dead(state.directory) > 0 then recovery.run(state) end
  local before = moves.stamp(state.directory)
  for _, shard in ipairs(state.shards) do
    if fence.is_open(shard.inner) then
      recovery.run(state)
      return false
    end
  end
  return look() and moves.stamp(state.directory) == before
end

-- Keys that only a placement can tell of, and that no look at the shards which are here would show: under a strategy
-- without homes those have no entry that were placed before; and what is on a shard that the config does not have.
local function holds_unseen(state)
  if state.epoch.placements[1].claims then return true end
  for _, placement in ipairs(state.epoch.placements) do
    for _, node in ipairs(placement.all and placement.all.nodes or {}) do
      if not node.index and not node.sealed then return true end
    end
  end
  return false
end

--- Drops the placements before the newest, when no program works in one of them any more and nothing is left to be
-- moved.
---@param look fun(): boolean whether nothing is left; called when nobody can add to it any more
---@return boolean retired
---@return "programs"|"keys"|"unseen"|nil why holds it up
function growing.retire(state, look)
  state:read_epoch()
  if not growing.is_retiring(state) then return true end
  if holds_unseen(state) then return false, "unseen" end
  local epoch, retired = state.epoch, false
  local alone = state.directory:without_workers(epoch.oldest, epoch.placement - 1, function()
    wait_for_writers(state)
    if look_at_rest(state, look) then retired = epochs.retire(state.directory, epoch.placement) end
  end)
  if not alone then return false, "programs" end
  if not retired then return false, "keys" end
  state:read_epoch()
  return true
end

return growing
