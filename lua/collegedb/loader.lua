--- Finds and runs the scripts that users may override.
--
-- Looked for in this order: the value in the config, config.script_dirs,
-- COLLEGEDB_PATH, then `require` (package.path, and what is embedded). A
-- file found is called with the script that it shadows, or the default of its
-- kind, as its `...`.

local core = require "collegedb.core"
local errors = require "collegedb.errors"

local loader = {}

local function folders(config)
  local list = { table.unpack(config.script_dirs) }
  for folder in (os.getenv "COLLEGEDB_PATH" or ""):gmatch "[^;]+" do list[#list + 1] = folder end
  return list
end

local function script_error(what, message)
  local told, text = pcall(tostring, message)
  errors.raise("SCRIPT", { cause = message }, "%s%s", what and what .. " failed: " or "",
    told and text or "it raised a " .. type(message))
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
  if errors.is_error(err) or (type(err) == "string" and err:find "interrupted!$") then error(err, 0) end
  if err == "not enough memory" then errors.raise("NOMEM", nil, "memory ran out%s", what and " in " .. what or "") end
  script_error(what, err)
end

--- Runs the Lua file at `path` (text only) and returns what it returns.
---@param what string? for the error
function loader.run_file(what, path, limit, ...)
  local chunk, message = loadfile(path, "t")
  if not chunk then script_error(what, message) end
  return loader.call(what, limit, chunk, ...)
end

local function readable(path)
  local file = io.open(path, "r")
  if file then file:close() end
  return file ~= nil
end

local function shipped(kind, name)
  local found, module = pcall(require, ("collegedb.%s.%s"):format(kind, name))
  if found then return module end
  if type(module) == "string" and module:find("module 'collegedb%." .. kind) then return nil end
  script_error(("%s %s"):format(kind, name), module)
end

--- Loads a script by name; nil and where it was looked for when there is none.
---@param config table a normalized config
---@param kind string folder: "strategies", "rules", "workflows"
---@param name string
---@param default string? name of the kind's default script, the base where none is shadowed
function loader.load(config, kind, name, default)
  if not name:match "^[%w_]+$" then return nil, "a name of letters, digits and _" end
  local looked = {}
  for _, folder in ipairs(folders(config)) do
    local path = ("%s/%s/%s.lua"):format(folder, kind, name)
    if readable(path) then
      local base = shipped(kind, name) or (default and shipped(kind, default))
      local script = loader.run_file(("%s %s"):format(kind, path), path, config.script_limit, base)
      if type(script) ~= "table" then
        errors.raise("SCRIPT", nil, "%s returned a %s; it must return a table", path, type(script))
      end
      return script
    end
    looked[#looked + 1] = path
  end
  local module = shipped(kind, name)
  if module == nil then looked[#looked + 1] = ("collegedb.%s.%s"):format(kind, name) end
  return module, table.concat(looked, ", ")
end

return loader
