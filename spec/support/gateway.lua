-- The gateway Worker (worker/) on Cloudflare's own engine, for the specs that speak to it.

local core = require "collegedb.core"
local engine = require "spec.support.engine"
local json = require "collegedb.json"
local json_reader = require "collegedb.json_reader"
local net = require "collegedb.net"
local process = require "spec.support.process"

local gateway = { token = "full-" .. ("t"):rep(32), read_token = "read-" .. ("r"):rep(32) }

gateway.skips, gateway.missing = engine.skips, engine.missing

local function shell_quote(text) return "'" .. text:gsub("'", "'\\''") .. "'" end

-- The process and all that it started, the last ones first.
local function family(pid)
  local pids, pipe <close> = {}, assert(io.popen("env -u LD_PRELOAD ps -o pid= --ppid " .. pid))
  for child in pipe:lines() do table.move(family(child:match "%d+"), 1, 100, #pids + 1, pids) end
  pids[#pids + 1] = tostring(pid)
  return pids
end

---Starts it. `options` are those of spec/engine/gateway.mjs; databases and namespaces get names of this run's own in
---the engine, unless `persist` or `prefix` says otherwise.
---@param options table?
---@return { url: string, pid: integer, stop: fun(), kill: fun() } kill ends it, with all it started, by SIGKILL
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
    url = (process.read(folder .. "/out") or ""):match "%f[%g](http://127%.0%.0%.1:%d+)\n"
  until url or core.now() - began > 30000
  if not url then error("the gateway did not start: " .. tostring(process.read(folder .. "/out"))) end
  local function stop()
    pipe:close()
    process.remove(folder)
  end
  return {
    url = url,
    pid = math.tointeger(process.read(folder .. "/pid")),
    log = function() return process.read(folder .. "/out") end,
    stop = stop,
    kill = function()
      os.execute("kill -9 " .. table.concat(family(math.tointeger(process.read(folder .. "/pid"))), " "))
      stop()
    end,
  }
end

---A write's token, as if it were made so many milliseconds ago.
---@param ago integer?
---@return string
function gateway.write_token(ago)
  local now = os.time() * 1000 - (ago or 0)
  return ("%011x-%016x%016x"):format(now, core.random(), core.random())
end

-- What no answer may hold: a token, and a place in the Worker's code.
---@param text string
function gateway.check_secrets(text)
  for _, secret in ipairs { gateway.token, gateway.read_token, "worker/src", ".js:", "    at " } do
    if text:find(secret, 1, true) then error(("an answer holds %q: %s"):format(secret, text), 0) end
  end
end

---Looks at what came: JSON with `success`, or with `errors` and a code.
---@param got collegedb.net.Answer
---@param request collegedb.net.Request
---@return integer status, table answer, string? code, string? message
function gateway.check_answer(got, request)
  if not got.body then error(("no answer from %s: %s"):format(request.url, tostring(got.error)), 0) end
  gateway.check_secrets(got.body)
  local read, answer = pcall(json_reader.decode, got.body)
  if not read or type(answer) ~= "table" then error("an answer is no JSON: " .. got.body, 0) end
  local good = got.status == 200
  if answer.success ~= good then error(("status %d, and %s"):format(got.status, got.body), 0) end
  local first = not good and answer.errors[1] or {}
  if not good and not (first.code and first.message) then error("an error without a code: " .. got.body, 0) end
  return got.status, answer, first.code, first.message
end

---Sends one request as it is, and looks at its answer.
---@param request table of net.exchange; `body` may be a table
---@return integer status, table answer, string? code, string? message
function gateway.ask(request)
  local sent = { token = gateway.token, write = false, attempts = 1, method = "POST" }
  for name, value in pairs(request) do sent[name] = value end
  if type(sent.body) == "table" then sent.body = json.encode(sent.body) end
  sent.token = sent.token or nil
  return gateway.check_answer(net.exchange(sent), sent)
end

return gateway
