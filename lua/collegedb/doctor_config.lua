--- The doctor's look at the config itself: every field that is wrong, settings that will hurt, folders that are not
-- there, scripts that do not load, and the versions of what CollegeDB stands on.

local config = require "collegedb.config"
local core = require "collegedb.core"
local errors = require "collegedb.errors"
local loader = require "collegedb.loader"
local look = require "collegedb.look"

local doctor_config = {}

local MOST <const> = 20 -- wrong fields that are told
local OLDEST_SQLITE <const> = "3.38.0"

-- --- fields ------------------------------------------------------------------------------

-- Takes the field that an error names out of the config, so that the next one is found. False when that can not be.
local function take_out(given, field)
  local where, inner = given, field or ""
  local shard, rest = inner:match "^shards%[(.-)%]%.(.+)$"
  if shard then
    local key = math.tointeger(tonumber(shard)) or shard:match '^"(.*)"$'
    where, inner = type(given.shards) == "table" and given.shards[key], rest
  end
  if type(where) ~= "table" or where[inner] == nil or inner == "name" then return false end
  where[inner] = nil
  return true
end

local function copy(value)
  if type(value) ~= "table" or getmetatable(value) then return value end
  local out = {}
  for key, each in pairs(value) do out[key] = each end
  return out
end

-- As deep as what take_out changes.
local function copy_config(given)
  local out = copy(given)
  if type(out) ~= "table" then return given end
  out.shards = copy(out.shards)
  for key, shard in pairs(type(out.shards) == "table" and out.shards or {}) do out.shards[key] = copy(shard) end
  return out
end

--- The normalized config, and the config without what is wrong in it; nil where nothing can be made of it.
---@param add fun(about: string, state: string, what: string, mend: string?)
---@param given table
---@return table? settings, table? given
function doctor_config.read(add, given)
  given = copy_config(given)
  for _ = 1, MOST do
    local settings, err = look.tried(config.normalize, given)
    if settings then return settings, given end
    add("config", "fault", err.message, "correct it in the config: docs/config.md has every field")
    if not take_out(given, err.field) then return nil end
  end
end

-- --- settings that hurt -------------------------------------------------------------------

local function check_shard(add, shard)
  if shard.synchronous == "off" or shard.synchronous == "normal" then
    add(shard.name, "note", ('synchronous = "%s": %s'):format(shard.synchronous, shard.synchronous == "off"
      and "a power cut can damage the file" or "a power cut can lose what was committed last"),
      "leave the field out, if that must not be")
  end
  if shard.journal_mode == "off" or shard.journal_mode == "memory" then
    add(shard.name, "fault", ('journal_mode = "%s": a crash in the midst of a write damages the file'):format(
      shard.journal_mode), "leave the field out: new files are made in WAL mode")
  end
  if shard.busy_timeout and shard.busy_timeout < 0.1 then
    add(shard.name, "note", ("busy_timeout = %g s: statements fail while another program writes"):format(
      shard.busy_timeout), "leave the field out (5 s), or try again on BUSY")
  end
end

local function check_folder(add, field, path, written)
  local facts, reason = core.file_facts(path)
  if not facts or facts.kind ~= "folder" then
    add("config", "fault", ("%s: %s %s"):format(field, path, facts and "is no folder" or "can not be used: "
      .. reason:lower()), "name a folder that is there")
  elseif written and not facts.writable then
    add("config", "fault", ("%s: this user may not write %s"):format(field, path), ("give this user the right, or run "
      .. "the program as %s"):format(facts.owner))
  end
end

-- What programs make when it is not there.
local function check_written(add, field, path, is_folder)
  local facts = core.file_facts(path)
  if is_folder and facts then return check_folder(add, field, path, true) end
  if not facts then return check_folder(add, field, path:match "^(.*)/[^/]+/*$" or ".", true) end
  if facts.kind == "file" and facts.writable then return end
  add("config", "fault", ("%s: %s"):format(field, facts.kind == "file" and "this user may not write " .. path
    or path .. " is no file"), "name a file that this user may write")
end

--- Checks values that are possible, and no good.
function doctor_config.check_settings(add, settings)
  for _, shard in ipairs(settings.shards) do check_shard(add, shard) end
  for i, path in ipairs(settings.script_dirs) do check_folder(add, ("script_dirs[%d]"):format(i), path) end
  for _, field in ipairs { "statistics_dir", "slow_query_log" } do
    if settings[field] then check_written(add, field, settings[field], field == "statistics_dir") end
  end
end

-- --- scripts --------------------------------------------------------------------------------

local has_host, host = pcall(require, "collegedb.host")

-- Commands may be plain scripts, which do their work when they are run: these are only compiled.
local FOLDERS <const> = { "strategies", "rules", "workflows", "policies", "commands", "scripts" }

local function scripts_of(settings)
  local list, folders = {}, table.move(settings.script_dirs, 1, #settings.script_dirs, 1, {})
  for folder in (os.getenv "COLLEGEDB_PATH" or ""):gmatch "[^;]+" do folders[#folders + 1] = folder end
  for _, folder in ipairs(has_host and folders or {}) do
    for _, kind in ipairs(FOLDERS) do
      for _, file in ipairs(host.list(folder .. "/" .. kind) or {}) do
        if file:find "%.lua$" then list[#list + 1] = { kind = kind, path = ("%s/%s/%s"):format(folder, kind, file) } end
      end
    end
  end
  return list
end

-- Workflows and policies are run to their end, as when they are used; they return a table.
local function script_problem(settings, script)
  local chunk, why = loadfile(script.path, "t")
  if not chunk then return why end
  local name = script.path:match "([%w_]+)%.lua$"
  if not name or not (script.kind == "workflows" or script.kind == "policies") then return nil end
  local _, err = look.tried(loader.load, settings, script.kind, name)
  return err and err.message
end

-- Is a script's failure told already, such as that of the strategy in use?
local function is_told(told, script)
  for _, message in ipairs(told) do
    if message:find(script.path, 1, true) then return true end
  end
  return false
end

--- Do the scripts in the users' folders load? Those in use are told of already.
---@param told string[] messages
function doctor_config.check_scripts(add, settings, told)
  for _, script in ipairs(scripts_of(settings)) do
    local problem = not is_told(told, script) and script_problem(settings, script)
    if problem then add("scripts", "fault", problem, "correct the script, or take it away") end
  end
end

-- --- versions --------------------------------------------------------------------------------

local function parts(version)
  local list = {}
  for part in version:gmatch "%d+" do list[#list + 1] = ("%06d"):format(part) end
  return table.concat(list, ".")
end

local function sqlite_version()
  local shard = core.sqlite(":memory:", { name = "versions" })
  local version = shard:first "SELECT sqlite_version() AS v".v
  core.close(shard)
  return version
end

local function uses_net(settings)
  local any = type(settings.kv) == "table" or settings.publish ~= nil
  for _, shard in ipairs(settings.shards) do any = any or shard.value.remote ~= nil end
  return any
end

--- Tells the versions, and which is too old.
function doctor_config.check_versions(add, settings)
  local sqlite = sqlite_version()
  add("program", "ok", ("CollegeDB %s, %s, SQLite %s"):format(core.version, _VERSION, sqlite))
  if parts(sqlite) < parts(OLDEST_SQLITE) then
    add("program", "fault", ("SQLite %s is too old"):format(sqlite), "install SQLite " .. OLDEST_SQLITE .. " or newer")
  end
  if not uses_net(settings) then return end
  local client, err = look.tried(core.net_client)
  if not client then return add("program", "fault", err.message, "apt-get install libcurl4") end
  add("program", "ok", "libcurl " .. client:version())
  client:close()
end

--- What a failure to read the config's file says.
function doctor_config.unreadable(add, err)
  if not errors.is_error(err) then error(err, 0) end
  add("config", "fault", err.message, err.message:find "may not read it"
    and "give this user the right to read it, or run the program as its owner"
    or "correct the config's file: docs/config.md")
end

return doctor_config
