--- Writes a page to a file so that nobody ever sees half of it: to another name beside it first, then renamed.

local core = require "collegedb.core"
local errors = require "collegedb.errors"
local look = require "collegedb.look"

local report_file = {}

local KIN <const> = { "", "-wal", "-shm", "-journal" } -- what a SQLite file is made of

-- The shards of the config, and those that were added while programs ran, which the directory alone names.
local function all_shards(settings)
  local list, seen = {}, look.open(settings)
  for i, each in ipairs(seen.shards) do list[i] = each.shard end
  seen:close()
  return list
end

-- The files that must not be overwritten: path → what it is.
local function precious(settings, shards, config_path)
  local paths = { [config_path] = "the config" }
  local function add(path, what)
    for _, ending in ipairs(path and KIN or {}) do paths[path .. ending] = what end
  end
  add(type(settings.kv) == "string" and settings.kv or nil, "the directory")
  for _, shard in ipairs(shards) do add(shard.value.path, "shard " .. shard.name) end
  return paths
end

--- Raises USAGE if the path is one of the database's own files, under whatever name.
---@param path string
---@param settings table a normalized config
---@param config_path string
function report_file.check(path, settings, config_path)
  local id = core.file_id(path)
  local shards = id and all_shards(settings) or settings.shards -- what is not there is no added shard
  for each, what in pairs(precious(settings, shards, config_path)) do
    if each == path or id and core.file_id(each) == id then
      errors.raise("USAGE", nil, "%s is %s: the page would overwrite it; name another file", path, what)
    end
  end
end

local function fill(path, text)
  local file <close> = assert(io.open(path, "wb"))
  assert(file:write(text))
  assert(file:close())
end

--- Writes it whole, or not at all. What is no regular file, such as a pipe, is written to.
---@param path string
---@param text string
function report_file.write(path, text)
  if core.file_id(path) and not core.file_stamp(path) then return fill(path, text) end
  local beside = ("%s.%08x.tmp"):format(path, core.random() & 0xffffffff)
  local done, err = pcall(function()
    fill(beside, text)
    assert(os.rename(beside, path))
  end)
  if done then return end
  os.remove(beside)
  error(err, 0)
end

return report_file
