--- The files of shards: opening those of a config, and those that another program added while this one was open.

local config = require "collegedb.config"
local core = require "collegedb.core"
local errors = require "collegedb.errors"
local record_check = require "collegedb.record_check"
local stats = require "collegedb.stats"

local shards = {}

function shards.is_file(path) return type(path) == "string" and path ~= ":memory:" and path ~= "memory:" end

--- Raises UNAVAILABLE when no file can be at the path, and CONFIG when something else is there.
function shards.check_folder(what, path)
  if not shards.is_file(path) then return end
  local facts = core.file_facts(path)
  if facts and facts.kind ~= "file" and facts.kind ~= "folder" then -- SQLite tells of a folder itself
    errors.raise("CONFIG", { shard = what }, "%s is no file, and no database can be in it: name a file", path)
  end
  local folder = path:match "^(.*)/[^/]*$"
  if folder and folder ~= "" and not core.file_id(folder) then
    errors.raise("UNAVAILABLE", { shard = what }, "%s can not be opened: the directory %s does not exist", path, folder)
  end
  local _, reason = core.file_id(path)
  if not reason then _, reason = core.file_id(path .. "-journal") end -- the name may be too long for what SQLite adds
  if reason then errors.raise("UNAVAILABLE", { shard = what }, "%s can not be opened: %s", path, reason) end
end

--- Raises CONFIG when two names are of one file or database: they would be two shards with the same rows.
---@param kv string|table where the directory is
---@param list table[] shards of a config
function shards.check_files_differ(kv, list)
  local seen = {}
  local function add(what, path, remote)
    local id = shards.is_file(path) and core.file_id(path) or remote and remote:id()
    if not id then return end
    if seen[id] then
      errors.raise("CONFIG", { shard = what }, "%s and %s are one %s, %s", seen[id], what,
        remote and "database" or "file", remote and tostring(remote) or path)
    end
    seen[id] = what
  end
  local value = config.is_shard_value(kv) and kv or { path = kv }
  add("the directory", value.path, not value.path and value or nil)
  for i, shard in ipairs(list) do
    add(("shards[%d] (%s)"):format(i, shard.name), shard.value.path, shard.value.remote)
  end
end

-- Entries of the directory that name a shard: few ask, and hardly ever.
local function has_entries(dir, id)
  if dir.file then return dir.shard:first("SELECT 1 AS yes FROM _collegedb_entries WHERE shard = ? LIMIT 1", { id }) end
  return (dir:counts()[id] or 0) > 0
end

--- Raises CONFIG when a shard's file is as new, and the directory knows of tables or keys that were in it: it was
-- emptied, or is another one, such as of a disk that was not mounted. SQLite counts the changes of a file's schema, so
-- that one whose tables were all dropped is not taken for a new one.
---@param dir table the directory
---@param shard table with its handle, of a normalized config
function shards.check_not_lost(dir, shard)
  if not shards.is_file(shard.value.path) then return end
  local row = dir.shard:first("SELECT id, schema, drained FROM _collegedb_shards WHERE name = ?", { shard.name })
  if not row or row.drained == 2 or core.inner(shard.handle):first "PRAGMA schema_version".schema_version > 0 then
    return
  end
  if row.schema == 0 and not has_entries(dir, row.id) then return end
  errors.raise("CONFIG", { shard = shard.name }, "the file %s of shard %s is empty, and the directory knows of %s "
    .. "in it: put the file back, from a backup if need be, or name the right one", shard.value.path, shard.name,
    row.schema > 0 and "tables" or "keys")
end

local function is_empty(shard) return stats.is_empty(shard.inner) end

--- Opens a shard, and makes its file if there is none and the config names it.
---@param state table of lua/collegedb/state.lua
---@param shard table of a normalized config
function shards.open(state, shard)
  if shard.value.remote then shard.handle = shard.value.remote:open(shard.name) end
  shard.handle = shard.handle or shard.value.handle or core.sqlite(shard.value.path, {
    name = shard.name, journal_mode = shard.journal_mode, synchronous = shard.synchronous,
    busy_timeout_ms = shard.busy_timeout and math.floor(shard.busy_timeout * 1000 + 0.5),
    mmap_size = shard.mmap_size, cache_size = shard.cache_size, d1_limits = shard.limits == "d1",
    single = shard.value.single, must_exist = shard.is_added and 1 or nil,
  })
  shard.inner, shard.is_empty, shard.single = core.inner(shard.handle), is_empty, core.is_single(shard.handle)
  if shards.is_file(shard.value.path) then shard.real_path = core.real_path(shard.value.path) end
  if not shard.value.handle then state.owned[#state.owned + 1] = shard.handle end
end

-- The folder of the directory's file, with its slash; nil of one in memory.
local function folder_of(dir)
  return dir.file and core.real_path(dir.file):match "^.*/" or nil
end

--- A file's path as the directory keeps it: one in its own folder, or below, is named from there, so that a copy of the
-- whole folder names the copied file.
---@param dir table the directory
---@param path string from the root
---@return string
function shards.path_from(dir, path)
  local folder = folder_of(dir)
  return folder and path:sub(1, #folder) == folder and path:sub(#folder + 1) or path
end

--- The shards that the directory tells of, since they were added while programs ran: by name, as of a normalized
-- config. A drained one is told of as long as an earlier placement may send programs there.
---@param dir table the directory
---@return table<string, table>
function shards.added(dir)
  local list = {}
  for _, row in ipairs(dir.shard:all("SELECT name, settings FROM _collegedb_shards WHERE settings IS NOT NULL "
      .. "AND (drained < 2 OR id IN (SELECT shard FROM _collegedb_homes)) ORDER BY id")) do
    local given = record_check.decoded(dir, "_collegedb_shards", row.settings)
    if type(given.d1 or given.path) ~= (given.d1 ~= nil and "table" or "string") then
      record_check.damaged(dir, "_collegedb_shards")
    end
    if given.d1 then given[1] = require("collegedb.d1").described(given.d1)
    else given[1] = given.path:sub(1, 1) == "/" and given.path or (folder_of(dir) or "") .. given.path end
    given.name, given.path, given.d1 = row.name, nil, nil
    local shard = config.shard(given)
    shard.is_added = true -- its file was made by who added it: no directory has others make files
    list[#list + 1] = shard
  end
  return list
end

--- Takes up what another program added meanwhile. A shard that can not be opened here is told of, and stays away:
-- only its own keys are not reached.
---@param state table
---@return boolean any
function shards.take_up(state)
  local any = false
  for _, shard in ipairs(shards.added(state.directory)) do
    if not state.by_name[shard.name] then
      local opened, err = pcall(shards.open, state, shard)
      if opened then
        shards.include(state, shard)
        any = true
      elseif not state.absent[shard.name] then
        state.absent[shard.name] = tostring(err)
        state:emit("absent", ("shard %s was added, and can not be opened here: %s"):format(shard.name, tostring(err)),
          { shard = shard.name, error = err })
      end
    end
  end
  return any
end

--- Makes an open shard one of the state's.
function shards.include(state, shard)
  shard.id = state.directory.shard:first("SELECT id FROM _collegedb_shards WHERE name = ?", { shard.name }).id
  state.shards[#state.shards + 1] = shard
  state.by_name[shard.name] = #state.shards
  if state.weak.db then core.add_shard(state.weak.db, shard.handle) end
end

return shards
