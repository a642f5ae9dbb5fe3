--- Writes a page to a file so that nobody ever sees half of it: to another name beside it first, then renamed.

local core = require "collegedb.core"
local errors = require "collegedb.errors"
local file_errors = require "collegedb.file_errors"
local look = require "collegedb.look"
local shards = require "collegedb.shards"

local report_file = {}

local KIN <const> = { "", "-wal", "-shm", "-journal", "-users" } -- what SQLite and CollegeDB have beside a file

-- --- what a page must not take the place of -----------------------------------------------------

-- The one name of a file, also of one that is not there yet.
local function whole(path)
  if core.file_id(path) then return core.real_path(path) end
  local folder, name = path:match "^(.*/)([^/]*)$"
  return core.real_path(folder or "./") .. "/" .. (name or path)
end

-- The files of the database: path → what it is.
local function precious(settings, config_path)
  local paths = {}
  local function add(path, what)
    for _, ending in ipairs(shards.is_file(path) and KIN or {}) do
      paths[whole(path) .. ending] = (ending == "" and "" or "a file of ") .. what
    end
  end
  local kv = settings.kv
  add(type(kv) == "table" and kv.path or type(kv) == "string" and kv or nil, "the directory")
  for _, list in ipairs { settings.shards, look.added(settings) } do
    for _, shard in ipairs(list) do add(shard.value.path, "shard " .. shard.name) end
  end
  paths[whole(config_path)] = "the config"
  if settings.slow_query_log then paths[whole(settings.slow_query_log)] = "the slow_query_log" end
  return paths
end

local function is_inside(folder, path)
  local real = core.real_path(folder)
  return path:sub(1, #real + 1) == real .. "/"
end

-- Folders whose files are read for what is in them.
local function check_folders(path, settings)
  local at = whole(path)
  if settings.statistics_dir and is_inside(settings.statistics_dir, at) then
    errors.raise("USAGE", nil, "%s is in the statistics_dir, where only programs write; name another folder", path)
  end
  for _, folder in ipairs(at:find "%.lua$" and settings.script_dirs or {}) do
    if is_inside(folder, at) then
      errors.raise("USAGE", nil, "%s would be a script: it is in a folder of script_dirs; name another file", path)
    end
  end
end

-- Where nothing can be written, that is better said before the rows are compared.
local function check_folder_of(path)
  local folder = path:match "^(.*/)[^/]*$" or "."
  local facts, reason = core.file_facts(folder)
  if not facts or facts.kind ~= "folder" then
    errors.raise("USAGE", nil, "%s can not be written: %s: %s", path, folder, reason or "it is no folder")
  elseif not facts.writable then
    errors.raise("READONLY", nil, "%s can not be written: this user may not write to its folder", path)
  end
end

--- Raises USAGE if the path is no file, or one of the database's own, under whatever name.
---@param path string
---@param settings table a normalized config
---@param config_path string
function report_file.check(path, settings, config_path)
  local facts = core.file_facts(path)
  if facts and facts.kind == "device" then return end
  if path:find "/$" or facts and facts.kind ~= "file" then
    errors.raise("USAGE", nil, "%s is no file: -o takes a file, or - for standard output", path)
  end
  check_folder_of(path)
  local at, id = whole(path), core.file_id(path)
  for each, what in pairs(precious(settings, config_path)) do
    if each == at or id and core.file_id(each) == id then
      errors.raise("USAGE", nil, "%s is %s: the page would overwrite it; name another file", path, what)
    end
  end
  check_folders(path, settings)
end

-- --- writing ------------------------------------------------------------------------------------

local function fill(path, text)
  local file <close>, _, code = io.open(path, "wb")
  if not file then return nil, code end
  local done, number
  done, _, number = file:write(text)
  if done then done, _, number = file:close() end
  return done, number
end

local function rename(from, to)
  local done, _, code = os.rename(from, to)
  return done, code
end

--- Writes it whole, or not at all. A device is written to.
---@param path string of report_file.check
---@param text string
function report_file.write(path, text)
  local facts = core.file_facts(path)
  local done, code
  if facts and facts.kind == "device" then
    done, code = fill(path, text)
  else
    local at = whole(path) -- a link stays one
    local beside = ("%s.%08x.tmp"):format(at, core.random() & 0xffffffff)
    local passed, first, second = pcall(fill, beside, text)
    done, code = passed and first, second
    if done then done, code = rename(beside, at) end
    if not done then os.remove(beside) end
    if not passed then error(first, 0) end
  end
  if not done then file_errors.raise(path, code) end
end

return report_file
