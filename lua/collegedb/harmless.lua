--- Runs a Lua file for what it returns, and lets it do nothing else. Whoever presses Tab in a folder that came from
-- elsewhere has not asked for the programs in it to be run.

local core = require "collegedb.core"

local harmless = {}

local LIMIT <const> = 1000000 -- instructions

-- What stands for a module, a file or a function that would do something: it can be called, asked and joined.
local anything = setmetatable({}, { __metatable = false })
local function same() return anything end
for _, name in ipairs { "__index", "__call" } do debug.getmetatable(anything)[name] = same end
debug.getmetatable(anything).__concat = function() return "" end
debug.getmetatable(anything).__newindex = function() end

-- Without pcall and coroutines, by which a file could outlive its limit.
local KNOWN <const> = { "assert", "error", "ipairs", "next", "pairs", "rawequal", "rawget", "rawlen", "rawset",
  "select", "setmetatable", "tonumber", "tostring", "type" }

local function environment()
  local env = { string = {}, table = {}, math = {}, utf8 = {}, os = setmetatable({ getenv = os.getenv,
    time = os.time }, { __index = same }) }
  for _, name in ipairs(KNOWN) do env[name] = _G[name] end
  for _, name in ipairs { "string", "table", "math", "utf8" } do
    for field, value in pairs(_G[name]) do env[name][field] = value end
  end
  env._G = env
  return setmetatable(env, { __index = same })
end

--- What the file returns, or nil if that can not be told.
---@param path string
---@return any
function harmless.run(path)
  if not core.file_stamp(path) then return nil end -- a pipe would be waited for
  local chunk = loadfile(path, "t", environment())
  if not chunk then return nil end
  local done, value = core.call_limited(LIMIT, chunk)
  return done and value or nil
end

return harmless
