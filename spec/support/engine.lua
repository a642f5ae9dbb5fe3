-- Cloudflare's own engine, from npm (spec/engine), with D1 databases behind a REST interface of Cloudflare's shape.
--
-- Databases get names that no other run has: engines of one machine see one another's.

local core = require "collegedb.core"
local lfs = require "lfs"
local node = require "spec.support.node"
local process = require "spec.support.process"

local engine = {}

local pipe, folder

---@return string? why the engine is not there
function engine.missing()
  if not lfs.attributes "spec/engine/node_modules/miniflare" then
    return "spec/engine has no miniflare (scripts/bootstrap test installs it)"
  end
  return node.missing()
end

---Whether the specs of this describe are to be skipped, which is seen: under CI it is a failure.
---@param it function busted's
---@param pending fun(why: string) busted's, of the spec
---@return boolean
function engine.skips(it, pending)
  local missing = engine.missing()
  if not missing then return false end
  it("runs on Cloudflare's engine", function()
    assert(not os.getenv "CI", missing)
    pending(missing)
  end)
  return true
end

---Starts it with so many databases.
---@param count integer
---@return string endpoint, string[] names
function engine.start(count)
  local names = {}
  for i = 1, count do names[i] = ("spec-%x-%d"):format(core.random() >> 1, i) end
  folder = process.new_folder()
  pipe = assert(io.popen(("exec env -u LD_PRELOAD HOME=%s timeout 250 node spec/engine/engine.mjs %s >%s/out 2>&1")
    :format(folder, table.concat(names, " "), folder), "w"))
  local began = core.now()
  repeat
    core.pause(20)
    local endpoint = (process.read(folder .. "/out") or ""):match "^(http://%S+)\n"
    if endpoint then return endpoint, names end
  until core.now() - began > 30000
  error("the engine did not start: " .. tostring(process.read(folder .. "/out")))
end

---Ends it; its databases are gone.
function engine.stop()
  pipe:close()
  process.remove(folder)
end

return engine
