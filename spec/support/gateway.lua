-- The gateway Worker (worker/) on Cloudflare's own engine, for the specs that speak to it.

local core = require "collegedb.core"
local engine = require "spec.support.engine"
local json = require "collegedb.json"
local process = require "spec.support.process"

local gateway = { token = "full-" .. ("t"):rep(32), read_token = "read-" .. ("r"):rep(32) }

gateway.skips, gateway.missing = engine.skips, engine.missing

local function shell_quote(text) return "'" .. text:gsub("'", "'\\''") .. "'" end

---Starts it. `options` are those of spec/engine/gateway.mjs; databases and namespaces get names of this run's own in
---the engine, unless `persist` or `prefix` says otherwise.
---@param options table?
---@return { url: string, pid: integer, stop: fun() }
function gateway.start(options)
  local folder = process.new_folder()
  local given = { prefix = ("spec-%x-"):format(core.random() >> 1) }
  for name, value in pairs(options or {}) do given[name] = value end
  given.vars = { COLLEGEDB_TOKEN = gateway.token, COLLEGEDB_READ_TOKEN = gateway.read_token,
    COLLEGEDB_DATABASES = table.concat(given.databases or {}, ","),
    COLLEGEDB_NAMESPACES = table.concat(given.namespaces or {}, ",") }
  for name, value in pairs(options and options.vars or {}) do given.vars[name] = value end
  local command = ("echo $$ >%s/pid; exec env -u LD_PRELOAD HOME=%s timeout 550 node spec/engine/gateway.mjs %s "
    .. ">%s/out 2>&1"):format(folder, folder, shell_quote(json.encode(json.object(given))), folder)
  local pipe = assert(io.popen(command, "w"))
  local began = core.now()
  local url
  repeat
    core.pause(20)
    url = (process.read(folder .. "/out") or ""):match "^(http://%S+)\n"
  until url or core.now() - began > 30000
  if not url then error("the gateway did not start: " .. tostring(process.read(folder .. "/out"))) end
  return {
    url = url,
    pid = math.tointeger(process.read(folder .. "/pid")),
    log = function() return process.read(folder .. "/out") end,
    stop = function()
      pipe:close()
      process.remove(folder)
    end,
  }
end

return gateway
