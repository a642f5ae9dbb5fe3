--- Finds and runs the scripts that users may override.
--
-- Looked for in this order: the value in the config, config.script_dirs,
-- COLLEGEDB_PATH, then `require` (package.path, and what is embedded). A
-- file found is called with the script that it shadows, or the default of its
-- kind, as its `...`.

local core = require "collegedb.core"
local errors = require "collegedb.errors"

local loader = {}

local API <const> = 1 -- the version of docs/scripts.md

local function folders(config)
  local list = { table.unpack(config.script_dirs) }
  for folder in (os.getenv "COLLEGEDB_PATH" or ""):gmatch "[^;]+" do list[#list + 1] = folder end
  return list
end

-- An address tells nobody anything.
local function text_of(message)
  local told, text = pcall(tostring, message)
  local meta = getmetatable(message)
  local has_words = message ~= nil and type(message) ~= "table" and type(message) ~= "userdata"
    or type(meta) == "table" and meta.__tostring ~= nil
  return told and has_words and text
end

local function script_error(what, message)
  if errors.is_memory(message) then
    errors.raise("NOMEM", nil, "memory ran out%s", what and " in " .. what or "")
  end
  local text = text_of(message)
  errors.raise("SCRIPT", { cause = message }, "%s%s", what and what .. " failed: " or "",
    text or (what and "it" or "the config") .. " raised a " .. type(message))
end

--- Calls `f` and raises SCRIPT when it fails or runs more than `limit`
-- instructions. A guard against mistakes, not a wall against malice: a script
-- that catches errors can go on.
---@param what string? for the error, such as "strategy least_keys"
---@param limit integer
---@return any ... what f returns
function loader.call(what, limit, f, ...)
  local results = table.pack(core.call_limited(limit, f, ...))
  if results[1] then return table.unpack(results, 2, results.n) end
  local err = results[2]
  if errors.is_error(err) or errors.is_interrupt(err) then error(err, 0) end
  script_error(what, err)
end

--- Runs the Lua file at `path` (text only) and returns what it returns.
---@param what string? for the error
function loader.run_file(what, path, limit, ...)
  local chunk, message = loadfile(path, "t")
  if not chunk then script_error(what, message) end
  return loader.call(what, limit, chunk, ...)
end

local function shipped(kind, name)
  local found, module = pcall(require, ("collegedb.%s.%s"):format(kind, name))
  if found then return module end
  if type(module) == "string" and module:find("module 'collegedb%." .. kind) then return nil end
  script_error(("%s %s"):format(kind, name), module)
end

--- The file of a script in the users' folders.
---@param config table a normalized config
---@param kind string folder: "strategies", "rules", "workflows"
---@param name string
---@return string? path nil: there is none, and the script is a module, if anything
---@return string[] looked where it is not
function loader.locate(config, kind, name)
  local looked = {}
  for _, folder in ipairs(folders(config)) do
    local path = ("%s/%s/%s.lua"):format(folder, kind, name)
    if core.file_stamp(path) then return path, looked end
    looked[#looked + 1] = path
  end
  return nil, looked
end

local function is_name(name) return name:match "^[%w_]+$" ~= nil end

--- Loads a script by name; nil and where it was looked for when there is none.
---@param config table a normalized config
---@param kind string folder: "strategies", "rules", "workflows"
---@param name string
---@param default string? name of the kind's default script, the base where none is shadowed
function loader.load(config, kind, name, default)
  if not is_name(name) then return nil, "a name of letters, digits and _" end
  local path, looked = loader.locate(config, kind, name)
  if path then
    local base = shipped(kind, name) or (default and shipped(kind, default))
    local script = loader.run_file(("%s %s"):format(kind, path), path, config.script_limit, base)
    if type(script) ~= "table" then
      errors.raise("SCRIPT", nil, "%s returned a %s; it must return a table", path, type(script))
    elseif script.api ~= nil and script.api ~= API then
      errors.raise("SCRIPT", nil, "%s was written for version %s of what scripts can rely on (its field api); this "
        .. "is %d", path, tostring(script.api), API)
    end
    return script
  end
  local module = shipped(kind, name)
  if module == nil then looked[#looked + 1] = ("collegedb.%s.%s"):format(kind, name) end
  return module, table.concat(looked, ", ")
end

-- Which file the script is now, and in what state. Modules are what `require` once found.
local function mark(config, kind, name)
  local path = is_name(name) and loader.locate(config, kind, name)
  return path and path .. "\0" .. (core.file_stamp(path) or "") or ""
end

--- Loads a script as `load` does, or gives the one that `record` has if its file is still the same.
---@param record table what was loaded before; filled in
function loader.keep(record, config, kind, name, default)
  local id, now = kind .. "/" .. name, mark(config, kind, name)
  local known = record[id]
  if known and known.mark == now and known.script then return known.script end
  -- Noted before it is read, so that a change that comes now is seen later, and one that fails is tried once.
  record[id] = { kind = kind, name = name, mark = now }
  local script, looked = loader.load(config, kind, name, default)
  record[id].script = script
  return script, looked
end

--- Has a script of `record` another file now, or its file been written?
---@return boolean
function loader.changed(record, config)
  for _, each in pairs(record) do
    if mark(config, each.kind, each.name) ~= each.mark then return true end
  end
  return false
end

return loader
